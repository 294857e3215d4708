"""The measures of evidence: what silencing a head does, what it represents, whether its label is true.

Comes in: arrays (margins, coefficients, moments, values of factors), heads with their descriptions, labels and scores; evaluations.
Goes out: costs, the causal map, omega squared, areas, shares; tables of the run folder.
May import: `tasks`, `scoring` and what lies below. The measures are functions of arrays and know no model, image, Hydra or plot; `reading`
alone makes a pass, and `effects_of_conditions` and `from_*` alone know what passes give.
"""

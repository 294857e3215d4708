"""The measures of evidence: what silencing a head does, what it represents, whether its label is true.

Comes in: arrays (similarities, coefficients, moments, values of factors), heads with their descriptions, labels and scores.
Goes out: costs, the causal map, omega squared, sets of heads and their p, areas, shares; rows of their files.
May import: `statistics`, `heads`, `errors`, `files`, `scoring`, and nothing above; no model, no image, no Hydra, no plot.
"""

"""The findings say no more than the numbers."""

from ccs_exp.report.evidence import findings


def head(name: str, standardised: float) -> dict:
    return {"head": name, "label": "colors", "ccs": 2, "task": "scenes/shape", "standardised": standardised}


def test_a_head_that_costs_nothing_is_not_said_to_matter():
    told = findings({"heads": [head("L4.H1", 0.31), head("L5.H0", 0.04)]})
    assert told == ["Heads that matter most: L4.H1 (colors, CCS 2) for shape, 0.3 sd."]
    assert findings({"heads": [head("L5.H0", 0.04)]}) == ["No head alone costs a task 0.1 sd of its margins."]

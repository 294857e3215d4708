"""Figures are laid out once, and are the ones that matplotlib makes by itself."""

import io

import numpy as np
import pytest
from PIL import Image

from ccs_exp.report.drawing import grid, panels, png, styled, title


def figure(count, label):
    with styled():
        made, axes = panels(6.4, 2.0 * count, count)
        for each in axes:
            grid(each, "x")
            each.bar_label(each.barh(range(3), [1.0, -20.0, 3.5]), padding=6)
            each.set_yticks(range(3), [label, "b", "c"])
            title(each, label)
    return made


@pytest.mark.parametrize(("count", "label"), [(1, "short"), (2, "a label that needs more room than any other")])
def test_the_same_picture_as_drawn_twice(count, label):
    plain, buffer = figure(count, label), io.BytesIO()
    with styled():
        plain.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    ours, theirs = Image.open(io.BytesIO(png(figure(count, label), 90))), Image.open(buffer)
    assert ours.info["dpi"] == theirs.info["dpi"] and ours.mode == "RGB"
    assert np.array_equal(np.asarray(ours.convert("RGBA")), np.asarray(theirs))  # opaque everywhere

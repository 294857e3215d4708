"""Which figures are painted: painting takes longer than most jobs of tests."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from matplotlib.figure import Figure
from PIL import Image

from ccs_exp.report import figures
from ccs_exp.report.drawing import png
from ccs_exp.report.reproduction import figures as of_tables
from ccs_exp.report.reproduction import layers


def blank(figure: Figure, dpi: int = 130) -> bytes:
    """A picture in the figure's proportions."""
    buffer = io.BytesIO()
    Image.new("L", (round(10 * figure.get_figwidth()), round(10 * figure.get_figheight()))).save(buffer, format="PNG")
    return buffer.getvalue()


@contextmanager
def painted(by: Callable[..., bytes] = png) -> Iterator[None]:
    with patch.object(figures, "png", by), patch.object(of_tables, "png", by), patch.object(layers, "png", by):
        yield

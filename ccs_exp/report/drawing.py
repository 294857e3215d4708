"""How all figures look, and how they become PNG."""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from PIL import Image

from ccs_exp.run_folder.wording import plain

CCS_COLOURS = ("#dde5ef", "#bcd0e8", "#8fb3dc", "#5990cb", "#2e6db4", "#0d468a")
INK, QUIET, GRID, LOSS, GAIN = "#1c2430", "#69748a", "#e3e8ef", "#b4532a", "#2e7d6b"
_STYLE: Any = {
    "font.size": 9.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.hinting": "none",
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}


@contextmanager
def styled() -> Iterator[None]:
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # names may be in any script
        yield


def panels(width: float, height: float, count: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels, one below the other; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="tight")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(count, 1, squeeze=False)[:, 0])


def grid(axes: Axes, axis: str) -> None:
    """Lines behind what is drawn, along the values of `axis`, and no ticks along the other."""
    axes.grid(axis="x" if axis == "x" else "y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y" if axis == "x" else "x", length=0)


def row_names(axes: Axes, names: Sequence[str], **style: Any) -> None:
    """Names beside the rows 0, 1 and so on: as texts, because a tick takes several times as long."""
    axes.set_yticks([])
    beside = offset_copy(axes.get_yaxis_transform(), axes.get_figure(root=True), x=-4, units="points")
    for y, name in enumerate(names):
        axes.text(0, y, name, ha="right", va="center_baseline", transform=beside, **style)


def title(axes: Axes, text: str) -> None:
    axes.set_title(plain(text, 80), loc="left", y=1, fontsize=10, fontweight="bold", pad=10)


def png(figure: Figure, dpi: int = 130) -> bytes:
    buffer, canvas = io.BytesIO(), FigureCanvasAgg(figure)
    with styled():
        figure.set_dpi(dpi)
        layout = figure.get_layout_engine()
        if layout is not None:
            layout.execute(figure)
            figure.set_layout_engine("none")
        canvas.draw()  # `savefig` would draw everything once before, for the layout's sake
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # nothing shines through
    drawn.save(buffer, "PNG", dpi=(dpi, dpi), compress_type=zlib.Z_RLE)  # in half of the time, and shorter for large areas of one colour
    return buffer.getvalue()

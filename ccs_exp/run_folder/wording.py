"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re
from typing import Any

from ccs_exp.files import CONTROL

_CONTROL = re.compile(CONTROL)
_METRICS = {"top1": "Top-1", "top5": "Top-5", "mean_per_class": "Mean per class"}


def percent(value: float | None, decimals: int = 1) -> str:
    """A fraction in per cent, without the sign.

    >>> percent(0.8412), percent(None)
    ('84.1', '–')
    """
    return "–" if value is None else f"{100 * value:.{decimals}f}"


def points(delta: float | None) -> str:
    """A difference of fractions in percentage points, signed.

    >>> points(-0.034), points(0.002), points(-0.00001)
    ('−3.4', '+0.2', '0.0')
    """
    if delta is None:
        return "–"
    text = f"{abs(100 * delta):.1f}"
    return text if text == "0.0" else ("−" if delta < 0 else "+") + text


def number(value: Any) -> float | None:
    """A cell of a table as a number; None where it is absent."""
    return None if value is None or not math.isfinite(float(value)) else float(value)


def signed(value: float, delta: bool = False) -> str:
    """With a minus sign, and as a difference with a plus sign too.

    >>> signed(-0.034), signed(0.2), signed(0.2, delta=True), signed(-0.001)
    ('−0.03', '0.20', '+0.20', '0.00')
    """
    text = f"{abs(value):.2f}"
    return text if text == "0.00" else f"{'−' if value < 0 else '+' if delta else ''}{text}"


def is_rank(metric: str) -> bool:
    """Ranks are in items, and lower is better; all other metrics are fractions."""
    return metric.endswith("rank")


def metric_value(metric: str, value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if is_rank(metric) else percent(value)


def metric_delta(metric: str, delta: float | None) -> str:
    return points(delta / 100 if is_rank(metric) and delta is not None else delta)


def metric_name(metric: str) -> str:
    """
    >>> metric_name("top1"), metric_name("t2v_median_rank")
    ('Top-1', 't2v median rank')
    """
    return _METRICS.get(metric, metric.replace("_", " "))


def p_value(p: float | None) -> str:
    """
    >>> p_value(0.0321), p_value(0.00001), p_value(None)
    ('0.032', '<0.001', '')
    """
    return "" if p is None else "<0.001" if p < 0.0005 else f"{p:.3f}"


def plain(text: object, width: int | None = None) -> str:
    """Text on one line, without control characters (a terminal would obey them), cut to `width` characters."""
    line = " ".join(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text)).split())
    return line if width is None or len(line) <= width else line[: width - 1] + "…"

"""Attention heads by name, ``L23.H11`` for ``Head(23, 11)``, layers and heads counted from zero; and named sets of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ccs_exp.errors import CcsError

ORIGINAL = "original"  # the condition that silences nothing
MATCHED, CURVE = "matched/", "curve/"  # how conditions' names begin: matched/<condition>/<number>, curve/<order>/<seed>/<heads>
RANDOM, SINGLE_HEAD = "random/", "head/"  # random/<seed>, head/<head>
MEAN = "mean"  # in place of the number: of the draws of a family, as in random/mean, matched/high_ccs/mean
NULLS = (MATCHED, CURVE)  # conditions by the hundred, of which one number each is read
DESCRIPTIONS_PER_HEAD = 5  # that TEXTSPAN picks, and of which CCS counts (paper, section 4.1.1)
HIGH_FROM, LOW_TO = 5, 1  # CCS from here on is high, up to here low, in the paper (section 5.2)
SCORED_LAYERS = 4  # the paper scores the heads of the last four layers (section 1)
RANDOM_FROM_ALL_LAYERS = ("vitb32_openai",)  # variants whose random heads the authors' code draws from all layers, not the last four

_NAME = re.compile(r"L(\d{1,4})\.H(\d{1,4})")


class Head(NamedTuple):
    """One attention head of the image encoder.

    >>> str(Head(23, 11)), Head.parse("L23.H11")
    ('L23.H11', Head(layer=23, index=11))
    """

    layer: int
    index: int  # type: ignore[assignment]  # the field hides the method tuple.index

    def __str__(self) -> str:
        return f"L{self.layer}.H{self.index}"

    @classmethod
    def of(cls, head: Head | str) -> Head:
        """`head` itself, or the one of that name. Raises `CcsError` for what is neither."""
        if not isinstance(head, Head):
            return cls.parse(head)
        if not all(isinstance(part, int) and part >= 0 for part in head):
            raise CcsError(f"{tuple(head)!r} is not a head. A head is Head(layer, index), both from zero, or its name, as L11.H5.")
        return head

    @classmethod
    def parse(cls, name: str) -> Head:
        """Read ``L<layer>.H<index>``; raises `CcsError` on anything else."""
        match = _NAME.fullmatch(str(name).strip())
        if match is None:
            raise CcsError(f"{name!r} is not a head. A head is written L<layer>.H<index>, both from zero, as in L11.H5.")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class Condition:
    """A named set of silenced heads; `original` silences none."""

    name: str
    heads: frozenset[Head]


def is_hypothesis(condition: str) -> bool:
    """Whether somebody asks about it: Holm's family. Random, matched and nested sets are what it is compared with."""
    return condition != ORIGINAL and not condition.startswith((SINGLE_HEAD, RANDOM, *NULLS))


def scored_heads(layers: int, heads_per_layer: int, scored_layers: int = SCORED_LAYERS) -> tuple[Head, ...]:
    """All heads of the last `scored_layers` of an encoder, in order of layer, then index."""
    first = max(0, layers - scored_layers)
    return tuple(Head(layer, index) for layer in range(first, layers) for index in range(heads_per_layer))


def check_thresholds(high: int, low: int) -> None:
    """Raise `CcsError` for classes of CCS that overlap or lie outside of its range."""
    if not 0 <= low < high <= DESCRIPTIONS_PER_HEAD:
        raise CcsError(
            f"ccs.low={low} and ccs.high={high} do not separate classes; needed is 0 <= low < high <= {DESCRIPTIONS_PER_HEAD} "
            f"(the paper has low {LOW_TO}, high {HIGH_FROM})."
        )


def check_heads(heads: Iterable[Head | str] | Head | str, layers: int, heads_per_layer: int, model: str) -> frozenset[Head]:
    """The heads, given as such or by name, as a set; raises `CcsError` naming every head that the model does not have."""
    if isinstance(heads, Head | str):
        heads = [heads]
    if not isinstance(heads, Iterable):
        raise CcsError(f"{heads!r} are no heads. Give several, as in ['L2.H0', 'L3.H1'].")
    found = frozenset(map(Head.of, heads))
    outside = sorted(head for head in found if head.layer >= layers or head.index >= heads_per_layer)
    if outside:
        names = ", ".join(map(str, outside[:6])) + (f" and {len(outside) - 6} more" if len(outside) > 6 else "")
        raise CcsError(f"{names}: {model} has layers 0-{layers - 1} of {heads_per_layer} heads each (0-{heads_per_layer - 1}).")
    return found

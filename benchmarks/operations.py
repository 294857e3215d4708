"""Multiplications of a model by count (`ccs_exp.clip.operations`): how much faster sharing can be at best."""

from __future__ import annotations

from collections.abc import Sequence

from ccs_exp.clip import operations
from ccs_exp.clip.architecture import shape_of
from ccs_exp.clip.model import ClipModel
from ccs_exp.heads import Head


def full_pass(model: ClipModel) -> float:
    return operations.full_pass(shape_of(model.clip, model.tower))


def shared(model: ClipModel, masks: Sequence[frozenset[Head]]) -> float:
    return operations.shared(shape_of(model.clip, model.tower), masks)

"""Rankings of images of people, counted by groups: how many of each are among the first k, NDKL and ties.

Images of equal similarity rank in the order of the data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ccs_exp.data.images.source import NO_CLASS
from ccs_exp.errors import CcsError
from ccs_exp.files import some
from ccs_exp.tasks.evaluation import Outcomes
from ccs_exp.tasks.skew import default_k, group_counts, ndkl, top
from ccs_exp.tasks.skew_paper import one_list_top, sizes_by_appearance

TOP, SIZE = "top/", "size/"  # columns of a ranking: a group's number among the first k, and among all images


@dataclass(frozen=True)
class Occupations:
    """What images are ranked for.

    Attributes:
        prompts: with ``{}`` for the occupation.
        own: every image shows one of the occupations, and is ranked for that one alone.
        top_k: None: a tenth of the images, at most 1,000.
        paper: count as the authors' code does.
    """

    names: tuple[str, ...]
    prompts: tuple[str, ...]
    own: bool
    top_k: int | None = None
    paper: bool = False


def rankings(
    of_sets: Iterator[Float[np.ndarray, "images occupations"]],
    groups: Mapping[str, Int[np.ndarray, " images"]],
    names: Mapping[str, Sequence[str]],
    occupations: Occupations,
    own: Int[np.ndarray, " images"] | None = None,
) -> dict[str, Outcomes]:
    """Every attribute's rankings, an occupation being what a sample is elsewhere.

    Args:
        of_sets: similarities under one set of silenced heads after the other; with `own` occupations ``[images, 1]``, of these.
        groups: of every attribute, the number of each image's group among `names`; negative where it has none.
    """
    asked = {attribute: _asked(attribute, values, names[attribute], occupations, own) for attribute, values in groups.items()}
    found: dict[str, list[list[_Ranked]]] = {attribute: [] for attribute in groups}
    for similarities in of_sets:
        rows = np.ascontiguousarray(similarities.T)
        for attribute, of_attribute in asked.items():
            found[attribute].append([one.ranked(rows) for one in of_attribute])
    return {attribute: _outcomes(asked[attribute], found[attribute], occupations, names[attribute]) for attribute in groups}


class _Ranked(NamedTuple):
    """One ranking under one set: how many of each group are among the first k, NDKL (NaN as the authors count), and the ties."""

    in_top: Int[np.ndarray, " groups"]
    ndkl: float
    tied: int


@dataclass(frozen=True)
class _Asked:
    """The ranking of one occupation and attribute: whose row of similarities it takes, which images, their groups."""

    row: int
    images: Int[np.ndarray, " images"] | slice
    groups: Int[np.ndarray, " images"]
    sizes: Int[np.ndarray, " groups"]
    k: int
    paper: bool
    copies: bool

    @classmethod
    def of(
        cls,
        attribute: str,
        number: int,
        values: Int[np.ndarray, " all"],
        names: Sequence[str],
        occupations: Occupations,
        own: Int[np.ndarray, " all"] | None,
    ) -> _Asked:
        has = values != NO_CLASS if own is None else (values != NO_CLASS) & (own == number)
        groups, whose = values[has], "" if own is None else f" of {occupations.names[number]}"
        count, k = len(groups), occupations.top_k or default_k(int(has.sum()))
        sizes = np.bincount(groups, minlength=len(names))
        if not count:
            raise CcsError(
                f"No image{whose} has a group of {attribute}. Leave the occupation out with dataset.occupations=FILE, or raise "
                "dataset.limit."
            )
        if k > count:
            raise CcsError(f"dataset.top_k={k} is more than the {count:,} images{whose} that have a group of {attribute}.")
        if (sizes > 0).sum() < 2:
            raise CcsError(
                f"All {count:,} images{whose} are of one group of {attribute}, {names[int(groups[0])]}: a skew compares groups. "
                "Raise dataset.limit, complete the copy, or leave the occupation out with dataset.occupations=FILE."
            )
        if occupations.paper and own is None:
            if (sizes == 0).any():
                absent = some([name for name, size in zip(names, sizes, strict=True) if not size])
                raise CcsError(
                    f"protocol=paper numbers groups as they come, but no image is {absent} of {attribute}. Raise dataset.limit."
                )
            sizes = sizes_by_appearance(groups.tolist())
        elif occupations.paper:
            sizes = np.full(len(names), count)
        images = slice(None) if has.all() else np.flatnonzero(has)
        return cls(0, images, groups, sizes, k, occupations.paper, occupations.paper and own is not None)

    def ranked(self, rows: Float[np.ndarray, "occupations all"]) -> _Ranked:
        similarities, number = rows[self.row][self.images], len(self.sizes)
        first = top(similarities, self.k)
        groups = one_list_top(similarities, number, self.k) if self.copies else self.groups[first.order]
        evenness = np.nan if self.paper else float(ndkl(groups[None], self.sizes)[0])
        return _Ranked(group_counts(groups, number), evenness, first.tied)


def _asked(
    attribute: str,
    values: Int[np.ndarray, " all"],
    names: Sequence[str],
    occupations: Occupations,
    own: Int[np.ndarray, " all"] | None,
) -> list[_Asked]:
    """One for each occupation; where all have the same images, these are held once."""
    numbers = range(len(occupations.names))
    if own is not None:
        return [_Asked.of(attribute, number, values, names, occupations, own) for number in numbers]
    of_all = _Asked.of(attribute, 0, values, names, occupations, None)
    return [replace(of_all, row=number) for number in numbers]


def _outcomes(asked: list[_Asked], ranked: list[list[_Ranked]], occupations: Occupations, names: Sequence[str]) -> Outcomes:
    sizes, in_top = np.stack([one.sizes for one in asked]), np.array([[one.in_top for one in of_set] for of_set in ranked])
    tied = np.array([[one.tied for one in of_set] for of_set in ranked], dtype=np.int32)
    images = np.array([len(one.groups) for one in asked], dtype=np.int32)
    return Outcomes(
        primary="max_skew",
        id_column="occupation",
        ids=list(occupations.names),
        fixed={
            "images": images,
            "k": np.array([one.k for one in asked], dtype=np.int32),
            **{f"{SIZE}{name}": sizes[:, number].astype(np.int32) for number, name in enumerate(names)},
        },
        columns={
            **{f"{TOP}{name}": in_top[:, :, number].astype(np.int32) for number, name in enumerate(names)},
            "ndkl": np.array([[one.ndkl for one in of_set] for of_set in ranked]),
            "tied": tied,
        },
        values=[{} for _ in ranked],
        tied=tied.sum(axis=1).tolist(),
        num_samples=int(images.max()),
    )

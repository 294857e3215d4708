"""The arithmetic of the authors' published code for skews, its faults included: ``protocol=paper``. Not a measure of anything.

Two things are not as they are meant. Where all images are ranked for each occupation, the sizes of groups are counted in the order in
which the groups first appear among the images, and taken for those of the list of groups. Where the images of an occupation are ranked,
the lists of the groups are one list: every group holds all images, and every image is ranked once as a member of each.
Absent groups are left out, as `ccs_exp.tasks.skew.extremes` does; what the code prints is the sum over occupations, not their mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


def sizes_by_appearance(groups: Sequence[int]) -> Int[np.ndarray, " groups"]:
    """The sizes of groups in the order of their first appearance."""
    return np.array(list(Counter(groups).values()))


def one_list_top(similarities: Float[np.ndarray, " images"], number: int, k: int) -> Int[np.ndarray, " k"]:
    """The groups of the first `k` of all images in each of `number` groups; copies of an image come in the order of groups."""
    copies = np.tile(similarities, number)
    return np.argsort(-copies, kind="stable")[:k] // len(similarities)

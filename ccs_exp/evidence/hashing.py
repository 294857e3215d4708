"""Parts of a set of samples that depend on nothing but the samples' own names."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Bool, Int


def hashed_parts(names: Sequence[Hashable], parts: int, seed: int = 0) -> Int[np.ndarray, " samples"]:
    """The part 0 .. `parts` - 1 that each sample falls into, whatever the order, the device or the rest of the set."""
    digests = (hashlib.blake2b(f"{seed}:{name}".encode("utf-8", "backslashreplace"), digest_size=8).digest() for name in names)
    return np.fromiter((int.from_bytes(digest, "big") % parts for digest in digests), dtype=np.int64, count=len(names))


def chosen_half(names: Sequence[Hashable], seed: int = 0) -> Bool[np.ndarray, " samples"]:
    """True for the half on which sets are chosen by their effects, False for the half on which they are measured."""
    return hashed_parts(names, 2, seed) == 0

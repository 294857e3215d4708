"""Skews of 100,000 images ranked for 100 occupations under 10 conditions, from their embeddings; time and peak memory.

python benchmarks/skew.py
"""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import torch
from memory import status
from torch.nn import functional as F

from ccs_exp.evidence.skew import skew_tables
from ccs_exp.heads import Condition, Head
from ccs_exp.tasks.evaluation import Evaluation
from ccs_exp.tasks.group_rankings import Occupations, rankings

IMAGES, OCCUPATIONS, CONDITIONS, DIM, BATCH = 100_000, 100, 10, 512, 64
NAMES = {"race": tuple("abcdefg"), "gender": tuple("ab"), "age": tuple("abcdefghi")}
SECONDS, GIGABYTES = 60.0, 2.0


def main() -> None:
    before = status("VmRSS")
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    groups = {attribute: rng.integers(0, len(names), IMAGES) for attribute, names in NAMES.items()}
    texts = F.normalize(torch.randn(OCCUPATIONS, DIM, generator=generator), dim=-1)
    spent, batches = 0.0, []
    for start in range(0, IMAGES, BATCH):
        embeddings = torch.randn(CONDITIONS, min(BATCH, IMAGES - start), DIM, generator=generator)
        began = time.perf_counter()
        batches.append(F.normalize(embeddings, dim=-1) @ texts.T)  # as the pass keeps them
        spent += time.perf_counter() - began
    began = time.perf_counter()
    heads = [frozenset(Head(11, index) for index in range(number)) for number in range(CONDITIONS)]
    of_sets = (torch.cat([batch[number] for batch in batches]).numpy() for number in range(CONDITIONS))
    asked = Occupations(tuple(f"occupation {number}" for number in range(OCCUPATIONS)), ("A {}",), own=False)
    found = rankings(of_sets, groups, NAMES, asked)
    ranked = time.perf_counter() - began
    named = tuple(Condition(f"heads/{len(one)}" if one else "original", one) for one in heads)
    rows, means = skew_tables(Evaluation(named, tuple(heads), {}, (0,) * CONDITIONS, rankings=found))
    tables = time.perf_counter() - began - ranked
    seconds, memory = spent + ranked + tables, (status("VmHWM") - before) / 1024
    print(
        f"{IMAGES:,} images x {OCCUPATIONS} occupations x {CONDITIONS} conditions, {len(NAMES)} attributes, {torch.get_num_threads()} "
        f"threads of {os.cpu_count()} cores: similarities {spent:.1f} s, rankings {ranked:.1f} s, {len(rows):,} + {len(means):,} rows "
        f"{tables:.1f} s: {seconds:.1f} s (limit {SECONDS:.0f}); peak {memory:.2f} GiB above the libraries (limit {GIGABYTES:.0f})"
    )
    sys.exit(seconds > SECONDS or memory > GIGABYTES)


if __name__ == "__main__":
    main()

"""What a GPU makes of it: in at most five minutes, with nothing but the package, random weights and random images.

    python benchmarks/gpu.py [--seconds 300] [--device cuda]

First whether the card's predictions are the CPU's, in each precision, and ranks. Then for each model, precision and batch: images a second
of the embedding beside open_clip's own `encode_image` under the same precision, decomposition, and many masks beside one pass each, with
the limit by operation count, the share of the card's peak and the most memory. Ten conditions and single heads come with stacks of one
and of eight branches. What the time did not suffice for is listed. `--device cpu --small` runs all of it on toys.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import operations
import torch
from encoding import Masks, OpenClipEngine, paper_masks, same_predictions
from many_masks import drawn_sets
from rich.console import Console
from rich.table import Table
from timing import seconds
from torch import Tensor
from torch.nn import functional as F

from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.readout import read_heads
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.scoring.moments import HeadMoments
from ccs_exp.tasks.ranking import ranks

MODELS, BATCHES, PRECISIONS = ("ViT-B-32", "ViT-B-16", "ViT-L-14"), (64, 256), ("fp32", "tf32", "bf16")
TARGET = 0.85  # of the limit by operation count
MOST = 0.05  # of the time, for one row

# dense peaks in TFLOP/s, from the makers' data sheets; other cards get no share
PEAKS = {
    "H100": {"fp32": 67, "tf32": 494, "bf16": 989},
    "H200": {"fp32": 67, "tf32": 494, "bf16": 989},
    "A100": {"fp32": 19.5, "tf32": 156, "bf16": 312},
    "L40S": {"fp32": 91.6, "tf32": 183, "bf16": 362},
    "RTX 4090": {"fp32": 82.6, "tf32": 82.6, "bf16": 165},
}


@dataclass(frozen=True)
class Row:
    """One measurement: seconds of a batch, medians; `ratio` to `reference`; `limit` by operation count; share of the card's peak."""

    name: str
    ours: float
    reference: float
    images: float
    limit: float | None
    share: float | None
    memory: float
    agreement: str

    @property
    def ratio(self) -> float:
        return self.reference / self.ours

    def cells(self) -> tuple[str, ...]:
        limit = "" if self.limit is None else f"{self.limit:.2f}x"
        reached = "" if self.limit is None else f"{self.ratio / self.limit:.0%}{'' if self.ratio >= TARGET * self.limit else ' MISSED'}"
        share = "" if self.share is None else f"{self.share:.0%}"
        times = f"{self.ours * 1e3:.1f} ms", f"{self.reference * 1e3:.1f} ms"
        return self.name, *times, f"{self.images:,.0f}", f"{self.ratio:.2f}x", limit, reached, share, f"{self.memory:,.0f}", self.agreement


class Bench:
    """Times on one device, as long as `seconds` last."""

    def __init__(self, device: str, seconds: float, small: bool):
        self.device, self.whole, self.small, self.left_out = device, seconds, small, list[str]()
        self.ends = time.monotonic() + seconds

    def has_time_for(self, name: str, expected: float = 0.0) -> bool:
        """Whether what takes about `expected` seconds fits in, and leaves most of the time to others."""
        if expected < MOST * self.whole and time.monotonic() + expected < self.ends:
            return True
        self.left_out.append(name)
        return False

    def seconds(self, job: Callable[[], object], repeats: int) -> float:
        """Of a job that has run before."""
        return statistics.median(seconds(job) for _ in range(1 if self.small else repeats))

    def memory(self) -> float:
        """The most that the card has held since the last call, in MiB."""
        if self.device != "cuda":
            return 0.0
        held = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.reset_peak_memory_stats()
        return held


def precisely(precision: str, device: str) -> AbstractContextManager[object]:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext()


def peak(precision: str, device: str) -> float | None:
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    return next((peaks[precision] * 1e12 for card, peaks in PEAKS.items() if card in name), None)


def mask_sets(model: ClipModel, small: bool) -> dict[str, Masks]:
    return {
        "10 conditions": paper_masks(model, 10),
        f"{len(model.scored_heads)} single heads": [frozenset({head}) for head in model.scored_heads],
        "200 matched sets": drawn_sets(model, 2 if small else 200),
    }


def of_model(bench: Bench, model: ClipModel, peer: OpenClipEngine, precision: str, batch: int, small: bool) -> Iterator[Row]:
    pixels = torch.randn(batch, 3, *model.image_size, generator=torch.Generator().manual_seed(1)).to(bench.device)
    most, heads = peak(precision, bench.device), model.scored_heads
    title, close = f"{model.name}, {precision}, batch {batch}", same_predictions() if precision == "fp32" else near_enough

    def row(
        what: str, ours: Callable[[], Tensor], reference: Callable[[], Tensor], work: float, times: float = 1, limit: float | None = None
    ) -> Row:
        agreement = str(close(ours()[:2], reference()[:2]))
        bench.memory()
        mine = bench.seconds(ours, 2 if limit else 5)
        held, theirs = bench.memory(), times * bench.seconds(reference, 2 if limit else 5)
        share = None if most is None else 2 * work * batch / mine / most
        return Row(f"{title}, {what}", mine, theirs, batch / mine, limit, share, held, agreement)

    def decomposed() -> Tensor:
        readout = read_heads(model, pixels, range(heads[0].layer, heads[-1].layer + 1))
        HeadMoments.of(heads, readout.coefficients)
        return readout.embedding

    with precisely(precision, bench.device):
        one = operations.shared(model, [frozenset()])
        embedding, plain = lambda: model.encode_images(pixels), PlainEngine()
        first = row("embedding", embedding, lambda: F.normalize(peer.clip.encode_image(pixels), dim=-1), one)
        yield first
        yield row("decomposition", decomposed, embedding, one)
        for what, masks in mask_sets(model, small).items():
            work = operations.shared(model, masks)
            limit = len(masks) * operations.full_pass(model) / work
            for stack in (1,) if what.startswith("200") else (1, 8):
                if bench.has_time_for(f"{title}, {what}, stack {stack}", 3 * first.ours * work / one + 6 * first.reference):
                    yield row(
                        f"{what}, stack {stack}",
                        lambda masks=masks, stack=stack: SharedPrefixEngine(stack).encode(model, pixels, masks),  # type: ignore[misc]
                        lambda masks=masks: plain.encode(model, pixels, masks[:2]),  # type: ignore[misc]
                        work,
                        len(masks) / 2,
                        limit,
                    )


def near_enough(ours: Tensor, reference: Tensor) -> str:
    return f"differ by {float((ours.float() - reference.float()).abs().max()):.0e}"


def against_cpu(name: str, device: str, images: int) -> Iterator[str]:
    """The same images under ten conditions on the card and on the CPU: predictions equal but for near ties, which are counted; in less than
    single precision, how many are equal."""
    found: dict[str, Tensor] = {}
    for place, precision in (("cpu", "fp32"), *((device, precision) for precision in PRECISIONS)):
        model = load_clip(name, seed=0, device=place)
        pixels = torch.randn(images, 3, *model.image_size, generator=torch.Generator().manual_seed(2)).to(place)
        with precisely(precision, place):
            embeddings = SharedPrefixEngine().encode(model, pixels, paper_masks(model, 10)).float().cpu()
        if not found:
            found["cpu"] = embeddings
        elif precision == "fp32":
            yield f"{precision}: {same_predictions()(embeddings, found['cpu'])}"
        else:
            classes = F.normalize(torch.randn(1000, embeddings.shape[-1], generator=torch.Generator().manual_seed(0)), dim=-1)
            same = (embeddings @ classes.T).argmax(dim=-1) == (found["cpu"] @ classes.T).argmax(dim=-1)
            yield f"{precision}: {near_enough(embeddings, found['cpu'])}, {int(same.sum())} of {same.numel()} predictions equal"


def ranked(size: int, device: str) -> tuple[float, float]:
    """Seconds and peak MiB of `size` x `size` similarities, made on `device` and ranked in blocks of a thousand queries."""
    generator = torch.Generator().manual_seed(3)
    texts, videos = (F.normalize(torch.randn(size, 512, generator=generator), dim=-1).to(device) for _ in range(2))
    started = time.perf_counter()
    for start in range(0, size, 1000):
        block = (texts[start : start + 1000] @ videos.T).cpu().numpy()
        ranks(block, np.arange(size), np.arange(start, start + len(block)))
    held = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else 0.0
    return time.perf_counter() - started, held


def measure(bench: Bench, models: Sequence[str], batches: Sequence[int], small: bool) -> tuple[Table, bool]:
    table, reached = Table(box=None, padding=(0, 2, 0, 0)), True
    for column in ("what", "ours", "reference", "images/s", "ratio", "limit", "of limit", "of peak", "MiB", "agreement"):
        table.add_column(column, overflow="fold")
    loaded = {name: load_clip(name, seed=0, device=bench.device) for name in models}
    peers = {name: OpenClipEngine(name, bench.device).load(model) for name, model in loaded.items()}
    for batch, name, precision in itertools.product(batches, models, PRECISIONS):
        if not bench.has_time_for(f"{name}, {precision}, batch {batch}"):
            continue
        for row in of_model(bench, loaded[name], peers[name], precision, batch, small):
            reached &= row.limit is None or row.ratio >= TARGET * row.limit
            table.add_row(*row.cells())
            print(" · ".join(filter(None, row.cells())), flush=True)
    return table, reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--small", action="store_true", help="one model, small batches, few ranks")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("No GPU here. --device cpu --small runs the script on toys.")
    small, bench = arguments.small, Bench(arguments.device, arguments.seconds, arguments.small)
    with torch.inference_mode():
        for line in against_cpu("ViT-B-32", arguments.device, 2 if small else 64):
            print(f"Against the CPU in fp32, ViT-B-32, 10 conditions, {line}", flush=True)
        size = 2_000 if small else 50_000
        print(f"Ranks of {size:,} x {size:,}: {{:.1f}} s, {{:,.0f}} MiB on the card".format(*ranked(size, arguments.device)), flush=True)
        table, reached = measure(bench, MODELS[:1] if small else MODELS, (1,) if small else BATCHES, small)
        Console(width=200).print(table)
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}. Left out for want of time: {'; '.join(bench.left_out) or 'nothing'}.")
    sys.exit(not reached)


if __name__ == "__main__":
    main()

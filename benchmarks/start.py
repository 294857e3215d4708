"""From the command to the first image: how long, and what is imported on the way; from a checkpoint's file to a model; a job's end.

    python benchmarks/start.py [--against CHECKOUT] [--repeats 5] [--end]

The job is `dataset=scenes_shape prune=none dataset.limit=20` with an empty store. `--against` another checkout of the project runs
both in turn, by the same interpreter and libraries, and prints the ratio. The target is for two cores that do nothing else; seconds of
a core are steadier than the clock's where they do. The checkpoint is a ViT-B-32 with random weights, read from a temporary file.
`--end` measures the end of the default job instead: from its last result to its last file, which is the summary, the report with its
figures, and W&B's record. A process beside the job draws some of it earlier: so all that follows the evaluation is measured too.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parents[1]
JOB = ("dataset=scenes_shape", "prune=none", "dataset.limit=20", "tracker=none")
TARGET = 4.0  # seconds
TARGET_END = 2.0
TARGET_RATIO = 0.6
TARGET_LOADING = 2.0  # times reading the file

# Ends the process at the first module that is given images: four axes, three channels.
UNTIL_FIRST_IMAGE = """
import os, sys, time
started = float(os.environ["STARTED"])
class AfterTorch:
    def find_spec(self, name, path, target=None):
        if name == "lightning":
            sys.meta_path.remove(self)
            from torch.nn.modules.module import register_module_forward_pre_hook
            register_module_forward_pre_hook(first)
def first(module, given):
    if given and getattr(given[0], "ndim", 0) == 4 and given[0].shape[1] == 3:
        print("FIRST IMAGE", time.time() - started, sum(os.times()[:4]), flush=True)
        os._exit(0)
sys.meta_path.insert(0, AfterTorch())
sys.argv = ["ccs-exp", *sys.argv[1:]]
from ccs_exp.__main__ import main
main()
"""


def until_first_image(checkout: Path, *options: str) -> tuple[float, float, str]:
    """Seconds on the clock, seconds of a core, and what the interpreter says of its imports."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, *options, "-c", UNTIL_FIRST_IMAGE, *JOB, f"hydra.run.dir={folder}/run"]
        own = {"PYTHONPATH": str(checkout), "CCS_EXP_CACHE": f"{folder}/store", "STARTED": str(time.time())}
        done = subprocess.run(command, cwd=folder, env=_compiled_once() | own, capture_output=True, text=True, check=False)
    found = re.search(r"FIRST IMAGE ([\d.]+) ([\d.]+)", done.stdout)
    if not found:
        sys.exit(f"The job saw no image:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
    return float(found[1]), float(found[2]), done.stderr


def _compiled_once() -> dict[str, str]:
    """The environment of someone whose Python keeps what it has compiled: from the second command on."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def end(checkout: Path, store: str) -> tuple[float, float]:
    """Seconds from the last result of the default job, and from the end of its evaluation, to its last file, as its log tells them."""
    shutil.rmtree(Path(store, "jobs"), ignore_errors=True)  # a job that is kept whole has no end
    with tempfile.TemporaryDirectory() as folder:
        own = {"PYTHONPATH": str(checkout), "CCS_EXP_CACHE": store}
        command = [sys.executable, "-m", "ccs_exp", f"hydra.run.dir={folder}/run"]
        subprocess.run(command, cwd=folder, env=_compiled_once() | own, capture_output=True, check=True)
        events = [json.loads(line) for line in Path(folder, "run", "log.jsonl").read_text(encoding="utf-8").splitlines()]
    at = {(event["message"], event.get("stage")): datetime.fromisoformat(event["timestamp"]) for event in events}
    last = at["stage ended", "track"]
    return (last - at["stage ended", "atlas"]).total_seconds(), (last - at["stage started", "evidence"]).total_seconds()


def ends(checkouts: list[Path], repeats: int) -> bool:
    """Print them, measured in turn with a store that has what the first job computed; whether our end is within the target."""
    with tempfile.TemporaryDirectory() as store:
        end(HERE, store)
        times = [[end(checkout, store) for checkout in checkouts] for _ in range(repeats)]
    for checkout, measured in zip(checkouts, zip(*times, strict=True), strict=True):
        for what, seconds in zip(("the end", "all after the evaluation"), zip(*measured, strict=True), strict=True):
            print(f"{checkout.name}: {what} took {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    return statistics.median(ours[0] for ours, *_ in times) <= TARGET_END


def loading(repeats: int) -> tuple[float, float]:
    """Seconds of reading a checkpoint's file, and from it to a model that is ready; medians, measured in turn."""
    from safetensors.torch import save_file

    from ccs_exp.clip.loading import load_clip

    with tempfile.TemporaryDirectory() as folder:
        os.environ["CCS_EXP_CACHE"] = f"{folder}/store"
        file = Path(folder, "weights.safetensors")
        save_file(load_clip("ViT-B-32").clip.state_dict(), file)
        reading: list[float] = []
        loaded: list[float] = []
        for _ in range(repeats + 1):
            for seconds, what in ((reading, file.read_bytes), (loaded, lambda: load_clip("ViT-B-32", weights=file))):
                started = time.perf_counter()
                what()
                seconds.append(time.perf_counter() - started)
        print(f"checkpoint of {file.stat().st_size / 1e6:.0f} MB: {loaded[0]:.2f} s the first time, when it is hashed too", end="; ")
    return statistics.median(reading[1:]), statistics.median(loaded[1:])


def imports(told: str) -> Table:
    """Seconds of each package's own modules, those of a tenth of a second and more."""
    own: collections.Counter[str] = collections.Counter()
    for microseconds, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)", told):
        own[name.split(".")[0]] += int(microseconds)
    table = Table(title="imported before it", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("package")
    table.add_column("seconds, measuring included", justify="right")
    for name, microseconds in own.most_common():
        if microseconds >= 100_000:
            table.add_row(name, f"{microseconds / 1e6:.2f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--end", action="store_true", help="the end of the default job instead")
    arguments = parser.parse_args()
    checkouts = [HERE, *([arguments.against] if arguments.against else [])]
    if arguments.end:
        sys.exit(not ends(checkouts, arguments.repeats))
    times = [[until_first_image(checkout)[:2] for checkout in checkouts] for _ in range(arguments.repeats + 1)][1:]
    for checkout, runs in zip(checkouts, zip(*times, strict=True), strict=True):
        seconds, of_a_core = zip(*runs, strict=True)
        spread = f"{min(seconds):.2f} to {max(seconds):.2f}"
        print(f"{checkout.name}: first image after {statistics.median(seconds):.2f} s ({spread}), ", end="")
        print(f"{statistics.median(of_a_core):.2f} s of a core ({min(of_a_core):.2f} to {max(of_a_core):.2f})")
    missed = statistics.median(ours[0] for ours, *_ in times) > TARGET
    if arguments.against:
        by_clock, of_cores = (statistics.median(ours[kind] / theirs[kind] for ours, theirs in times) for kind in (0, 1))
        print(f"ratio, pair by pair: {by_clock:.2f} by the clock, {of_cores:.2f} of a core's seconds (at most {TARGET_RATIO})")
        missed |= by_clock > TARGET_RATIO
    reading, ready = loading(arguments.repeats)
    print(f"read in {reading:.2f} s, a model after {ready:.2f} s, {ready / reading:.1f} times (at most {TARGET_LOADING})")
    missed |= ready > TARGET_LOADING * reading
    Console(width=100).print(imports(until_first_image(HERE, "-X", "importtime")[2]))
    sys.exit(missed)


if __name__ == "__main__":
    main()

"""``ccs-exp status SWEEP_DIR``: how a sweep's cells are, from the files in its folder alone."""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ccs_exp.errors import CcsError
from ccs_exp.files import clean, rounded
from ccs_exp.journal.state import JOB_FILE, LOG_FILE, SWEEP_FILE, JobRecord, read_job, read_sweep, varied

STATES = ("done", "running", "failed", "killed", "interrupted", "to do")
_STYLES = {"done": "green", "running": "cyan", "to do": "dim"}
_WIDE = 200  # columns, where nobody looks
_UNFINISHED = ("failed", "killed", "interrupted")


@dataclass(frozen=True)
class Cell:
    """One cell: `state` is one of `STATES`, `record` None until its job began; `folder` is where it runs or ran."""

    overrides: tuple[str, ...]
    state: str
    folder: Path | None = None
    record: JobRecord | None = None

    @property
    def seconds(self) -> float | None:
        """How long its job took, or has been running."""
        if self.record is None:
            return None
        return max(0.0, (self.record.ended or self.record.heartbeat) - self.record.started)  # clocks are set back at times

    @property
    def reason(self) -> str:
        if self.record is None or self.state in ("done", "running"):
            return ""
        if self.state == "killed":
            return f"its process ended without a word, in stage {self.record.stage or 'start'}"
        return self.record.reason or ""


@dataclass(frozen=True)
class SweepStatus:
    """A sweep as its files tell it. `complete` is False where nothing says how many cells there are besides those that began."""

    folder: Path
    cells: tuple[Cell, ...]
    complete: bool
    damaged: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        counted = Counter(cell.state for cell in self.cells)
        return {state: counted[state] for state in STATES}

    @property
    def seconds_left(self) -> float | None:
        """About how long the sweep will still take with as many cells at once as run now; None where that is not known.

        Of cells that found everything in the store, only what they would tell of others of their kind is not counted.
        """
        counts = self.counts
        running = [cell for cell in self.cells if cell.state == "running"]
        if counts["running"] + counts["to do"] == 0:
            return 0.0
        usual = _usual_seconds(self.cells)
        if usual is None or not running:
            return None
        work = counts["to do"] * usual + sum(max(usual - (cell.seconds or 0.0), 0.0) for cell in running)
        return work / len(running)


def read_status(folder: str | Path) -> SweepStatus:
    """The status of the sweep, or of the single run, in `folder`. Raises `CcsError` where there is none."""
    folder, host = Path(folder), socket.gethostname()
    if not folder.is_dir():
        raise CcsError(f"{folder} is not a folder. Give the folder of a sweep, as multirun/2026-01-31/12-00-00.")
    damaged: list[str] = []
    began: dict[tuple[str, ...], tuple[Path, JobRecord]] = {}
    sweep = None
    try:
        sweep = read_sweep(folder)
    except CcsError as error:
        damaged.append(str(error))
    for path in sorted(folder.rglob(JOB_FILE)):
        try:
            record = read_job(path.parent)
        except CcsError as error:
            damaged.append(str(error))
            continue
        if record is not None:  # else it was taken away just now
            earlier = began.get(record.overrides)
            if earlier is None or earlier[1].started < record.started:
                began[record.overrides] = path.parent, record
    if not began and sweep is None and not damaged:
        raise CcsError(
            f"{folder} holds no {SWEEP_FILE} and no {JOB_FILE}: no sweep of ccs_exp ran there. Sweeps lie below multirun, as "
            "multirun/2026-01-31/12-00-00."
        )
    planned = sweep.cells if sweep else ()
    cells = tuple(
        Cell(overrides, began[overrides][1].state_now(host), *began[overrides]) if overrides in began else Cell(overrides, "to do")
        for overrides in dict.fromkeys((*planned, *began))
    )
    return SweepStatus(folder, cells, sweep is not None, tuple(damaged))


def as_json(status: SweepStatus) -> str:
    """The status for programs: what `shown` shows, and each cell's whole ``job.json``."""
    cells = [
        {
            "overrides": cell.overrides,
            "state": cell.state,
            "folder": cell.folder and str(cell.folder),
            "seconds": cell.seconds,
            "reason": cell.reason or None,
            "job": cell.record and asdict(cell.record),
        }
        for cell in status.cells
    ]
    facts = {"folder": str(status.folder), "complete": status.complete, "counts": status.counts, "damaged": status.damaged}
    return json.dumps(rounded({**facts, "seconds_left": status.seconds_left, "cells": cells}), indent=2, ensure_ascii=False)


def shown(status: SweepStatus) -> RenderableType:
    """The status as people read it; names and reasons are text, no markup in them is obeyed."""
    counts = [Text(f"{count} {state}", style=_STYLES.get(state, "red")) for state, count in status.counts.items() if count]
    head = Text.assemble(f"{len(status.cells)} cells: ", Text(", ").join(counts))
    left = status.seconds_left
    if left:
        head.append(f"; about {timedelta(seconds=round(left))} left")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "Cell", "State", "Stage", "Time", "Memory", "Where"):
        table.add_column(name, overflow="fold")
    names = varied([cell.overrides for cell in status.cells])
    for number, (own, cell) in enumerate(zip(names, status.cells, strict=True)):
        table.add_row(str(number), *_row(cell, " ".join(own or cell.overrides)))
    parts: list[RenderableType] = [head, table]
    for number, cell in enumerate(status.cells):
        if cell.state in _UNFINISHED and cell.folder and cell.record:
            parts.append(Text(f"#{number} {cell.state}: {clean(cell.reason)}", style="red"))
            parts.append(Text(f"    log: {cell.folder / LOG_FILE}{_slurm_log(status.folder, cell.record)}", style="dim"))
    if not status.complete:
        parts.append(Text(f"There is no {SWEEP_FILE}: cells that have not begun are not known.", style="dim"))
    parts += [Text(clean(f"Damaged: {message}"), style="yellow") for message in status.damaged]
    return Group(*parts)


def _row(cell: Cell, name: str) -> tuple[Text | str, ...]:
    state = Text(cell.state, style=_STYLES.get(cell.state, "red"))
    if cell.record is None:
        return Text(clean(name)), state, "", "", "", ""
    record = cell.record
    attempt = f" (attempt {record.attempt})" if record.attempt > 1 else ""
    memory = record.usage.get("gpu_memory_mib") or record.usage.get("memory_mib")
    place = f"{record.host}, Slurm {record.slurm_job}" if record.slurm_job else record.host
    return (
        Text(clean(name)),
        Text.assemble(state, attempt),
        record.stage or "",
        str(timedelta(seconds=round(cell.seconds or 0.0))),
        f"{memory} MiB" if memory else "",
        Text(clean(place)),
    )


def _usual_seconds(cells: Sequence[Cell]) -> float | None:
    done = [(cell.seconds or 0.0, cell.record.stages) for cell in cells if cell.state == "done" and cell.record]
    # what was answered from the store says nothing of what is still to be computed
    computed = [item for item in done if "evaluate" in item[1] or "decompose" in item[1]]
    seconds = [taken for taken, _ in computed or done]
    return statistics.fmean(seconds) if seconds else None


def _slurm_log(folder: Path, record: JobRecord) -> str:
    if not record.slurm_job:
        return ""
    found = sorted(folder.glob(f"slurm/{record.slurm_job}/*_log.err"))
    return f", {found[0]}" if found else ""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit status 1 after an error, or where a cell has failed."""
    parser = argparse.ArgumentParser(
        prog="ccs-exp status", description="How the cells of a sweep are: done, running, failed, to do, and time left."
    )
    parser.add_argument("directory", metavar="SWEEP_DIR", help="a sweep's folder, as multirun/2026-01-31/12-00-00")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--watch", action="store_true", help="go on showing it until nothing runs any more")
    shape.add_argument("--json", action="store_true", help="for programs: all that is known of each cell")
    parser.add_argument("--every", type=float, default=5.0, metavar="S", help="seconds between two looks with --watch (5)")
    asked = parser.parse_args(arguments)
    if asked.every <= 0:
        parser.error("--every: give a number above 0")
    try:
        status = read_status(asked.directory)
        if asked.watch:
            with Live(shown(status), auto_refresh=False, console=Console()) as live:
                while _goes_on(status):
                    time.sleep(asked.every)
                    status = read_status(asked.directory)
                    live.update(shown(status), refresh=True)
        elif asked.json:
            print(as_json(status))
        else:
            Console(width=None if sys.stdout.isatty() else _WIDE).print(shown(status))
    except CcsError as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    if any(status.counts[state] for state in _UNFINISHED):
        sys.exit(1)


def _goes_on(status: SweepStatus) -> bool:
    """Something runs, or has not begun: a queue may take its time."""
    return bool(status.counts["running"] or status.counts["to do"])

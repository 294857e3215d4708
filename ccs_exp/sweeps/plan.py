"""``-m ... plan=true``: the cells of a sweep, which of them are done, and what the others will take together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.text import Text
from yaml import YAMLError

from ccs_exp.clip.loading import unloaded
from ccs_exp.config.checks import check
from ccs_exp.config.plain import plain
from ccs_exp.errors import CcsError
from ccs_exp.jobs import plan
from ccs_exp.jobs.assemble import build_scorers, build_strategies
from ccs_exp.jobs.decisive import decisive_settings
from ccs_exp.journal.state import JOB_FILE, read_job
from ccs_exp.llm.ledger import dollars
from ccs_exp.scoring.robustness import extra_requests

_ENCODING = ("model", "seed", "precision", "batch_size", "on_error")

Finder = Callable[[DictConfig, tuple[str, ...]], str | None]  # of a cell's configuration and overrides


@dataclass(frozen=True)
class PlannedCell:
    """A cell: its configuration (None where it cannot work, for `problem`), and where it is done already, if it is."""

    overrides: tuple[str, ...]
    cfg: DictConfig | None
    done: str | None = None
    problem: str | None = None


def plan_sweep(cells: Sequence[Sequence[str]], find: Finder) -> tuple[list[PlannedCell], list[plan.PlanLine]]:
    """The cells, each given by its overrides, and what those that are to do will take, work that they share counted once.

    Inside Hydra's application only. `find` says where a cell is done already.
    """
    planned = [_planned(tuple(overrides), find) for overrides in cells]
    todo = [cell.cfg for cell in planned if cell.cfg is not None and cell.done is None]
    return planned, [*_counts(planned), *_work(todo), *_requests(todo)]


def show_plan(cells: Sequence[PlannedCell], lines: list[plan.PlanLine]) -> None:
    """Print the cells and the sums, texts as they are."""
    console = Console()
    shared = set.intersection(*(set(cell.overrides) for cell in cells))
    names = [" ".join(item for item in cell.overrides if item not in shared) or " ".join(cell.overrides) for cell in cells]
    widths = len(str(len(names))), max(map(len, names))
    for number, (name, cell) in enumerate(zip(names, cells, strict=True)):
        state = f"cannot work: {cell.problem}" if cell.problem else f"done: {cell.done}" if cell.done else "to do"
        style = "red" if cell.problem else "green" if cell.done else ""
        console.print(Text.assemble(f"{number:>{widths[0]}}  {name:{widths[1]}}  ", (state, style)), soft_wrap=True)
    plan.show(lines)


def _planned(overrides: tuple[str, ...], find: Finder) -> PlannedCell:
    try:
        cfg = compose("config", overrides=list(overrides))
        check(cfg)
        build_strategies(cfg.prune)
        return PlannedCell(overrides, cfg, find(cfg, overrides))
    except (CcsError, HydraException, OmegaConfBaseException) as error:
        return PlannedCell(overrides, None, problem=" ".join(str(error).split()))


def _counts(cells: Sequence[PlannedCell]) -> Iterator[plan.PlanLine]:
    done, bad = (sum(getattr(cell, name) is not None for cell in cells) for name in ("done", "problem"))
    cannot = f", {bad} that cannot work" if bad else ""
    yield plan.PlanLine("cells", f"{len(cells)}: {done} done, {len(cells) - done - bad} to do{cannot}")


def _work(todo: Sequence[DictConfig]) -> Iterator[plan.PlanLine]:
    """Passes over images, TEXTSPAN runs, and the weights that are loaded."""
    described = [cfg for cfg in todo if cfg.ccs.name == "computed" and cfg.spans.name != "file"]
    probes = _distinct(described, *_ENCODING, "probe")
    evaluated = [cfg for cfg in todo if cfg.dataset.name != "none"]
    sets = _distinct(evaluated, "dataset", "protocol", "on_error")
    if described:
        spans = len(_distinct(described, *_ENCODING, "probe", "pool", "textspan"))
        yield plan.PlanLine("passes", f"{len(probes)} over probe images ({_images(probes, 'probe')}); {spans} TEXTSPAN runs")
    if evaluated:
        yield plan.PlanLine(
            "passes", f"{len(evaluated)} to evaluate ({_images(evaluated, 'dataset')}), over {len(sets)} data sets"
        )
    models = _distinct([*described, *evaluated], "model", "seed")
    sizes = [_weights(cfg) for cfg in models]
    if models:
        known = sum(size for size in sizes if size is not None)
        more = " and those of unknown shape" if None in sizes else ""
        yield plan.PlanLine("bytes", f"{known / 1e9:.2f} GB of weights of {len(models)} models in single precision{more}")


def _requests(todo: Sequence[DictConfig]) -> Iterator[plan.PlanLine]:
    """What language models are asked; cells with the same heads, labeler and judge ask once."""
    asking = [cfg for cfg in todo if cfg.ccs.name == "computed"]
    distinct = _distinct(asking, *_ENCODING, "probe", "pool", "textspan", "spans", "labeler", "judge", "robustness")
    to_ask, kept, tokens, cost, unpriced, extra, unknown = 0, 0, 0, 0.0, 0, 0, 0
    limits = set()
    for cfg in distinct:
        scorers = build_scorers(cfg)
        heads, _ = plan.heads_to_score(cfg)
        unknown += not heads
        forecasts = scorers.forecast(heads)
        for item in forecasts:
            to_ask, kept = to_ask + item.requests - item.kept, kept + item.kept
            tokens += item.input_tokens + item.output_tokens
            cost, unpriced = cost + (item.cost or 0.0), unpriced + (item.cost is None)
        if forecasts:
            extra += sum(extra_requests(len(heads), cfg.robustness.relabel_draws, cfg.robustness.shuffled_labels))
            limits.add(scorers.session.ledger.limit)
    if unknown:
        yield plan.PlanLine(
            "ask", f"of {unknown} models it is not known how many heads they have, so their requests are missing here"
        )
    if not to_ask and not kept:
        yield plan.PlanLine("ask", "no requests to language models")
        return
    price = f"about {dollars(cost)}" + (f" without {unpriced} kinds of requests whose price is not known" if unpriced else "")
    yield plan.PlanLine("ask", f"{to_ask} requests to send (about {tokens:,} tokens), {kept} replies kept; {price}")
    if extra:
        yield plan.PlanLine("ask", f"robustness: at most {extra} more requests, not in that price")
    for limit in limits - {None}:
        yield plan.PlanLine("ask", f"max_cost_usd={limit:g} holds for each job, not for the sweep")


def _distinct(cfgs: Sequence[DictConfig], *parts: str) -> list[DictConfig]:
    """Of the configurations that are alike in `parts` one each."""
    return list({_identity(cfg, parts): cfg for cfg in cfgs}.values())


def _identity(cfg: DictConfig, parts: Sequence[str] | None = None) -> str:
    kept = {key: value for key, value in decisive_settings(plain(cfg)).items() if parts is None or key in parts}
    if "model" in kept:  # what it is called changes nothing
        kept["model"] = {key: value for key, value in kept["model"].items() if parts is None or key != "variant"}
    return json.dumps(kept, sort_keys=True)


def _images(cfgs: Sequence[DictConfig], group: str) -> str:
    known = [plan.number_of_samples(cfg[group]) for cfg in cfgs]
    total = f"{sum(size for size in known if size is not None):,} images or videos"
    return f"{total}, and those of {known.count(None)} of unknown size" if None in known else total


def _weights(cfg: DictConfig) -> int | None:
    try:
        clip = unloaded(cfg.model.name, cfg.model.architecture, cfg.model.repository)
    except CcsError:
        return None
    return sum(parameter.nbytes for parameter in clip.parameters())


def finished_folders(folders: Sequence[Path]) -> Finder:
    """Finds cells among the finished runs below `folders`, whatever else lies there."""
    finished: dict[str, str] = {}
    for path in sorted({path.resolve() for folder in folders if folder.is_dir() for path in folder.rglob(JOB_FILE)}):
        config = path.parent / ".hydra" / "config.yaml"
        try:
            record = read_job(path.parent)
            if record and record.state == "done" and (path.parent / "summary.json").is_file() and config.is_file():
                finished[_identity(DictConfig(OmegaConf.load(config)))] = str(path.parent)
        except (CcsError, OmegaConfBaseException, YAMLError, RecursionError, OSError, ValueError, KeyError, TypeError):
            continue  # what cannot be read is not known to be done
    return lambda cfg, _: finished.get(_identity(cfg))

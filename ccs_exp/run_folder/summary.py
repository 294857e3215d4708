"""What ``summary.json`` holds, by type: what reads the folders of others believes nothing that does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, FiniteFloat, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from ccs_exp.errors import CcsError
from ccs_exp.run_folder.columns import PRIMARY_METRICS
from ccs_exp.run_folder.evidence_summary import Ends, EvidenceSummary, Natural
from ccs_exp.run_folder.folder import RunFolder

Shares = dict[str, FiniteFloat | None]


class RandomDraws(TypedDict):
    """Mean and sample standard deviation of the primary metric over the conditions ``random/<seed>``."""

    mean: FiniteFloat | None
    sd: FiniteFloat | None
    seeds: list[int]


class Weights(TypedDict):
    """Where the model's weights are from; `sha256` is None of random ones."""

    origin: str
    sha256: str | None


class Asked(TypedDict):
    """What a job was asked: its whole configuration, without secrets, the sweep's name, and in what it differs from the sweep's others."""

    config: dict[str, Any]
    sweep: str | None
    varied: list[str]


class Ran(TypedDict):
    """What answered: our version and commit, versions of libraries, the device, how long it took until the results stood, and memory.

    `stages` are seconds, as is `seconds` of them together with what lay between; both are of this job, also where results came from
    the store. Of a job that nobody recorded, as in a notebook, `started` and `seconds` are None.
    """

    version: str
    commit: str | None
    libraries: dict[str, str]
    device: str
    device_name: str
    threads: Natural
    started: str | None
    seconds: FiniteFloat | None
    stages: dict[str, FiniteFloat]
    images_per_second: dict[str, FiniteFloat]
    peak_memory_mib: Natural
    gpu_peak_memory_mib: Natural | None


class Relabel(TypedDict):
    """Labels named anew (`ccs_exp.scoring.robustness.summarise_relabel`)."""

    draws: Natural
    same_ccs: FiniteFloat
    same_class: FiniteFloat
    changing_class: FiniteFloat
    mean_sd: FiniteFloat
    high_overlap: FiniteFloat | None


class Shuffled(TypedDict):
    """Heads under other heads' labels (`ccs_exp.scoring.robustness.summarise_null`)."""

    judged: Natural
    ccs_at_k: dict[str, FiniteFloat]
    mean: FiniteFloat
    observed_mean: FiniteFloat | None
    high: FiniteFloat
    high_interval: Ends | None
    observed_high: FiniteFloat | None


class Robustness(TypedDict):
    relabel: Relabel | None
    shuffled_labels: Shuffled | None


class AtlasPages(TypedDict):
    """How many pages the atlas has; `contributions` names the entry in the store that they were made of, if it was kept."""

    contributions: str | None
    images: Natural
    pages: Natural


@with_config(ConfigDict(strict=True, extra="allow"))  # which the types within take over
class Summary(TypedDict):
    """``summary.json`` as `RunFolder` describes it; what may be absent is None. Other keys stand beside these."""

    model: str
    dataset: str | None
    config_hash: str
    ccs_at_k: Shares | None
    accuracy: Shares | None
    delta: Shares | None
    random: RandomDraws | None
    skipped: list[str]
    unjudged: Natural
    from_store: list[str]
    warnings: list[str]
    metric: str | None
    num_samples: Natural | None
    ties: dict[str, Natural] | None
    heads_per_class: dict[str, Natural] | None
    tagged_share: FiniteFloat | None
    weights: Weights | None
    decoder: str | None
    choices: dict[str, Any] | None
    robustness: Robustness | None
    evidence: EvidenceSummary | None
    asked: Asked | None
    ran: Ran | None
    atlas: AtlasPages | None


def read_summary(folder: Path) -> Summary:
    """The summary of a finished run. Raises `CcsError` where it is absent, of another schema version, or holds what no run writes."""
    try:
        return _adapter().validate_python(RunFolder(folder).read_summary())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CcsError(
            f"{folder}/summary.json: {where} is {str(first['input'])[:40]!r}, which no run writes ({first['msg']}). Run the job again."
        ) from error


def primary_metric(summary: Summary, metrics: Iterable[str]) -> str:
    """Which of the metrics of ``accuracy.csv`` stands for the run."""
    known = list(metrics)
    return next((name for name in (summary["metric"], *PRIMARY_METRICS) if name in known), known[0])


@cache
def _adapter() -> TypeAdapter[Summary]:
    return TypeAdapter(Summary)

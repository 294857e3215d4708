"""The paper's claims: what it says where, and the comparisons that would have to be above zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ccs_exp.files import ASSETS, read_csv
from ccs_exp.heads import ORIGINAL
from ccs_exp.report.reproduction.claims.estimates import Estimate, mean_of, scaled
from ccs_exp.report.reproduction.claims.models import larger_rises, pairs_of_models, sizes_by_data_set
from ccs_exp.report.reproduction.claims.sources import Source
from ccs_exp.report.reproduction.claims.verdict import Comparison, Finding, finding
from ccs_exp.report.reproduction.paper import Paper

HIGH, LOW, RANDOM = "high_ccs", "low_ccs", "random"


@dataclass(frozen=True)
class Claim:
    """`text`: what the paper says in `section`; `test`: what is compared; `unit`: what the comparisons' values are in."""

    name: str
    section: str
    text: str
    test: str
    compare: Callable[[Source, Paper], Sequence[Comparison]]
    unit: str = "points"


def findings(source: Source, paper: Paper) -> dict[str, Finding]:
    """What a source says of each claim, by the claim's name."""
    return {claim.name: finding(list(claim.compare(source, paper))) for claim in CLAIMS}


def _cells(source: Source, video: bool | None = None) -> Iterator[tuple[str, str]]:
    for dataset in source.datasets:
        if video is None or source.retrieval(dataset) == video:
            yield from ((model, dataset) for model in source.models)


def _named(paper: Paper, model: str, dataset: str) -> str:
    return f"{paper.title(model)}, {paper.datasets.get(dataset, dataset)}"


def _known(asked: Iterable[tuple[str, Estimate | None, str]]) -> list[Comparison]:
    """Comparisons by name and group, where the source says something."""
    return [Comparison(name, estimate, group) for name, estimate, group in asked if estimate]


def _high_against(other: str, equal: bool = False, video: bool | None = None) -> Callable[[Source, Paper], list[Comparison]]:
    def compare(source: Source, paper: Paper) -> list[Comparison]:
        cells = _cells(source, video)
        return _known((_named(paper, *cell), source.more(*cell, HIGH, other, equal), cell[0]) for cell in cells)

    return compare


def _per_head(source: Source, paper: Paper) -> list[Comparison]:
    """The two costs have the original in common, which makes them go together; as if they did not, the error is too large."""

    def more(model: str, dataset: str) -> Estimate | None:
        high, low = (source.more(model, dataset, condition) for condition in (HIGH, LOW))
        many, few = (source.heads(model, dataset, condition) for condition in (HIGH, LOW))
        return scaled(high, 1 / many, low, 1 / few) if high and low and many and few else None

    return _known((_named(paper, *cell), more(*cell), cell[0]) for cell in _cells(source))


def _beside_matched(source: Source, paper: Paper) -> list[Comparison]:
    return _known((_named(paper, *cell), source.beside_matched(*cell, HIGH), cell[0]) for cell in _cells(source))


def _video(source: Source, paper: Paper) -> list[Comparison]:
    found = []
    for other, what in ((ORIGINAL, "than nothing"), (LOW, "than low"), (RANDOM, "than random")):
        found += [replace(item, name=f"{item.name}: high {what}") for item in _high_against(other, video=True)(source, paper)]
    return found


def _out_of_domain(source: Source, paper: Paper) -> list[Comparison]:
    def mean_cost(model: str, group: str) -> Estimate | None:
        return mean_of([source.more(model, name, HIGH) for name in source.datasets if name in paper.groups[group]])

    def more(model: str) -> Estimate | None:
        outside, inside = mean_cost(model, "out_of_domain"), mean_cost(model, "in_domain")
        return scaled(outside, 1, inside, 1) if outside and inside else None

    return _known((paper.title(model), more(model), model) for model in source.models)


def _concepts(source: Source, paper: Paper) -> list[Comparison]:
    return _known(
        (f"{_named(paper, *cell)}: {asked} than {other}", source.more(*cell, f"concept/{asked}", f"concept/{other}"), cell[0])
        for cell, asked in _asked(source)
        for other in source.concepts
        if other != asked
    )


def _concepts_beside_matched(source: Source, paper: Paper) -> list[Comparison]:
    return _known(
        (f"{_named(paper, *cell)}: {asked}", source.beside_matched(*cell, f"concept/{asked}"), cell[0]) for cell, asked in _asked(source)
    )


def _asked(source: Source) -> Iterator[tuple[tuple[str, str], str]]:
    """Cells, each with the concept that its data set asks for; a data set of several tasks is not in one cell."""
    for row in read_csv(ASSETS / "concept_tests.csv", ("concept", "dataset", "task")):
        if row["dataset"] in source.datasets and not row["task"]:
            yield from (((model, row.text("dataset")), row.text("concept")) for model in source.models)


CLAIMS = (
    Claim(
        "high_more_than_low", "5.2", "Silencing high heads costs more than silencing low heads, on all data sets.",
        "in every cell, the cost of high heads less that of low heads", _high_against(LOW),
    ),
    Claim(
        "more_per_head", "5.2", "High heads matter more, head by head.",
        "in every cell, the cost of a high head less that of a low one (the paper silences 3 to 18 more high heads than low ones)",
        _per_head, "points a head",
    ),
    Claim(
        "more_at_equal_counts", "5.2", "High heads cost more than as many low heads.",
        "in every cell, high less low, both drawn down to the smaller number (prune.match_count=min)", _high_against(LOW, equal=True),
    ),
    Claim(
        "more_than_matched", "5.3", "High heads cost more than as many random heads.",
        "in every cell, high against sets with as many heads in each layer (prune=matched), of which the paper has none", _beside_matched,
    ),
    Claim(
        "more_than_random", "5.3", "High heads cost more than as many of the heads that are not high (the paper's own control).",
        "in every cell, high less the mean of the random draws; layers are not matched", _high_against(RANDOM),
    ),
    Claim(
        "costs_everywhere", "5.2", "Silencing high heads costs accuracy on all data sets.",
        "in every cell, the cost of high heads", _high_against(ORIGINAL),
    ),
    Claim(
        "out_of_domain", "5.4", "High heads matter out of domain, more than in domain.",
        "for each model, the mean cost on ImageNet-A and -R less that on the five data sets in domain", _out_of_domain,
    ),
    Claim(
        "video", "5.6", "High heads cost retrieval of videos more than low and random heads do.",
        "in every cell, R@1 lost to high heads, less that to low, and to random heads", _video,
    ),
    Claim(
        "larger_lose_less", "5.2", "Larger models lose less.",
        "on each data set, the mean cost of the ViT-B models less that of the ViT-L models", sizes_by_data_set(ORIGINAL),
    ),
    Claim(
        "larger_less_above_random", "5.3", "Larger models lose less above what random heads cost.",
        "on each data set, high less random of the ViT-B models less that of the ViT-L models", sizes_by_data_set(RANDOM),
    ),
    Claim(
        "b16_most", "5.2", "The ViT-B-16 models lose most.",
        "each ViT-B-16 against each other model: costs over data sets, random effects",
        pairs_of_models(lambda one: (one.size, one.patch) == ("B", 16)),
    ),
    Claim(
        "l14_least", "5.2", "The ViT-L-14 models lose least.",
        "each other model against each ViT-L-14: costs over data sets, random effects",
        pairs_of_models(lambda one: one.size == "L", least=True),
    ),
    Claim(
        "openai_above_laion", "5.2", "OpenAI's models lose more than OpenCLIP's at size B, less at size L.",
        "pairs of one architecture: costs over data sets, random effects",
        pairs_of_models(lambda one: one.openai == (one.size == "B"), lambda one, other: (one.size, one.patch) == (other.size, other.patch)),
    ),
    Claim(
        "consistency_rises", "5.1", "The share of heads with CCS 5 rises with the size of the model and of its data.",
        "logistic regression of the share over models: the slopes of size and of the number of image-text pairs", larger_rises, "log odds",
    ),
    Claim(
        "concepts", "5.5", "Heads of a concept cost most where their concept is asked for.",
        "on data sets that ask for a concept, its heads less those of each other concept; concepts have 1 to 9 heads", _concepts,
    ),
    Claim(
        "concepts_beside_matched", "5.5", "They cost more there than other heads do.",
        "on data sets that ask for a concept, its heads against sets with as many heads in each layer", _concepts_beside_matched,
    ),
)  # fmt: skip

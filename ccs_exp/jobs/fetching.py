"""What a job needs of the hub: said before anything is fetched, and fetched beforehand by ``ccs-exp prefetch``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from omegaconf import DictConfig

from ccs_exp.clip.hugging_face import PARTS, repositories
from ccs_exp.clip.loading import wanted_of_tag
from ccs_exp.clip.repository import repository_named
from ccs_exp.config.plain import plain
from ccs_exp.errors import CcsError
from ccs_exp.files.hub import Missing, Wanted, missing, place
from ccs_exp.jobs.assemble import build, build_pool
from ccs_exp.jobs.encode import build_model
from ccs_exp.jobs.load_stage import asks_probe


class Need(NamedTuple):
    """One thing that comes from outside. Needs of one `identity` are the same; `load` is how a job comes to it."""

    what: str
    identity: str
    wanted: Callable[[], Wanted | None]
    load: Callable[[], object]


def needs(cfg: DictConfig, *, describes: bool, evaluates: bool) -> list[Need]:
    """What a job that describes heads, or evaluates, needs, in the order in which it comes to it."""
    probe = asks_probe(cfg, describes, evaluates)
    pool = Need("pool clip_text_span", "pool", lambda: None, lambda: build_pool(cfg.pool))
    found = [
        _images(cfg, "dataset", "data set") if evaluates else None,
        _weights(cfg) if describes or evaluates else None,
        _images(cfg, "probe", "probe") if probe else None,
        pool if probe and cfg.pool.name == "clip_text_span" else None,
    ]
    return [need for need in found if need is not None]


def needs_of_job(cfg: DictConfig, evaluates: bool) -> list[Need]:
    """What a job needs if nothing of it is done yet."""
    describes = cfg.ccs.name == "computed" and cfg.spans.name != "file"
    return needs(cfg, describes=describes, evaluates=evaluates)


def said(found: Sequence[Need], known_only: bool = True) -> Iterator[str]:
    """For each need what is missing, how much that is and where it comes from; then how much that is together, and where it goes.

    `known_only`: nothing of what cannot be told, as it will say so itself when its turn comes.
    """
    total = 0
    for need in found:
        wanted, lacking = _lacking(need)
        if wanted is None:
            continue
        if lacking is None:
            if not known_only:
                yield f"{need.what}: from {wanted.page}; what is missing cannot be told, because the hub is not to be reached"
        elif lacking.files:
            total += lacking.size
            yield f"{need.what}: {_size(lacking.size)} from {wanted.page}"
    if total:
        yield f"together {_size(total)}, to {place()}; HF_HOME=DIR chooses another place"


def _lacking(need: Need) -> tuple[Wanted | None, Missing | None]:
    try:
        wanted = need.wanted()
    except CcsError:
        return None, None
    return wanted, missing(wanted) if wanted else None


def _images(cfg: DictConfig, group: str, noun: str) -> Need | None:
    source = plain(cfg[group].source)
    if "hub" not in source and "id" not in source:
        return None

    def wanted() -> Wanted | None:
        from ccs_exp.data.published.any_set import hub_source  # the library that reads these sets takes seconds to import

        hub = hub_source(source)
        return hub.wanted if hub else None

    return Need(f"{noun} {cfg[group].name}", json.dumps(source, sort_keys=True), wanted, lambda: build(cfg[group].source))


def _weights(cfg: DictConfig) -> Need | None:
    model = cfg.model
    named = repository_named(model.name, model.repository)
    if named is not None:  # which of its files are wanted, only its configuration says
        return Need(f"model {named}", json.dumps([named]), lambda: None, lambda: build_model(cfg))
    if model.weights is not None or model.pretrained is None:
        parts = repositories(model.name)
        nouns = " and ".join(PARTS[part] for part in parts)
        return Need(f"{nouns} of {model.name}", json.dumps([model.name]), lambda: None, lambda: build_model(cfg)) if parts else None
    name, identity = model.variant or f"{model.name}/{model.pretrained}", json.dumps([model.name, model.pretrained])
    return Need(f"weights of {name}", identity, lambda: wanted_of_tag(model.name, model.pretrained), lambda: build_model(cfg))


def _size(number: int) -> str:
    return f"{number / 1e9:.2f} GB" if number >= 1e7 else f"{number / 1e6:.2f} MB"

"""From configuration nodes to the objects they describe."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from ccs_exp.config.plain import plain
from ccs_exp.errors import CcsError
from ccs_exp.llm.session import share_session
from ccs_exp.pruning.context import Strategy
from ccs_exp.scoring.ccs import Thresholds
from ccs_exp.scoring.pool import Pool, file_pool, original_pool, taxonomy_pool
from ccs_exp.scoring.scorers import Scorers


def build(node: DictConfig, **more: Any) -> Any:
    """Instantiate what the node's ``_target_`` names; `CcsError`s of its constructor come through as they are."""
    try:
        return instantiate(_without_names(plain(node)), **more, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, CcsError):
            raise error.__cause__ from None
        raise


def _without_names(node: Any) -> Any:
    """What is built takes no ``name``: that is what the command line calls the choice."""
    if not isinstance(node, dict):
        return node
    ours = "_target_" in node and "_partial_" not in node  # others' classes, as Lightning's loggers, have names of their own
    return {key: _without_names(value) for key, value in node.items() if key != "name" or not ours}


def build_pool(node: DictConfig) -> Pool:
    if node.name == "clip_text_span":
        return original_pool()
    if node.name == "file":
        return file_pool(node.path)
    return taxonomy_pool(node.name, node.parts)


def build_strategies(node: DictConfig) -> list[Strategy]:
    """The chosen strategies, in the order of the schema."""
    nodes = [part for part in node.values() if isinstance(part, DictConfig)]
    return [item for part in nodes for item in ([build(part)] if "_target_" in part else build_strategies(part))]


def build_scorers(cfg: DictConfig) -> Scorers:
    """Labeler, judge and thresholds; those of them that ask language models share one budget and one record."""
    labeler, judge = build(cfg.labeler), build(cfg.judge)
    return Scorers(labeler, judge, build_thresholds(cfg.ccs), share_session(labeler, judge))


def build_thresholds(node: DictConfig) -> Thresholds:
    return Thresholds(node.high, node.low)

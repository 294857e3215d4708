"""Nodes of a configuration as plain data."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf


def plain(node: DictConfig) -> dict[str, Any]:
    """`node` as dictionaries, lists and values, its interpolations resolved."""
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict), node
    return {str(key): value for key, value in content.items()}

"""Which files of the hub a data set or probe is read from, told from its settings alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccs_exp.data.published import any_set
from ccs_exp.data.published.hub import HubSource


def hub_source(source: Mapping[str, Any]) -> HubSource | None:
    """The hub's files of the settings below ``source``; None where it reads none, or a copy, or streams them.

    Raises `CcsError` where their names must be asked of the hub, and cannot be.
    """
    if source.get("path") is not None or source.get("streaming"):
        return None
    if "hub" in source:
        return HubSource(**{key: value for key, value in source["hub"].items() if key != "_target_"})
    arguments = {key: value for key, value in source.items() if key != "_target_"}
    openers = {any_set.hub_set: any_set.parquet_source, any_set.collection_set: any_set.collection_source}
    named = {f"{opener.__module__}.{opener.__name__}": find for opener, find in openers.items()}
    find = named.get(str(source.get("_target_")))
    return find(**arguments) if find else None

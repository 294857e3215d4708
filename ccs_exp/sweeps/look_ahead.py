"""Before a sweep starts: a cell that cannot be composed ends it, and cells that are one and the same job are named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from ccs_exp.config.mistakes import explained, known_settings
from ccs_exp.config.place import config_dir
from ccs_exp.config.plain import plain
from ccs_exp.errors import CcsError
from ccs_exp.jobs.decisive import NEVER, SOMETIMES, decisive_settings, without_effect

Cells = Sequence[Sequence[str]]


def for_cells(arguments: Sequence[str]) -> list[str]:
    """A sweep's command line whose cells alone get the settings of a choice, as a sweep over one value: Hydra composes what all
    cells share first, and a choice that is swept, or comes with a model that is, is not yet there."""
    if not {"-m", "--multirun"} & set(arguments) or not any("." in argument.split("=")[0] for argument in arguments):
        return list(arguments)
    homes = known_settings()
    return [_swept(argument) if homes.get(argument.lstrip("+").split("=")[0]) else argument for argument in arguments]


def _swept(argument: str) -> str:
    key, _, value = argument.partition("=")
    parser = OverridesParser.create()
    try:
        one = parser.parse_override(f"{key}=choice({value})")
        return argument if "${" in value or parser.parse_override(argument).is_sweep_override() else one.input_line or argument
    except HydraException:  # of what it does not understand Hydra says so itself
        return argument


def check_cells(cells: Cells) -> None:
    """Raise `CcsError` for a setting that the choices of a cell do not have; inside Hydra's application only."""
    if not any("." in key and known_settings().get(key) for key in _keys(cells)):  # settings of a choice have a dot
        return
    groups = {path.name for path in Path(config_dir()).iterdir() if path.is_dir()}
    alike = {tuple(item for item in cell if item.split("=")[0] in groups): number for number, cell in reversed(list(enumerate(cells)))}
    for number in sorted(alike.values()):
        try:
            compose("config", overrides=list(cells[number]))
        except (HydraException, OmegaConfBaseException) as error:
            raise CcsError(f"Cell {number} of the sweep ({' '.join(cells[number])}): {explained(error)}") from error


def same_jobs(cells: Cells) -> Iterator[str]:
    """A line for every set of cells that find the same, because no setting in which they differ can change their result."""
    varied = {key for key in _keys(cells) if len({item for cell in cells for item in cell if item.split("=")[0] == key}) > 1}
    if not any(key in SOMETIMES or key.split(".")[0] in NEVER for key in varied):
        return
    alike: dict[str, list[int]] = {}
    reasons: dict[str, str] = {}
    for number, cell in enumerate(cells):
        try:
            config = plain(compose("config", overrides=list(cell)))
        except (HydraException, OmegaConfBaseException):
            continue  # it says so itself when its turn comes
        alike.setdefault(json.dumps(decisive_settings(config), sort_keys=True), []).append(number)
        reasons |= without_effect(config)
    for numbers in alike.values():
        if len(numbers) > 1:
            inert = sorted(key for key in varied if key in reasons or key.split(".")[0] in NEVER)
            why = "; ".join(f"{key} cannot change the result" + (f": {reasons[key]}" if key in reasons else "") for key in inert)
            yield f"Cells {', '.join(map(str, numbers))} of the sweep are the same job, computed once: {why}."


def _keys(cells: Cells) -> set[str]:
    return {item.lstrip("+").split("=")[0] for cell in cells for item in cell}

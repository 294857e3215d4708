"""Arrows point down: the rooms of ARCHITECTURE.md import only from rooms below them."""

import ast
import re
from pathlib import Path

import ccs_exp

PACKAGE = Path(ccs_exp.__file__).parent
ROOMS = [  # from top to bottom; rooms in one row do not import each other
    {"__main__"},
    {"sweep"},
    {"sweep_plan"},
    {"notebook", "experiment"},
    {"assemble", "score_stage"},
    {"resume", "failures"},
    {"plan"},
    {"dashboard"},
    {"tracking", "agreement", "status"},
    {"report"},
    {"summary"},
    {"rows"},
    {"tasks"},
    {"pruning"},
    {"scoring"},
    {"compute"},
    {"crew"},
    {"data"},
    {"clip"},
    {"keys"},
    {"config", "results", "statistics", "store"},
    {"verdict_files", "journal"},
    {"records"},
    {"files", "services", "gpus", "slurm", "wandb_records"},
    {"heads", "processes"},
    {"errors"},
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" if node.module == "ccs_exp" else node.module for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("ccs_exp."))


def modules():
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_every_module_has_a_room():
    assert {room_of(path) for path in modules()} == set(LEVEL)


def test_arrows_point_down():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in modules()
        for room in imports(path)
        if room != "__version__" and room != room_of(path) and LEVEL[room] <= LEVEL[room_of(path)]
    ]
    assert not wrong


def test_only_the_clip_room_knows_open_clip():
    knowing = {room_of(path) for path in modules() if "open_clip." in path.read_text() and "import open_clip" in path.read_text()}
    assert knowing == {"clip"}


def test_rooms_are_small():
    long = {str(path.relative_to(PACKAGE)): lines for path in modules() if (lines := path.read_text().count("\n")) > 250}
    assert not long


def test_whatever_imports_torchvision_first_declares_its_operators():
    """Any module can be the first that is imported; outside the clip room, whose package does it, each must see to it."""
    imported = re.compile(r"^(?:import|from) (lightning|torchvision|open_clip|torchmetrics|ccs_exp\.clip)\b", re.MULTILINE)
    for path in modules():
        names = imported.findall(path.read_text(encoding="utf-8"))
        if room_of(path) != "clip" and set(names) - {"ccs_exp.clip"}:
            assert names[0] == "ccs_exp.clip", path

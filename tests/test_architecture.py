"""What the tree promises; which room may import which is the linter's (`make lint`, tables in pyproject.toml)."""

import re
from pathlib import Path

import ccs_exp

PACKAGE = Path(ccs_exp.__file__).parent


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_the_root_is_seen_at_a_glance():
    names = {path.name for path in PACKAGE.iterdir()} - {"__init__.py", "__pycache__", "assets", "py.typed"}
    assert len(names) <= 24
    assert sum((PACKAGE / name).is_file() for name in names) <= 8


def test_every_room_says_what_it_is():
    rooms = [path for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    assert not [str(path.relative_to(PACKAGE)) for path in rooms if not path.read_text().startswith('"""')]


def test_only_the_clip_room_knows_open_clip():
    imports = re.compile(r"^\s*(import|from) open_clip\b", re.MULTILINE)
    knowing = {path.relative_to(PACKAGE).parts[0] for path in modules() if imports.search(path.read_text())}
    assert knowing == {"clip"}


def test_rooms_are_small():
    long = {str(path.relative_to(PACKAGE)): lines for path in modules() if (lines := path.read_text().count("\n")) > 250}
    assert not long

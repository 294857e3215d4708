"""Every file that people write, spoiled in every way that files come: it is read as it was meant, or refused by name, and never else."""

import ast
from pathlib import Path

import pytest
from inlets import AS_MEANT, INLETS, KINDS, outcome

import ccs_exp

PACKAGE = Path(ccs_exp.__file__).parent
FAULT = ("TRACEBACK", "IN SILENCE", "READ OTHERWISE", "REFUSED WITHOUT REASON", "NAMES NO FILE")
MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("name", INLETS)
def test_no_file_is_misread_in_silence_or_by_a_traceback(name):
    said = {kind: outcome(INLETS[name], kind) for kind in KINDS}
    assert {kind: text for kind, text in said.items() if text and text.startswith(FAULT)} == {}
    assert said["as it is"] == said["byte order mark"] == said["CRLF"] == said["CR"] == AS_MEANT
    for kind in ("latin-1", "UTF-16", "UTF-16, no mark"):
        assert "UTF-8" in said[kind] and "iconv" in said[kind], "the way out is named"


@pytest.mark.parametrize("name", [name for name, inlet in INLETS.items() if inlet.form == "csv"])
def test_a_shifted_row_names_its_line_and_a_doubled_column_the_first(name):
    assert "line 2: " in outcome(INLETS[name], "unquoted comma") and "line 1: " in outcome(INLETS[name], "doubled column or key")


def test_lines_end_nowhere_else_and_tables_have_one_reader():
    """``str.splitlines`` also ends lines at U+2028, form feeds and more; the csv module alone lets rows be of any length."""
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("splitlines", "DictReader"):
                found.append((path.name, node.lineno, node.attr))
            if isinstance(node, ast.Import) and any(alias.name == "csv" for alias in node.names) and path.name != "tables.py":
                found.append((path.name, node.lineno, "import csv"))
    assert found == []

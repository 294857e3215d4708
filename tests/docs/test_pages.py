"""The documentation tells the truth: what it shows works, and what it names exists."""

import re
from pathlib import Path
from subprocess import CalledProcessError

import pages
import pytest
from pages import ROOT

from ccs_exp.errors import CcsError
from ccs_exp.run_folder import columns

PAGES = sorted((ROOT / "docs").rglob("*.md"))
OF_ONES_OWN = sorted((ROOT / "docs" / "how_to").glob("own_*.md"))
RUNNING = [page for page in PAGES if page not in OF_ONES_OWN and any(block.runs for block in pages.blocks(page))]
TOP = {path.name for folder in (ROOT, ROOT / "ccs_exp") for path in folder.iterdir()}
EVERY = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *PAGES]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.full
@pytest.mark.parametrize("page", OF_ONES_OWN, ids=name)
def test_a_model_data_set_strategy_or_judge_of_ones_own_is_what_its_page_says(page, reader):
    reader(page)


@pytest.mark.full
@pytest.mark.parametrize("page", RUNNING, ids=name)
def test_what_a_page_shows_runs(page, reader):
    reader(page)


@pytest.mark.parametrize("page", EVERY, ids=name)
def test_what_cannot_run_here_is_composed_or_parsed(page):
    for block in pages.blocks(page):
        if block.reason and block.language == "bash":
            for words in block.commands():
                pages.check(words)
    for words in pages.inline_commands(page):
        pages.check(words)


@pytest.mark.parametrize("page", EVERY, ids=name)
def test_the_files_it_names_exist(page):
    named = re.findall(r"`((?:[a-z_.]+/)*[a-z_]+\.(?:py|yaml|csv|txt|toml))`", page.read_text(encoding="utf-8"))
    of_ours = [path for path in named if path.partition("/")[0] in TOP]
    assert not [path for path in of_ours if not any((base / path).exists() for base in (ROOT, ROOT / "ccs_exp"))]


@pytest.mark.parametrize("page", EVERY, ids=name)
def test_its_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_column_and_key_of_a_run_folder_is_described():
    page = (ROOT / "docs" / "reference" / "run_folder.md").read_text(encoding="utf-8")
    described = set(re.findall(r"`([^`]+)`", page))
    named = {*columns.HEADS_COLUMNS, *columns.TABLES["ccs_at_k.csv"], *columns.ACCURACY_COLUMNS, *columns.PREDICTION_COLUMNS}
    named |= {*columns.RETRIEVAL_COLUMNS, *columns.SUMMARY_KEYS, *columns.OPTIONAL_SUMMARY_KEYS}
    inner = {f"{kind}_{number}" for kind in ("description", "verdict") for number in (2, 3, 4)}  # "1 to 5"
    assert named - inner - described == set()


@pytest.mark.parametrize("command", ["rm -r x", "ccs-exp dataset=nowhere", "ccs-exp reprot DIR", "make nothing"])
def test_a_command_that_is_neither_run_nor_composed_is_found(command, tmp_path, reader):
    page = tmp_path / "page.md"
    page.write_text(f"```bash\n{command}\n```\n")
    with pytest.raises((AssertionError, CalledProcessError, CcsError)):
        reader(page)
    page.write_text(f"<!-- not run: needs the network -->\n```bash\n{command}\n```\n")
    with pytest.raises((AssertionError, CalledProcessError, CcsError)):
        test_what_cannot_run_here_is_composed_or_parsed(page)


@pytest.mark.parametrize(
    "text",
    ["  ```bash\n  ccs-exp\n  ```\n", "```\nccs-exp\n```\n", "<!-- not run: no time -->\n```bash\nccs-exp\n```\n"],
)
def test_no_block_escapes(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError):
        pages.blocks(page)

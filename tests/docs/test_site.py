"""The site builds strictly, without the network, and asks nothing of anybody else when it is read."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from pages import ROOT

import ccs_exp

pytestmark = pytest.mark.full  # a build takes as long as many tests


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built_with_its_reference(site):
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert all((site / page).exists() for page in pages)
    assert "judge.max_cost_usd" in (site / "reference" / "settings.html").read_text()
    assert "usage: ccs-exp status" in (site / "reference" / "commands.html").read_text()
    assert "Score every head of the last four layers" in (site / "reference" / "python.html").read_text()
    assert not list(site.rglob("*.py"))


def test_nothing_is_loaded_from_elsewhere(site):
    loaded = re.compile(r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*\shref=["']?(?:https?:)?//""")
    assert not [path.name for path in site.rglob("*.html") if loaded.search(path.read_text(encoding="utf-8"))]
    assert not [path.name for path in site.rglob("*.css") if re.search(r"url\([\"']?(?:https?:)?//|@import", path.read_text())]


def test_what_the_project_says_of_itself_agrees():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == ccs_exp.__version__ and citation["license"] == project["license"]
    assert f"\n## {ccs_exp.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert citation["repository-code"] == project["urls"]["Homepage"]
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert "make test" in str(yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text()))

"""Keys see code: what a stage reaches by import is part of what its results are found by, and nothing else of the package is."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import ccs_exp
from ccs_exp.config.schema import configure
from ccs_exp.jobs import keys
from ccs_exp.store import code_of
from ccs_exp.store.code import _reached

PACKAGE = Path(ccs_exp.__file__).parent
KEYS = """
import json, sys
from ccs_exp.config.schema import configure
from ccs_exp.jobs import keys
cfg = configure(*sys.argv[1:])
moments = keys.moments_key(cfg, "w", "cpu")
found = {
    "moments": moments,
    "descriptions": keys.descriptions_key(moments, "direct", "pool"),
    "scores": keys.scores_key(cfg, []),
    "evaluations": keys.evaluation_key(cfg, "w", "cpu"),
    "jobs": keys.cell_key(cfg, []),
    "text_embeddings": {"code": keys.code_of("ccs_exp.clip.text", "ccs_exp.clip.attention", "ccs_exp.clip.mlp")},
}
assert "torch" not in sys.modules and "open_clip" not in sys.modules
print(json.dumps({kind: key["code"] for kind, key in found.items()}))
"""


def codes(root, *overrides):
    """The code of each kind of entry, with the package that lies in `root`."""
    done = subprocess.run(
        [sys.executable, "-c", KEYS, *overrides], capture_output=True, text=True, check=True, cwd=root,
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "CCS_EXP_CACHE": str(root / "store")},
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of package and configuration, laid out as in a checkout."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(PACKAGE, root / "ccs_exp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PACKAGE.parent / "conf", root / "conf")
    return root


@pytest.fixture(scope="module")
def before(checkout):
    return codes(checkout)


LONG = pytest.mark.full


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        ("scoring/textspan.py", {"descriptions", "jobs"}),
        pytest.param("scoring/decompose.py", {"moments", "descriptions", "evaluations", "jobs"}, marks=LONG),
        pytest.param("scoring/taxonomy.py", {"descriptions", "scores", "jobs"}, marks=LONG),
        pytest.param("tasks/ranking.py", {"evaluations", "jobs"}, marks=LONG),
        # the text tower has it too
        pytest.param("clip/attention.py", {"moments", "descriptions", "evaluations", "jobs", "text_embeddings"}, marks=LONG),
        pytest.param("clip/text.py", {"moments", "descriptions", "evaluations", "jobs", "text_embeddings"}, marks=LONG),
        ("data/bundled/scenes.py", {"moments", "evaluations", "jobs"}),  # only a _target_ names it
        pytest.param("jobs/evaluate_stage.py", {"evaluations", "jobs"}, marks=LONG),
        pytest.param("report/page.py", {"jobs"}, marks=LONG),
        pytest.param("tracking/tracker.py", {"jobs"}, marks=LONG),
        pytest.param("config/services.py", {"jobs"}, marks=LONG),
        # nothing here reads Parquet files, but a job says what it would fetch
        pytest.param("data/published/parquet.py", {"jobs"}, marks=LONG),
        pytest.param("agreement/draw.py", set(), marks=LONG),
        pytest.param("sweeps/status.py", set(), marks=LONG),
        ("notebook.py", set()),
    ],
)
def test_a_comment_moves_the_keys_of_what_reaches_it(edited, changed, checkout, before):
    path = checkout / "ccs_exp" / edited
    content = path.read_bytes()
    try:
        path.write_bytes(content + b"# another comment\n")
        after = codes(checkout)
    finally:
        path.write_bytes(content)
    assert {kind for kind in before if after[kind] != before[kind]} == changed


def test_what_is_chosen_decides_which_code_counts(before, checkout):
    other = codes(checkout, "dataset=digits", "judge=panel", "judge.judges.openai.model=a")
    assert {kind for kind in before if other[kind] != before[kind]} == {"scores", "evaluations", "jobs"}
    assert "ccs_exp.data.bundled.digits.Digits" in other["evaluations"]["entry_points"]


def test_the_same_code_has_the_same_keys_wherever_it_lies(checkout, before, tmp_path):
    elsewhere = tmp_path / "site packages"
    shutil.copytree(checkout / "ccs_exp", elsewhere / "ccs_exp", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(checkout / "conf", elsewhere / "ccs_exp" / "conf")  # as in a wheel
    assert codes(elsewhere) == before


def test_versions_count_of_libraries_that_compute(before):
    assert before["moments"]["libraries"].keys() >= {"torch", "open_clip_torch", "torchvision", "pillow", "numpy", "lightning"}
    assert "matplotlib" in before["jobs"]["libraries"] and "matplotlib" not in before["evaluations"]["libraries"]
    assert all(before["jobs"]["libraries"][name] for name in ("torch", "numpy", "matplotlib"))


def test_what_is_reached_is_what_a_parser_finds():
    """The quick reading of import statements against grimp's, which parses, for every module of the package."""
    graph = grimp.build_graph("ccs_exp", include_external_packages=False, exclude_type_checking_imports=True, cache_dir=None)
    for module in sorted(graph.modules):
        reached = set(_reached((module,)))
        expected, waiting = set(), [module]
        while waiting:
            name = waiting.pop()
            if name in expected:
                continue
            expected.add(name)
            parents = [name.rsplit(".", up)[0] for up in range(1, name.count(".") + 1)]
            waiting += [*parents, *graph.find_modules_directly_imported_by(name)]
        assert reached == expected, module


def test_no_import_is_written_so_that_it_is_overlooked():
    """Dynamic imports of our own modules have no place in what computes: they would be in no key."""
    dynamic = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and "import_module" in ast.dump(node.func):
                dynamic.add(str(path.relative_to(PACKAGE)))
    assert dynamic == {"__init__.py", "__main__.py", "compute/imported_late.py", "compute/stand_ins.py"}  # these two import libraries alone


def test_code_of_ones_own_counts_too(tmp_path, monkeypatch):
    (tmp_path / "my_images.py").write_text("import my_helper\nclass Mine: ...\n")
    (tmp_path / "my_helper.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    dataset = configure().dataset
    dataset.source = {"_target_": "my_images.Mine"}
    key = keys.images_key(configure(), dataset)
    assert key["source"]["_target_"] == "my_images.Mine"
    assert set(_reached(("my_images.Mine",))) == {"my_images"}  # another top-level module is a library of its own
    assert code_of("my_images.Mine")["source"] != code_of("my_helper")["source"]

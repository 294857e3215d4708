"""A run folder of an older release: refused by what would read it, with its schema version and what to do."""

import shutil
from pathlib import Path

import pytest

from ccs_exp.errors import CcsError
from ccs_exp.report import show_run
from ccs_exp.report.command import main as report
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.tracking.dashboard.command import main as dashboard

OLDER = Path(__file__).parents[1] / "older" / "v0.1" / "run"
SAID = ("is of schema version 1; this version of ccs_exp reads schema version 2", "Run the job again", ".hydra/overrides.yaml")


@pytest.fixture
def older(tmp_path):
    return Path(shutil.copytree(OLDER, tmp_path / "outputs" / "older"))


def test_it_is_refused_with_its_version_and_what_to_do(older):
    for read in (RunFolder(older).read_summary, lambda: show_run(older)):
        with pytest.raises(CcsError) as caught:
            read()
        assert all(part in str(caught.value) for part in SAID)


def test_the_report_names_it_among_what_it_left_out(older, capsys):
    report([str(older.parent), "--output", str(older.parent / "page")])
    output = capsys.readouterr()
    assert "1 damaged" in output.out and all(part in output.err for part in SAID)


def test_the_dashboard_refuses_it(older, capsys):
    with pytest.raises(SystemExit) as caught:
        dashboard(["upload", str(older), "--offline"])
    said = str(caught.value.code) + capsys.readouterr().err
    assert all(part in said for part in SAID)


def test_its_heads_can_be_scored_and_pruned_again(older):
    assert len(RunFolder(older).read_heads()) == 32  # whose columns have not changed

"""The README tells the truth: its example runs, and the commands and choices it names exist."""

import re
from pathlib import Path

import pytest

from ccs_exp.config.schema import config_dir, configure

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_notebook_example_runs(capsys):
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    assert len(example.strip().splitlines()) <= 11
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "L2.H0" in printed and "high_ccs" in printed


@pytest.mark.parametrize("command", re.findall(r"^python -m ccs_exp +([^#\n]*[^#\s])", README, re.MULTILINE))
def test_its_commands_compose(command):
    overrides = [word.strip("'") for word in command.split() if not word.startswith("-")]
    first_of_sweep = [override if "[" in override else override.split(",")[0] for override in overrides]
    configure(*(override for override in first_of_sweep if "glob(" not in override))


def test_it_names_every_choice():
    for group in ("dataset", "prune", "ccs", "probe", "pool", "tracker", "model"):
        row = next(line for line in README.splitlines() if line.startswith(f"| `{group}=`"))
        for path in Path(config_dir(), group).glob("*.yaml"):
            assert f"`{path.stem}`" in row, f"{group}={path.stem}"

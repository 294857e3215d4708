"""What libraries import and a job does not need is run when it is asked for, and is then what it always was."""

import importlib
import sys

import pytest

import ccs_exp  # noqa: F401  # with it begins what is tested
from ccs_exp.clip import imported_late

INIT = """
from {name} import parts  # a whole package may import what it consists of
from {name}.parts import Part
from {name}.rest import Other
runs = 1
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of two modules, of which one is at hand before the whole is run."""
    name, folder = "made_for_this", tmp_path / "made_for_this"
    folder.mkdir()
    (folder / "__init__.py").write_text(INIT.format(name=name))
    (folder / "parts.py").write_text(f"from {name} import _logger\nclass Part: pass\n")
    (folder / "rest.py").write_text(f"from {name}.parts import Part\nclass Other(Part): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imported_late, "_AT_HAND", {name: {"Part": (f"{name}.parts",)}})
    yield name
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


def test_a_class_at_hand_does_not_run_the_package(package):
    found = importlib.import_module(package)
    part = found.Part
    assert part is sys.modules[f"{package}.parts"].Part and "runs" not in vars(found) and f"{package}.rest" not in sys.modules
    assert not hasattr(found, "__wrapped__") and "runs" not in vars(found)  # looking through all modules runs none


def test_asked_for_more_it_is_the_package_that_it_always_was(package):
    found = importlib.import_module(package)
    part = found.Part
    assert found.runs == 1 and issubclass(found.Other, part) and found.Part is part
    assert type(found) is type(sys) and found.__spec__.loader is found.__loader__ and found.__spec__.loader.get_source(package)
    with pytest.raises(AttributeError, match="nothing"):
        _ = found.nothing


def test_a_late_module_runs_when_something_of_it_is_asked_for(package, monkeypatch):
    monkeypatch.setattr(imported_late, "_LATE", frozenset({package}))
    monkeypatch.setattr(imported_late, "_AT_HAND", {})
    (importlib.import_module("pathlib").Path(sys.path[0]) / package / "parts.py").write_text("class Part: pass\n")
    found = importlib.import_module(package)
    assert f"{package}.rest" not in sys.modules
    assert found.runs == 1 and f"{package}.rest" in sys.modules


def test_lightning_s_own_classes_are_those_of_torchmetrics():
    from lightning.pytorch.core import module
    from torchmetrics import Metric, MetricCollection

    assert module.Metric is Metric and module.MetricCollection is MetricCollection

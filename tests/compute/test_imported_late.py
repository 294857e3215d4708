"""What libraries import and a job does not need is run when it is asked for, and is then what it always was."""

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

import ccs_exp  # noqa: F401  # with it begins what is tested
from ccs_exp.compute import imported_late
from ccs_exp.compute.stand_ins import StandIn, not_compiled

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
    (folder / "parts.py").write_text(f"from {name} import _logger\nclass Part: size = 3\n")
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


def test_what_a_package_consists_of_comes_after_it(package, monkeypatch, tmp_path):
    (tmp_path / package / "parts.py").write_text("class Part: size = 3\n")
    monkeypatch.setattr(imported_late, "_AT_HAND", {package: {}})
    found = importlib.import_module(package)
    assert f"{package}.rest" not in sys.modules
    rest = importlib.import_module(f"{package}.rest")
    assert found.runs == 1 and found.rest is rest is sys.modules[f"{package}.rest"] and found.Other is rest.Other
    assert rest.__spec__.loader.get_source(rest.__name__)


def test_a_library_gets_a_stand_in_and_others_the_class(package, monkeypatch, tmp_path):
    (tmp_path / package / "parts.py").write_text("class Part: size = 3\n")
    stand_in = StandIn(f"{package}.parts", "Part")
    monkeypatch.setattr(imported_late, "_AT_HAND", {})
    monkeypatch.setattr(imported_late, "_STAND_INS", {package: {"Part": ("library_of_this", stand_in)}})
    (tmp_path / "library_of_this.py").write_text(
        f"from {package} import Part\ndef is_one(x: Part | None): return isinstance(x, Part)\ndef make(): return Part()\n"
    )
    try:
        library = importlib.import_module("library_of_this")
        assert library.Part is stand_in and not library.is_one(1) and f"{package}.parts" not in sys.modules

        part = importlib.import_module(package).Part  # asked for by this file
        assert isinstance(part, type) and library.is_one(part()) and not library.is_one(1) and issubclass(part, library.Part)
        assert type(library.make()) is part and library.Part.size == 3

        class Own(library.Part):
            pass

        assert Own.__mro__[1] is part
    finally:
        del sys.modules["library_of_this"]


def test_nothing_is_kept_from_a_compiler_that_was_not_run(monkeypatch):
    disabled = []
    compiler = ModuleType("torch._dynamo")
    compiler.disable = lambda function, recursive, **more: disabled.append((function, recursive, more)) or (lambda x: -function(x))
    face = imported_late._Face("torch._dynamo")

    def twice(x):
        return 2 * x

    monkeypatch.setitem(sys.modules, "torch._dynamo", face)
    kept = not_compiled(twice, True, reason="a test")
    assert kept(2) == 4 and kept.__name__ == "twice" and not disabled
    monkeypatch.setitem(sys.modules, "torch._dynamo", compiler)
    assert kept(2) == kept(2) == -4 and disabled == [(twice, True, {"reason": "a test"})]


@pytest.mark.full
def test_the_modules_of_a_job_are_imported_without_what_it_does_not_use():
    unused = ("sympy", "transformers", "timm.models", "matplotlib", "scipy.signal", "torchvision.models.resnet", "wandb.sdk")
    code = f"""
import sys, ccs_exp.jobs.experiment, torch
from ccs_exp.clip.loading import unloaded
assert unloaded("ViT-B-32").visual.proj.shape == (768, 512)
print([name for name in {unused} if name in sys.modules])
from open_clip.timm_model import TimmModel
import torch._dynamo.config, open_clip, transformers, torchmetrics.classification, torchvision.ops.boxes
from lightning.fabric import wrappers
assert isinstance(torch.compile(torch.nn.Linear(2, 2)), wrappers.OptimizedModule)
assert isinstance(torch._dynamo.OptimizedModule, type) and isinstance(TimmModel, type) and torchvision.ops.nms
assert issubclass(torchmetrics.classification.Accuracy, torchmetrics.Metric)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n" and done.returncode == 0, done.stderr


def test_lightning_s_own_classes_are_those_of_torchmetrics():
    from lightning.pytorch.core import module
    from torchmetrics import Metric, MetricCollection

    assert module.Metric is Metric and module.MetricCollection is MetricCollection

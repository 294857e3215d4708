"""Every setting of the launchers with wrong values: one paragraph, before a sweep begins."""

from collections import Counter

import pytest
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from ccs_exp.config.place import config_dir
from ccs_exp.errors import CcsError

WRONG = ({"a": 1}, "", -2, [], None, 1.5, True)
TEXTS = ("submitit_folder", "name")  # any text, and what submitit makes of it is a folder's or a job's name


def settings(launcher):
    with open(f"{config_dir()}/hydra/launcher/{launcher}.yaml") as file:
        found = yaml.safe_load(file)
    return found | {name: "here" for name in TEXTS if name in found}


def start(found):
    """As Hydra does it."""
    instantiate(OmegaConf.create(found)).setup(hydra_context=None, task_function=None, config=OmegaConf.create({}))


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    monkeypatch.setattr("ccs_exp.sweeps.ray.require", lambda: None)


@pytest.mark.parametrize("launcher", ["parallel", "slurm", "ray"])
def test_what_stands_in_the_files_is_taken_and_wrong_values_are_refused_in_a_paragraph(launcher):
    found, counts = settings(launcher), Counter()
    start(found)
    for name in found:
        if name in ("_target_", *TEXTS):
            continue
        refused = 0
        for wrong in WRONG:
            try:
                start(found | {name: wrong})
            except CcsError as error:
                refused += 1
                shown = "null" if wrong is None else wrong
                assert str(error).startswith(f"hydra.launcher.{name}={shown}: give ") and "\n" not in str(error)
        counts.update(refused=refused, taken=len(WRONG) - refused)
        assert refused >= 3, name
    print(launcher, len(found) - 1, "settings", dict(counts))


@pytest.mark.parametrize(
    ("launcher", "changed", "said"),
    [
        ("parallel", {"n_jobs": 0}, "hydra.launcher.n_jobs=0: give a whole number of at least 1, or -1."),
        ("parallel", {"gpus": "all"}, "hydra.launcher.gpus=all: give auto, or a list as in 'hydra.launcher.gpus=[0,1]'."),
        ("parallel", {"gpus": 5}, "hydra.launcher.gpus=5: give auto, or a list"),
        ("parallel", {"n_jobz": 2}, "There is no setting hydra.launcher.n_jobz. There are: gpus, "),
        ("ray", {"address": ""}, "hydra.launcher.address=: give local, auto, or the address of a cluster's head as HEAD:6379."),
        ("ray", {"num_cpus": 0.5}, "hydra.launcher.num_cpus=0.5: give a whole number of at least 1."),
        ("ray", {"num_gpus": -1}, "hydra.launcher.num_gpus=-1: give a number of at least 0, or null."),
        ("slurm", {"poll_s": 0}, "hydra.launcher.poll_s=0: give a number of at least 0.1."),
        ("slurm", {"cpus_per_task": 0}, "hydra.launcher.cpus_per_task=0: give a whole number of at least 1, or null."),
        ("slurm", {"partition": {"a": 1}}, "hydra.launcher.partition={'a': 1}: give text, or null."),
    ],
)
def test_what_is_meant_is_said(launcher, changed, said):
    with pytest.raises(CcsError) as caught:
        start(settings(launcher) | changed)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("launcher", "changed"),
    [
        ("parallel", {"n_jobs": -1, "gpus": [], "pre_dispatch": "2*n_jobs", "batch_size": "auto", "timeout": 5}),
        ("parallel", {"gpus": [0, "GPU-1"], "pre_dispatch": 3}),
        ("ray", {"address": "head:6379", "n_jobs": -1, "num_cpus": 4, "num_gpus": 0.5}),
        ("slurm", {"mem_gb": 1.5, "partition": "gpu", "gpus_per_node": 1, "setup": ["module load cuda"], "qos": 3}),
    ],
)
def test_values_that_can_be_are_taken(launcher, changed):
    start(settings(launcher) | changed)

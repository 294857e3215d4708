"""Data that no number can come of, or only one that means little: an error or a warning, never a plausible number in silence."""

import numpy as np
import pytest
from PIL import Image
from small_models import small_model

from ccs_exp.errors import CcsError
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.run_folder.summary import read_summary

CLASSES = ("red", "blue")


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8))


def different() -> dict[str, Image.Image | None]:
    return {f"{name}/{n}.png": noise(10 * c + n) for c, name in enumerate(CLASSES) for n in range(3)}


def warnings(cfg, tmp_path) -> str:
    run(cfg, Job(str(tmp_path / "run")))
    return " ".join(read_summary(tmp_path / "run")["warnings"])


def test_a_class_without_an_image_is_an_error(picture_job, tmp_path):
    with pytest.raises(CcsError, match="no image in the class folder green"):
        warnings(picture_job(different() | {"green": None}), tmp_path)


def test_one_probe_image_is_an_error(picture_job, tmp_path):
    with pytest.raises(CcsError, match=r"Over 1 probe images the contributions of 16 heads vary in fewer than 5 dimensions"):
        warnings(picture_job(different(), "probe.num_images=1"), tmp_path)


def test_a_head_of_zeros_is_an_error_that_names_it(picture_job, tmp_path):
    model = small_model()
    model.blocks[3].attn.out_proj.weight.data[:, 16:32] = 0
    with pytest.raises(CcsError, match=r"1 heads vary in fewer than 5 dimensions \(L3\.H1 \(0\)\)"):
        warnings(picture_job(different(), model=model), tmp_path)


def test_images_of_one_colour_are_told(picture_job, tmp_path):
    grey = Image.new("RGB", (32, 32), (90, 90, 90))
    assert "6 of 6 images are of one colour" in warnings(picture_job(dict.fromkeys(different(), grey)), tmp_path)


def test_repeated_images_are_told_with_those_of_two_classes(picture_job, tmp_path):
    told = warnings(picture_job(different() | {"red/2.png": noise(0), "blue/1.png": noise(0)}), tmp_path)
    assert "2 of 6 images repeat others, 2 of them in another class: red/0.png = blue/1.png, red/2.png = blue/1.png" in told


def test_two_classes_of_one_name_are_told(picture_job, tmp_path):
    (tmp_path / "names.csv").write_text("folder,name\nred,rose\nblue,Rose \n")
    told = warnings(picture_job(different(), f"dataset.class_names={tmp_path}/names.csv"), tmp_path)
    assert "Classes with one name, which no prompt tells apart: 'Rose', 'rose'" in told

"""Data sets that are distributed with MATLAB's files."""

import numpy as np
import pytest
from local_copies import load, pairs, picture, small, write_image
from scipy.io import savemat

from ccs_exp.errors import CcsError


def flowers(root):
    """Four images of 102 classes in the whole archive, of which three are the test's, not in order."""
    (root / "jpg").mkdir(parents=True)
    for number in range(1, 5):
        write_image(root / f"jpg/image_{number:05d}.jpg", number)
    savemat(root / "imagelabels.mat", {"labels": np.array([[77, 1, 102, 5]], np.uint8)})
    savemat(root / "setid.mat", {"trnid": np.array([[2]], np.uint16), "tstid": np.array([[4, 1, 3]], np.uint16)})
    return root


def cars(root):
    (root / "cars_test").mkdir(parents=True)
    rows = np.array([(10, "00002.jpg", 196), (12, "00001.jpg", 1)], [("bbox_x1", "O"), ("fname", "O"), ("class", "O")])
    for number in (1, 2):
        write_image(root / f"cars_test/{number:05d}.jpg", number)
    savemat(root / "cars_test_annos_withlabels.mat", {"annotations": rows[None]})
    return root


def digits(root, labels=(10, 1, 9)):
    root.mkdir(parents=True, exist_ok=True)
    pixels = np.stack([np.asarray(picture(label)) for label in labels], axis=-1)
    savemat(root / "test_32x32.mat", {"X": pixels, "y": np.array(labels, np.uint8)[:, None]})
    return root


@pytest.mark.parametrize("inside", ["", "flowers-102"])
def test_flowers_by_the_numbers_of_the_test_images(tmp_path, inside):
    flowers(tmp_path / inside)
    source = load("flowers102", tmp_path, *small(3), "dataset.partial=true")
    assert [target for target, _ in pairs(source)] == [4, 76, 101] and source.class_names[76] == "passion flower"
    assert source[0].sample_id == "jpg/image_00004.jpg"
    (tmp_path / inside / "jpg/image_00001.jpg").unlink()
    with pytest.raises(CcsError, match=r"1 of the 3 images that .*setid.mat lists are not in .*jpg: image_00001.jpg"):
        load("flowers102", tmp_path, *small(3))
    assert len(load("flowers102", tmp_path, "dataset.partial=true")) == 2


@pytest.mark.parametrize("inside", ["", "stanford_cars"])
def test_cars_by_their_annotations(tmp_path, inside):
    cars(tmp_path / inside)
    source = load("stanford_cars", tmp_path, *small(2), "dataset.partial=true")
    assert [target for target, _ in pairs(source)] == [195, 0]
    assert source.class_names[0] == "AM General Hummer SUV 2000" and source.class_names[195].startswith("smart fortwo")
    assert source[0].sample_id == "cars_test/00002.jpg"


def test_a_zero_of_svhn_is_a_ten(tmp_path):
    source = load("svhn", digits(tmp_path), *small(3), "dataset.partial=true")
    assert pairs(source) == [(0, 10), (1, 1), (9, 9)] and source.class_names[0] == "zero"


def saved(file, **arrays):
    savemat(file, arrays)


def savemat_of_cars(root, **fields):
    rows = np.array([tuple(fields.values())], [(name, "O") for name in fields])
    savemat(root / "cars_test_annos_withlabels.mat", {"annotations": rows[None]})


@pytest.mark.parametrize(
    ("data_set", "make", "spoil", "says"),
    [
        ("svhn", digits, lambda root: (root / "test_32x32.mat").write_bytes(b"no matlab" * 30), "is no MATLAB file"),
        ("svhn", digits, lambda root: saved(root / "test_32x32.mat", X=np.zeros((2, 2))), "holds no y"),
        ("svhn", digits, lambda root: saved(root / "test_32x32.mat", X=np.zeros((2, 2)), y=[[1.0]]), "images of float64 2x2"),
        ("svhn", digits, lambda root: saved(root / "test_32x32.mat", X=np.zeros((2, 2)), y=[[1.5]]), "expected are whole numbers"),
        ("flowers102", flowers, lambda root: (root / "setid.mat").unlink(), "has jpg/ but no setid.mat"),
        ("flowers102", flowers, lambda root: saved(root / "setid.mat", tstid=[[9]]), "no class of"),
        ("flowers102", flowers, lambda root: saved(root / "imagelabels.mat", labels=[[1, 1, 1, 103]]), "none of the 102 classes"),
        ("stanford_cars", cars, lambda root: savemat_of_cars(root, fname="00001.jpg"), "names no fname and class"),
        ("stanford_cars", cars, lambda root: savemat_of_cars(root, fname="../x.jpg", **{"class": 1}), "files outside its folder"),
        ("stanford_cars", cars, lambda root: savemat_of_cars(root, fname="00001.jpg", **{"class": "one"}), "expected are whole numbers"),
    ],
)
def test_spoilt_files_are_named(tmp_path, data_set, make, spoil, says):
    spoil(make(tmp_path))
    with pytest.raises(CcsError, match=says) as error:
        load(data_set, tmp_path, "dataset.partial=true")
    assert "\n" not in str(error.value)

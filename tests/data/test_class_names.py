"""Names of folders as words in prompts: WordNet ids, camel case, codes, a file of one's own; and folders that are no classes."""

import os
import unicodedata

import pytest
from local_copies import batches, class_folders, load, small, to_tensor, write_image

from ccs_exp.clip.imagenet import imagenet_names
from ccs_exp.config.schema import configure
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.class_names import names_of_folders
from ccs_exp.data.images.decoding import STANDARD
from ccs_exp.data.images.folder import ClassFolders, ImageFolder
from ccs_exp.data.images.source import UnreadableImage
from ccs_exp.data.published.classes import class_table
from ccs_exp.data.published.hub import HubSource, local_files
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.keys import images_key


def test_every_wordnet_id_of_imagenet_has_the_name_of_the_standard_evaluation():
    names = imagenet_names()
    assert len(names) == 1000 and names["n01440764"] == "tench"
    for published in ("imagenet_a", "imagenet_r"):
        table = class_table(published)
        assert {folder: names[folder] for folder in table.folders} == dict(zip(table.folders, table.names, strict=True))


@pytest.mark.parametrize(
    ("folders", "names", "told"),
    [
        (["n01855672", "n02099601"], ["goose", "Golden Retriever"], "n01855672 as 'goose'"),
        (["AnnualCrop", "SeaLake"], ["annual crop", "sea lake"], "AnnualCrop as 'annual crop'"),
        (["seaLake", "redFoxCub"], ["sea lake", "red fox cub"], "seaLake as 'sea lake'"),
        (["big_cat", "McDonald", "iPhone", "ox", "日本", "Café"], ["big cat", "McDonald", "iPhone", "ox", "日本", "Café"], ""),
        (["n99999999", "n01440764"], ["n99999999", "tench"], "look like codes, of which prompts can make nothing: n99999999"),
        (["0", "1"], ["0", "1"], "look like codes"),
        (["c0", "class_1", "x", "XQ"], ["c0", "class 1", "x", "XQ"], "of which prompts can make nothing: c0, class 1, x, XQ"),
    ],
)
def test_names_of_folders(folders, names, told):
    found, notes = names_of_folders(folders)
    assert list(found) == names
    assert told in " ".join(notes) if told else notes == ()


def test_a_file_names_the_classes_and_is_part_of_the_key(tmp_path):
    class_folders(tmp_path / "images", ["c0", "c1"], 1)
    file = tmp_path / "names.csv"
    file.write_text("folder,name\nc1,ship\nc0,aeroplane\n")
    chosen = ("dataset=folder", f"dataset.path={tmp_path / 'images'}", f"dataset.class_names={file}")
    cfg = configure(*chosen)
    source = build(cfg.dataset.source)
    assert source.class_names == ("aeroplane", "ship") and source.notes == ()
    before = images_key(cfg, cfg.dataset)
    file.write_text("folder,name\nc1,boat\nc0,aeroplane\n")
    assert images_key(cfg, cfg.dataset) != before
    for content, message in (
        ("folder,name\nc0,a\n", "no name for c1"),
        ("folder,name\nc0,a\nc1,b\nc2,c\n", "not there: c2"),
        ("folder,name\nc0,a\nc0,b\nc1,c\n", "line 3: the folder c0 is named twice"),
        ("folder,name\nc0,a\nc1,\n", "line 3: name is empty"),
    ):
        file.write_text(content)
        with pytest.raises(CcsError, match=message):
            build(cfg.dataset.source)
    with pytest.raises(CcsError, match=r"dataset\.class_names=x is not used by dataset=digits"):
        configure("dataset=digits", "dataset.class_names=x")


NFC, NFD = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")


def test_a_name_in_another_form_of_unicode_is_told_to_be_probably_the_same(tmp_path):
    class_folders(tmp_path / "images", [NFD, "dog"], 1)
    (tmp_path / "names.csv").write_text(f"folder,name\n{NFC},a bar\ndog,a dog\n")
    with pytest.raises(CcsError, match=r"Probably the same, written otherwise: 'cafe\\u0301' and 'caf\\xe9'"):
        ClassFolders(tmp_path / "images", str(tmp_path / "names.csv"))


# folders that are no classes


@pytest.mark.parametrize(
    ("parts", "chosen"),
    [(("train", "val"), "val"), (("train", "val", "test"), "test"), (("Train", "Validation"), "Validation"), (("val",), "val")],
)
def test_the_parts_of_a_data_set_are_refused_and_the_one_to_take_is_named(tmp_path, parts, chosen):
    for part in parts:
        class_folders(tmp_path / part, ["circle", "square"], 2)
    with pytest.raises(CcsError, match=rf"holds the parts of a data set .*, not its classes\. .*dataset\.path={tmp_path / chosen}\."):
        ClassFolders(tmp_path)
    assert len(ClassFolders(tmp_path / chosen)) == 4
    write_image(tmp_path / "notes" / "1.png", 0)
    if "train" in map(str.lower, parts):
        with pytest.raises(CcsError, match="parts of a data set"):
            ClassFolders(tmp_path)


def test_parts_without_classes_in_them_are_refused_and_a_class_called_train_is_not(tmp_path):
    class_folders(tmp_path / "flat", ["train", "val"], 2)
    with pytest.raises(CcsError, match=r"parts of a data set \(train, val\), not its classes\. Expected is a folder for each class"):
        ClassFolders(tmp_path / "flat")
    class_folders(tmp_path / "vehicles", ["train", "car", "test tube"], 2)
    assert ClassFolders(tmp_path / "vehicles").class_names == ("car", "test tube", "train")


# what lies in folders


def test_linked_folders_count_sidecars_do_not_and_the_rest_is_said(tmp_path):
    here, away = tmp_path / "here", tmp_path / "away"
    class_folders(here, ["ant", "bee"], 2)
    class_folders(away, ["more"], 3)
    (here / "bee" / "more").symlink_to(away / "more")
    (here / "bee" / "loop").symlink_to(here)
    (here / "ant" / "._0.png").write_bytes(b"a sidecar of macOS")
    (here / "ant" / "Thumbs.db").write_bytes(b"of Windows")
    write_image(here / "stray.png", 0)
    (here / "ant" / "notes.txt").write_text("mine")
    os.mkfifo(here / "ant" / "1.png.fifo.png")
    source = ClassFolders(here)
    assert [sum(source[index].target == target for index in range(len(source))) for target in (0, 1)] == [2, 5]
    (said,) = source.notes
    assert "what is no image in a class folder (2: ant/notes.txt, stray.png)" in said
    assert "devices or links to nothing (1: " in said and "there already (1: " in said
    assert "._0" not in said and "Thumbs" not in said
    probe = ImageFolder(here)
    assert len(probe) == 8 and "ant/notes.txt" in probe.notes[0]
    published = load("cifar10", class_folders(tmp_path / "cifar", class_table("cifar10").folders, 1), *small(10, 1))
    assert published.notes == ()


def test_two_classes_that_are_one_folder_are_an_error(tmp_path):
    class_folders(tmp_path, ["ant"], 2)
    (tmp_path / "bee").symlink_to(tmp_path / "ant")
    with pytest.raises(CcsError, match=r"no image in the class folder bee\. Links to what is in another folder already: .*bee"):
        ClassFolders(tmp_path)


def test_one_image_in_all_is_an_error(tmp_path):
    class_folders(tmp_path, ["ant"], 1)
    (tmp_path / "bee").mkdir()
    with pytest.raises(CcsError, match="no image in the class folder bee"):
        ClassFolders(tmp_path)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_named_pipe_does_not_hold_up_a_pass(tmp_path, workers):
    class_folders(tmp_path, ["ant", "bee"], 2)
    os.mkfifo(tmp_path / "ant" / "pipe.png")
    data = ImageData(ClassFolders(tmp_path), to_tensor, num_workers=workers)
    assert sum(len(batch.sample_ids) for batch in batches(data)) == 4


def test_a_pipe_that_a_list_names_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(UnreadableImage, match=r"1\.png is no file"):
        STANDARD(tmp_path / "1.png", str(tmp_path / "1.png"))


def test_a_pipe_in_a_copy_of_a_published_set_is_no_part_of_it(tmp_path):
    os.mkfifo(tmp_path / "0.tar")
    assert local_files(HubSource("a/b", "c" * 40, "test", "test/*.tar", label_column="cls"), tmp_path) == []

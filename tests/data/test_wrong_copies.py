"""Local copies of data sets that are incomplete, damaged, foreign or hostile."""

import io
import os
import tarfile

import datasets
import pytest
from local_copies import (
    PETS,
    batches,
    cifar_binary,
    class_folders,
    encoded,
    load,
    pairs,
    parquet,
    pets_archive,
    small,
    tar_of,
    to_tensor,
    webdataset,
    write_image,
)

from ccs_exp.config.schema import configure
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.published.classes import class_table
from ccs_exp.errors import CcsError
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.run_folder.folder import RunFolder


@pytest.fixture
def pets(tmp_path):
    return pets_archive(tmp_path)


def test_a_number_of_images_that_is_off_says_which_classes(tmp_path):
    folders = class_table("cifar10").folders
    class_folders(tmp_path, folders, 3)
    with pytest.raises(CcsError, match=r"holds 30 of the 40 .*; 3 of airplane, 3 of automobile, .* and 5 more instead of 4"):
        load("cifar10", tmp_path, *small(40, 4))
    with pytest.raises(CcsError, match="holds 30 images, the test set of cifar10 has 20.*Give the test set alone"):
        load("cifar10", tmp_path, *small(20, 2), "dataset.partial=true")
    (tmp_path / "cat/0000.png").unlink()
    write_image(tmp_path / "dog/new.png", 1)
    with pytest.raises(CcsError, match="2 of cat, 4 of dog instead of 3"):
        load("cifar10", tmp_path, *small(30, 3))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: write_image(root / "plane/1.png", 0),
            "none of the 10 classes: plane. .* named like airplane, automobile, bird",
        ),
        (lambda root: write_image(root / "Airplane/1.png", 0), "several folders of one class: Airplane, airplane"),
        (lambda root: [path.unlink() for path in root.rglob("*.png")], "has class folders, but no image in them"),
    ],
)
def test_strange_class_folders(tmp_path, spoil, message):
    spoil(class_folders(tmp_path, class_table("cifar10").folders, 1))
    with pytest.raises(CcsError, match=message):
        load("cifar10", tmp_path, *small(10, 1), "dataset.partial=true")


def test_a_folder_that_is_no_copy_says_what_it_holds_and_what_is_known(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    message = (
        r"no copy of food101: it holds notes.txt. Known layouts: ``meta/test.txt`` lists .*; A folder for each class.*wds_food101"
    )
    with pytest.raises(CcsError, match=message):
        load("food101", tmp_path)
    with pytest.raises(CcsError, match="is not a folder"):
        load("food101", tmp_path / "notes.txt")


def test_pickles_are_not_read(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py/test_batch").write_bytes(b"cos\nsystem\n(S'touch stolen'\ntR.")
    for folder in (tmp_path, tmp_path / "cifar-10-batches-py"):
        with pytest.raises(CcsError, match=r"pickle files.*Fetch the binary version \(cifar-10-batches-bin/test_batch.bin\)"):
            load("cifar10", folder)


def test_damaged_and_foreign_binary_files(tmp_path):
    table = class_table("cifar10")
    file = cifar_binary(tmp_path / "test_batch.bin", range(10), "batches.meta.txt", table.folders)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(CcsError, match=r"30,729 bytes, not a whole number of records of 3,073"):
        load("cifar10", tmp_path)
    file.write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(CcsError, match="labels that are none of the 10 classes: 11"):
        load("cifar10", tmp_path)
    (tmp_path / "batches.meta.txt").write_text("\n".join([*table.folders[:9], "lorry"]))
    with pytest.raises(CcsError, match=r"Unknown: lorry\. Missing: truck\."):
        load("cifar10", tmp_path)


def test_split_files_that_list_what_is_not_there_or_elsewhere(pets):
    for stem, _ in PETS[:7]:
        (pets / f"images/{stem}.jpg").unlink()
    with pytest.raises(CcsError, match=r"7 of the 74 images .*: Abyssinian_1.jpg, .* and 2 more\. Complete the copy"):
        load("oxford_pets", pets)
    assert len(load("oxford_pets", pets, "dataset.partial=true")) == 67
    split = pets / "annotations/test.txt"
    split.write_text(split.read_text() + "../../pug_1 26 1 1\n")
    with pytest.raises(CcsError, match="lists files outside its folder: ../../pug_1.jpg"):
        load("oxford_pets", pets)
    split.write_text("poodle_1 38 1 1\n")
    with pytest.raises(CcsError, match="labels that are none of the 37 classes: poodle"):
        load("oxford_pets", pets)
    split.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CcsError, match="test.txt is UTF-16 text, not UTF-8|is UTF-16 text"):
        load("oxford_pets", pets)
    split.unlink()
    with pytest.raises(CcsError, match="has images/ but no annotations/test.txt"):
        load("oxford_pets", pets)


def test_tars_that_are_missing_cut_or_no_data_set(tmp_path):
    names = list(class_table("oxford_pets").names)
    webdataset(tmp_path, names, list(range(37)), shards=3)
    (tmp_path / "test/1.tar").rename(tmp_path / "away.tar")
    with pytest.raises(CcsError, match="lacks 1.tar of 3 shards"):
        load("oxford_pets", tmp_path)
    assert 0 < len(load("oxford_pets", tmp_path, "dataset.partial=true")) < 37
    content = (tmp_path / "away.tar").read_bytes()
    (tmp_path / "test/1.tar").write_bytes(content[: len(content) // 2])
    with pytest.raises(CcsError, match=r"1.tar (is cut short|cannot be read as a tar)"):
        load("oxford_pets", tmp_path)
    at = content.rindex(b"RIFF")  # the last image
    (tmp_path / "test/1.tar").write_bytes(content[: at + 100])
    with pytest.raises(CcsError, match="1.tar is cut short: it ends within s00000"):
        load("oxford_pets", tmp_path)
    for members, message in (
        ({"a.webp": encoded(1)}, "samples without an image or without a label: a"),
        ({"a.cls": b"x", "a.webp": encoded(1)}, "the label of a is 'x', not a number"),
        ({"a.cls": b"9" * 5000, "a.webp": encoded(1)}, "not a number"),
        ({"a.cls": b"37", "a.webp": encoded(1)}, "labels that are none of the 37 classes: 37"),
        ({"README": b"text"}, "no samples of an image and a label"),
    ):
        tar_of(tmp_path / "test/1.tar", members)
        with pytest.raises(CcsError, match=message):
            load("oxford_pets", tmp_path)
    (tmp_path / "test/1.tar").write_bytes(content)
    (tmp_path / "classnames.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(CcsError, match="classnames.txt is not UTF-8 text: line 1 .* perhaps cp1252, in which it reads 'café'"):
        load("oxford_pets", tmp_path)
    (tmp_path / "classnames.txt").unlink()
    with pytest.raises(CcsError, match="has no classnames.txt"):
        load("oxford_pets", tmp_path)


def test_names_in_a_tar_are_never_paths(tmp_path):
    webdataset(tmp_path / "copy", list(class_table("oxford_pets").names), [0])
    tar_of(tmp_path / "copy/test/0.tar", {"../../../etc/evil.cls": b"3", "../../../etc/evil.webp": encoded(3)})
    tar_of(tmp_path / "copy/test/1.tar", {"/abs/evil.cls": b"4", "/abs/evil.webp": encoded(4)})
    before = sorted(tmp_path.rglob("*"))
    source = load("oxford_pets", tmp_path / "copy", "dataset.partial=true")
    assert pairs(source) == [(3, 3), (4, 4)] and sorted(tmp_path.rglob("*")) == before


def linked_tar(path, kind, target):
    """A sample whose image, or label, is a link, a device or a pipe."""
    with tarfile.open(path, "w") as tar:
        for name, content in (("a.cls", b"3"), ("b.cls", b"4"), ("b.webp", encoded(4))):
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
        header = tarfile.TarInfo("a.webp")
        header.type, header.linkname = kind, str(target)
        tar.addfile(header)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_links_and_devices_in_a_tar_lead_nowhere(tmp_path, kind):
    webdataset(tmp_path / "copy", list(class_table("oxford_pets").names), [0], shards=1)
    (tmp_path / "secret.webp").write_bytes(encoded(7))
    for target in (tmp_path / "secret.webp", "../../secret.webp", "b.webp", "/dev/zero"):
        linked_tar(tmp_path / "copy/test/0.tar", kind, target)
        with pytest.raises(CcsError, match=r"0\.tar holds samples without an image or without a label: a"):
            load("oxford_pets", tmp_path / "copy", "dataset.partial=true")


def test_a_member_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    webdataset(tmp_path, list(class_table("oxford_pets").names), [0], shards=1)
    with open(tmp_path / "test/0.tar", "wb") as file:
        header = tarfile.TarInfo("a.webp")
        header.size = 2**28 + 1
        file.write(header.tobuf())
        file.truncate(2**28 + 4096)  # a hole: nothing is on the disk
    with pytest.raises(CcsError, match=r"0\.tar: a\.webp has 268,435,457 bytes; an image of at most 268,435,456 is read"):
        load("oxford_pets", tmp_path, "dataset.partial=true")


def test_a_row_group_that_memory_would_not_hold_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "test-00000-of-00001.parquet"
    parquet(file, "img", "label", list(range(10)), datasets.ClassLabel(names=list(class_table("cifar10").folders)))
    assert len(load("cifar10", tmp_path, *small(10, 1))) == 10
    monkeypatch.setattr("ccs_exp.data.published.parquet.MOST_BYTES", 1000)
    for way in ((), ("dataset.streaming=true",)):
        with pytest.raises(CcsError, match=r"00001\.parquet has a row group of [\d,]+ bytes.* at most 1,000 are read.*smaller row groups"):
            load("cifar10", tmp_path, *small(10, 1), *way)


def test_parquet_files_with_other_columns_or_labels(tmp_path):
    file = tmp_path / "test-00000-of-00001.parquet"
    parquet(file, "image", "label", [0, 1], datasets.Value("int64"))
    with pytest.raises(CcsError, match="no column img, only image, label"):
        load("cifar10", tmp_path)
    parquet(file, "img", "label", [0, -1], datasets.Value("int64"))
    with pytest.raises(CcsError, match="none of the 10 classes: -1"):
        load("cifar10", tmp_path)
    for labels, feature in (([0.0, 1.0], datasets.Value("float32")), ([[0], [1]], datasets.List(datasets.Value("int64")))):
        parquet(file, "img", "label", labels, feature)
        with pytest.raises(CcsError, match="expected are names or whole numbers"):
            load("cifar10", tmp_path)
    parquet(file, "img", "label", [0, 1], datasets.ClassLabel(names=["cat", "dog"]))
    with pytest.raises(CcsError, match="names 2 classes, expected are 10. Missing: airplane"):
        load("cifar10", tmp_path)
    file.write_bytes(b"PAR1 no")
    with pytest.raises(CcsError, match="00001.parquet cannot be read as a Parquet file"):
        load("cifar10", tmp_path)


def test_a_path_in_a_parquet_cell_opens_no_file(tmp_path):
    import pyarrow
    import pyarrow.parquet

    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(7))
    table = pyarrow.table({"img": [{"bytes": None, "path": str(secret)}], "label": [0]})
    pyarrow.parquet.write_table(table, tmp_path / "test-00000-of-00001.parquet")
    source = load("cifar10", tmp_path, "dataset.partial=true")
    with pytest.raises(Exception, match="Row 0 cannot be decoded"):
        source[0]


def test_a_damaged_image_stops_the_run_or_is_counted(tmp_path):
    names = list(class_table("oxford_pets").names)
    webdataset(tmp_path, names, list(range(6)), shards=1, kind="jpg")
    file = tmp_path / "test/0.tar"
    content = file.read_bytes()
    at = content.index(encoded(3, "JPEG"))
    file.write_bytes(content[: at + 100] + bytes(600) + content[at + 700 :])
    source = load("oxford_pets", tmp_path, "dataset.partial=true")
    for on_error, workers in (("skip", 0), ("skip", 2), ("raise", 2)):
        data = ImageData(source, to_tensor, batch_size=4, on_error=on_error, num_workers=workers)
        if on_error == "skip":
            assert [target for batch in batches(data) for target in batch.targets.tolist()] == [0, 1, 2, 4, 5]
            assert len(data.skipped) == 1 and "s0000003 in" in data.skipped[0]
        else:
            with pytest.raises(CcsError, match=r"s0000003 in .*0.tar cannot be decoded .*on_error=skip"):
                batches(data)


def test_links_strange_names_and_upper_case_suffixes(tmp_path):
    folders = class_table("cifar10").folders
    class_folders(tmp_path / "real", folders, 1, ".JPG")
    (tmp_path / "real/cat/again").symlink_to(tmp_path / "real")  # a loop
    (tmp_path / "real/dog/0000.JPG").rename(os.fsdecode(os.fsencode(tmp_path / "real/dog") + b"/\xff\xfe.JPG"))
    (tmp_path / "real/.cache").mkdir()
    (tmp_path / "real/test").write_text("no folder")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    source = load("cifar10", tmp_path / "link", *small(10, 1))
    assert sorted(target for target, _ in pairs(source)) == list(range(10))
    for path in (tmp_path / "round", tmp_path / ("x" * 300)):
        with pytest.raises(CcsError, match="is not a folder|cannot be read"):
            load("cifar10", path)


def test_a_partial_copy_is_evaluated_over_all_classes_and_says_so(tmp_path):
    """From the command line's keys to the run folder; one file's name is not UTF-8."""
    class_folders(tmp_path / "copy", ["Bengal", "pug"], 3)
    (tmp_path / "copy/pug/0000.png").rename(os.fsdecode(os.fsencode(tmp_path / "copy/pug") + b"/\xff.png"))
    copy = ("dataset=oxford_pets", f"dataset.path={tmp_path / 'copy'}", "dataset.partial=true")
    cfg = configure(*copy, "protocol=paper", "tracker=none", "probe.num_images=100", "prune=none")
    run(cfg, Job(str(tmp_path / "run")))
    folder = RunFolder(tmp_path / "run")
    assert any("partial: 6 of 3,669 images, of 2 of 37 classes" in text for text in folder.read_summary()["warnings"])
    predictions = folder.read_predictions()
    assert len(predictions) == 6 and set(predictions["target"]) == {4, 23}
    names = load("oxford_pets", tmp_path / "copy", "dataset.partial=true", "protocol=paper").class_names
    assert (names[4], names[23]) == ("Bengal", "Pug")

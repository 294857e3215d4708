"""The published image data sets: what is known of them, every layout of a local copy, and both protocols."""

from collections import Counter
from io import BytesIO

import datasets
import numpy as np
import pytest
from local_copies import (
    CLASSES,
    SAMPLES,
    SHADES,
    cifar_binary,
    class_folders,
    load,
    pairs,
    parquet,
    pets_archive,
    picture,
    small,
    split_archive,
    webdataset,
)
from PIL import Image, JpegImagePlugin

from ccs_exp.config.schema import configure
from ccs_exp.data.published.classes import class_table
from ccs_exp.errors import CcsError

# what is known of the data sets


@pytest.mark.parametrize("name", CLASSES)
def test_class_tables_are_complete_unambiguous_and_in_the_sets_own_order(name):
    table = class_table(name)
    assert len(table) == len(set(table.names)) == len(set(table.folders)) == CLASSES[name]
    assert all(table.index(spelling) == index for index, spelling in enumerate(table.names))
    assert all(table.index(spelling.upper()) == index for index, spelling in enumerate(table.folders))
    assert list(table.folders) == sorted(table.folders, key=str.lower)  # the order in which each of the seven numbers its classes


def test_class_names_and_templates_are_those_of_the_standard_evaluation(shared):
    import json

    names = json.loads((shared / "data/zeroshot/en_classnames.json").read_text())
    templates = json.loads((shared / "data/zeroshot/en_zeroshot_classification_templates.json").read_text())
    assert list(class_table("oxford_pets").names) == names["pets"]
    assert list(class_table("country211").names) == names["country211"]
    for letter in "ar":
        synsets = (shared / f"data/zeroshot/imagenet_r_a/timm_imagenet_{letter}_synsets.txt").read_text().split()
        table = class_table(f"imagenet_{letter}")
        assert list(table.folders) == synsets
        assert [names["imagenet1k"].index(name) for name in table.names] == sorted(map(names["imagenet1k"].index, table.names))
    for data_set, key in {
        "cifar10": "cifar10", "cifar10_objects": "cifar10", "cifar100": "cifar100", "food101": "food101",
        "country211": "country211", "oxford_pets": "pets", "imagenet_a": "imagenet1k", "imagenet_r": "imagenet1k",
    }.items():  # fmt: skip
        got = list(configure(f"dataset={data_set}").dataset.templates)
        assert got == [template.replace("{c}", "{}") for template in templates[key]], data_set


@pytest.mark.parametrize("data_set", SAMPLES)
def test_every_configuration_says_how_many_images_there_are(data_set):
    source = configure(f"dataset={data_set}").dataset.source
    assert source.samples == SAMPLES[data_set] and len(class_table(source.classes)) == CLASSES[source.classes]


# layouts


@pytest.fixture
def cifar_copies(tmp_path):
    """Two images a class, in each layout that CIFAR-10 comes in; in the hub's file the shade is the row."""
    table, labels = class_table("cifar10"), [3, 0, 9, 1, 2, 4, 5, 6, 7, 8] * 2
    cifar_binary(tmp_path / "binary/cifar-10-batches-bin/test_batch.bin", labels, "batches.meta.txt", table.folders)
    class_folders(tmp_path / "folders", table.folders, 2)
    class_folders(tmp_path / "inside/test", table.folders, 2)
    class_folders(tmp_path / "inside/train", table.folders, 3)
    names = datasets.ClassLabel(names=list(table.folders))
    parquet(tmp_path / "hub/plain_text/test-00000-of-00001.parquet", "img", "label", labels, names)
    return tmp_path, labels


@pytest.mark.parametrize("layout", ["binary", "binary/cifar-10-batches-bin", "folders", "inside", "hub", "hub/plain_text"])
def test_every_layout_of_cifar10_gives_the_same_classes(cifar_copies, layout):
    root, labels = cifar_copies
    source = load("cifar10", root / layout, *small(20, 2))
    assert source.class_names == class_table("cifar10").names and len(source) == 20 and source.notes == ()
    if layout.startswith("hub"):
        assert pairs(source) == list(zip(labels, range(20), strict=True))
    else:
        assert sorted(pairs(source)) == sorted((label, label) for label in range(10) for _ in range(2))


def test_the_subsets_of_cifar10_are_scored_over_their_own_names(cifar_copies):
    root, _ = cifar_copies
    for layout in ("binary", "folders", "hub"):
        objects = load("cifar10_objects", root / layout, *small(8, 2))
        animals = load("cifar10_animals", root / layout, *small(12, 2))
        assert objects.class_names == ("airplane", "automobile", "ship", "truck")
        assert animals.class_names == ("bird", "cat", "deer", "dog", "frog", "horse")
        assert Counter(target for target, _ in pairs(objects)) == {0: 2, 1: 2, 2: 2, 3: 2} and len(animals) == 12
    assert {target: shade for target, shade in pairs(load("cifar10_objects", root / "folders", *small(8, 2)))} == {
        0: 0, 1: 1, 2: 8, 3: 9,
    }  # fmt: skip
    assert [sample for sample in pairs(objects)][:2] == [(0, 1), (3, 2)]  # of the hub's rows 1 and 2


def test_a_copy_of_only_the_subset_is_enough_for_it(tmp_path):
    class_folders(tmp_path, ["airplane", "automobile", "ship", "truck"], 2)
    assert len(load("cifar10_objects", tmp_path, *small(8, 2))) == 8
    with pytest.raises(CcsError, match="none of the classes bird, cat, deer, dog, frog and 1 more"):
        load("cifar10_animals", tmp_path, *small(12, 2))


def test_cifar100_in_its_binary_version_and_from_the_hub(tmp_path):
    table = class_table("cifar100")
    cifar_binary(tmp_path / "a/test.bin", range(100), "fine_label_names.txt", table.folders, coarse=True)
    names = ["cra" if name == "crab" else name for name in table.folders]  # the hub's own spelling
    feature = datasets.ClassLabel(names=names)
    parquet(tmp_path / "b/cifar100/test-00000-of-00001.parquet", "img", "fine_label", range(100), feature)
    for copy in ("a", "b"):
        source = load("cifar100", tmp_path / copy, *small(100, 1))
        assert pairs(source) == [(label, label) for label in range(100)]
    assert source.class_names[1] == "aquarium fish"


def test_food101_as_distributed(tmp_path):
    table = class_table("food101")
    tests = [f"{folder}/{number}" for folder in reversed(table.folders) for number in (10, 20)]
    lines, images = tests, [f"{name}.jpg" for name in tests] + [f"{folder}/99.jpg" for folder in table.folders]
    split_archive(tmp_path / "food-101", "meta/test.txt", lines, images)
    source = load("food101", tmp_path, *small(202, 2))
    assert [source[index].target for index in range(4)] == [100, 100, 99, 99]
    assert source[0].sample_id == "images/waffles/10.jpg"
    (tmp_path / "food-101/images/waffles/10.jpg").unlink()
    with pytest.raises(CcsError, match=r"1 of the 202 images that .*meta/test.txt lists are not in .*images: waffles/10.jpg"):
        load("food101", tmp_path, *small(202, 2))
    assert len(load("food101", tmp_path, "dataset.partial=true")) == 201


@pytest.fixture
def pets(tmp_path):
    return pets_archive(tmp_path)


def test_pets_standard_and_paper(pets):
    standard = load("oxford_pets", pets, *small(74))
    assert [standard[index].target for index in range(74)] == [index // 2 for index in range(74)]
    with pytest.raises(CcsError, match="holds 75 of the 7,390 test images"):
        load("oxford_pets", pets, "protocol=paper")
    everything = load("oxford_pets", pets, "protocol=paper", "dataset.protocols.paper.whole_samples=75")
    assert len(everything) == 75 and not everything.notes
    (pets / "images" / "Bombay_9.jpg").unlink()  # which no list names
    paper = load("oxford_pets", pets, "protocol=paper", "dataset.protocols.paper.whole_samples=74")
    assert len(paper.class_names) == 35 and paper.class_names[:3] == ("Abyssinian", "American", "Basset")
    merged, breeds = {}, {sample.sample_id: standard.class_names[sample.target] for sample in map(standard.__getitem__, range(74))}
    for sample in map(paper.__getitem__, range(74)):
        merged.setdefault(paper.class_names[sample.target], set()).add(breeds[sample.sample_id])
    assert all(breed.split()[0] == word for word, breeds in merged.items() for breed in breeds)
    assert {word for word, breeds in merged.items() if len(breeds) > 1} == {"American", "English"}
    cifar = list(configure("dataset=cifar10").dataset.templates)
    assert list(configure("dataset=oxford_pets", "protocol=paper").dataset.templates) == cifar
    assert list(configure("dataset=oxford_pets").dataset.templates) == ["a photo of a {}, a type of pet."]


@pytest.mark.parametrize(
    ("data_set", "kind"), [("food101", "jpg"), ("country211", "webp"), ("oxford_pets", "webp"), ("imagenet_a", "jpg")]
)
def test_tars_of_the_hub_in_the_order_of_their_own_class_names(tmp_path, data_set, kind):
    """The numbers in the tars mean what classnames.txt says, here another order than the table's."""
    names = list(class_table(data_set).names)[::-1]
    labels = [label for label in range(len(names)) if label % 7 == 0]
    webdataset(tmp_path, names, labels, shards=3, kind=kind)
    expected = [(len(names) - 1 - label, label % SHADES) for label in labels]
    for folder in (tmp_path, tmp_path / "test"):
        source = load(data_set, folder, "dataset.partial=true")
        assert source.class_names == class_table(data_set).names
        assert pairs(source) == expected and source[0].sample_id == "0/s0000000"
    streamed = load(data_set, tmp_path, "dataset.streaming=true", *small(len(labels)))
    assert pairs(streamed) == expected


def test_imagenet_r_from_the_hub_goes_by_wordnet_id(tmp_path):
    folders = class_table("imagenet_r").folders
    labels = [folders[5], folders[0], folders[199]]
    parquet(tmp_path / "test/test-00000-of-00001.parquet", "image", "wnid", labels, datasets.Value("string"))
    assert pairs(load("imagenet_r", tmp_path, "dataset.partial=true")) == [(5, 0), (0, 1), (199, 2)]
    assert pairs(load("imagenet_r", tmp_path, "dataset.streaming=true", *small(3))) == [(5, 0), (0, 1), (199, 2)]


@pytest.mark.parametrize(("data_set", "inside"), [("country211", "test"), ("imagenet_a", ""), ("imagenet_r", "")])
def test_class_folders_named_by_code(tmp_path, data_set, inside):
    table = class_table(data_set)
    class_folders(tmp_path / inside, table.folders, 1, ".JPEG")
    (tmp_path / "README.txt").write_text("distributed beside the folders")
    if inside:
        class_folders(tmp_path / "train", table.folders[:2], 1)
    source = load(data_set, tmp_path, *small(len(table), 1))
    assert [target for target, _ in pairs(source)[:3]] == [0, 1, 2] and source.class_names == table.names


def test_real_photographs(shared):
    for data_set, images, classes in (("cifar10", 1_000, 10), ("oxford_pets", 148, 37), ("food101", 120, 10)):
        path = shared / "data" / data_set
        with pytest.raises(CcsError, match=f"holds {images:,} of the .* dataset.partial=true"):
            load(data_set, path)
        source = load(data_set, path, "dataset.partial=true")
        assert len(source) == images and len({source[index].target for index in range(images)}) == classes
        (note,) = source.notes
        assert f"{images:,} of {SAMPLES[data_set]:,} images, of {classes} of {CLASSES[data_set]} classes" in note


# protocols and decoding


def test_the_paper_compresses_lossless_images_and_leaves_jpegs_alone(tmp_path):
    table = class_table("cifar10")
    class_folders(tmp_path / "png", table.folders, 1)
    class_folders(tmp_path / "jpg", table.folders, 1, ".jpg")
    cifar_binary(tmp_path / "bin/test_batch.bin", range(10), "batches.meta.txt", table.folders)
    copies = {}
    for copy in ("png", "bin", "jpg"):
        for protocol in ("standard", "paper"):
            source = load("cifar10", tmp_path / copy, *small(10, 1), f"protocol={protocol}")
            copies[copy, protocol] = np.asarray(source[0].image)
    original = np.asarray(picture(0))
    assert (copies["png", "standard"] == original).all() and (copies["bin", "standard"] == original).all()
    for copy in ("png", "bin", "jpg"):
        assert (copies[copy, "paper"] == copies["jpg", "standard"]).all()
    assert np.abs(original.astype(int) - copies["png", "paper"]).mean() > 1
    picture(0).save(tmp_path / "jpg/airplane/0000.jpg", quality=95)
    finer = [load("cifar10", tmp_path / "jpg", *small(10, 1), f"protocol={name}")[0].image for name in ("standard", "paper")]
    assert finer[0].tobytes() == finer[1].tobytes() != copies["jpg", "paper"].tobytes()


def test_the_authors_jpegs_have_the_quality_of_our_copies(shared):
    quality = configure("dataset=cifar10", "protocol=paper").dataset.source.jpeg_quality
    file = shared / "data/cifar10/cat/0000.jpg"
    with Image.open(file) as theirs:
        again = BytesIO()
        theirs.save(again, "JPEG", quality=quality, subsampling="4:2:0")
        with Image.open(again) as ours:
            assert ours.quantization == theirs.quantization
            assert JpegImagePlugin.get_sampling(ours) == JpegImagePlugin.get_sampling(theirs)

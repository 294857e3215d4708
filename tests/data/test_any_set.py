"""Data sets that only their repository describes, and photographs with captions: what is found, and what is refused."""

import csv
import json

import datasets
import numpy as np
import pytest
import torch
from local_copies import encoded, load, pairs, parquet, shade_of, tar_of, webdataset, write_image
from small_models import small_model

from ccs_exp.clip.engine import PlainEngine
from ccs_exp.compute.trainer import Compute
from ccs_exp.config.schema import configure
from ccs_exp.data.videos.frame_batches import FrameData
from ccs_exp.errors import CcsError
from ccs_exp.heads import Condition
from ccs_exp.tasks.retrieval import retrieve

HUB = ["dataset.id=some/set"]
TEXT, NUMBER = datasets.Value("string"), datasets.Value("int64")


def hub_copy(folder, labels, feature, *overrides, column="label", file="data/test-00000-of-00001.parquet"):
    parquet(folder / file, "image", column, labels, feature)
    return load("hub", folder, *HUB, *overrides)


def test_classes_are_called_as_the_features_say(tmp_path):
    source = hub_copy(tmp_path, [1, 0, 1], datasets.ClassLabel(names=["big_cat", "dog"]))
    assert source.class_names == ("big cat", "dog") and pairs(source) == [(1, 0), (0, 1), (1, 2)]


def test_labels_that_are_texts_are_names(tmp_path):
    source = hub_copy(tmp_path, ["dog", "big_cat", "dog"], TEXT, column="category")
    assert source.class_names == ("big cat", "dog") and pairs(source) == [(1, 0), (0, 1), (1, 2)]


def test_numbers_are_named_by_a_file(tmp_path):
    names = tmp_path / "names.csv"
    with names.open("w", newline="") as file:
        csv.writer(file).writerows([("folder", "name"), (3, "cat"), (11, "dog")])
    source = hub_copy(tmp_path / "set", [11, 3, 3], NUMBER, f"dataset.class_names={names}")
    assert source.class_names == ("cat", "dog") and [target for target, _ in pairs(source)] == [1, 0, 0]
    with pytest.raises(CcsError, match=r"labels of some/set are numbers, 3, 11, .* dataset\.class_names=FILE"):
        load("hub", tmp_path / "set", *HUB)


def test_columns_that_are_not_clear_are_named(tmp_path):
    features = datasets.Features({"photo": datasets.Image(), "mask": datasets.Image(), "fine": TEXT, "coarse": TEXT})
    picture = {"bytes": encoded(3), "path": None}
    rows = {"photo": [picture] * 3, "mask": [picture] * 3, "fine": ["a cat", "a dog", "a cat"], "coarse": ["pet"] * 3}
    (tmp_path / "data").mkdir()
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data/test-0.parquet")
    with pytest.raises(CcsError, match=r"several columns of images: photo, mask\. .* dataset\.image_column=NAME"):
        load("hub", tmp_path, *HUB)
    with pytest.raises(CcsError, match=r"no column of labels .* fine, coarse\. If one .* the labels, name it: dataset\.label_column="):
        load("hub", tmp_path, *HUB, "dataset.image_column=photo")
    chosen = ["dataset.image_column=photo", "dataset.label_column=fine"]
    assert load("hub", tmp_path, *HUB, *chosen).class_names == ("a cat", "a dog")
    with pytest.raises(CcsError, match=r"no column fines\. .*Set dataset\.label_column to one of them"):
        load("hub", tmp_path, *HUB, "dataset.image_column=photo", "dataset.label_column=fines")
    with pytest.raises(CcsError, match="column fine of the Parquet files holds no images"):
        load("hub", tmp_path, *HUB, "dataset.image_column=fine", "dataset.label_column=coarse")


@pytest.mark.parametrize(
    ("labels", "feature", "message"),
    [
        (["a dog runs", "a cat sits", "a cow"], TEXT, "all 3 images have different ones, such as a cat sits"),
        ([0.5, 1.5, 2.5], datasets.Value("float64"), "3 of 3 images have neither a name nor a whole number there, but 0.5, 1.5"),
        (["cat", None, "cat"], TEXT, "1 of 3 images have neither a name nor a whole number there, but None"),
        ([-1, -1, -1], NUMBER, "some are negative"),
        ([["a"], ["b"], ["c"]], [TEXT], "3 of 3 images have neither a name nor a whole number"),
    ],
)
def test_labels_that_are_no_classes_are_refused(tmp_path, labels, feature, message):
    with pytest.raises(CcsError, match=rf"column label of some/set holds no classes: {message}.*dataset\.label_column=NAME"):
        hub_copy(tmp_path, labels, feature)


def test_which_files_are_of_the_split(tmp_path):
    named = datasets.ClassLabel(names=["a", "b"])
    for name in ("test-00000-of-00002", "test-00001-of-00002", "train-00000-of-00001", "contest-0"):
        parquet(tmp_path / f"data/{name}.parquet", "image", "label", [0, 1], named)
    assert len(load("hub", tmp_path, *HUB)) == 4 and len(load("hub", tmp_path, *HUB, "dataset.split=train")) == 2
    with pytest.raises(CcsError, match=r"has no split 'val'; its Parquet files are contest-0\.parquet, .*dataset\.split=NAME"):
        load("hub", tmp_path, *HUB, "dataset.split=val")
    webdataset(tmp_path / "tars", ["a", "b"], [0, 1])
    with pytest.raises(CcsError, match="holds no Parquet files, only .*"):
        load("hub", tmp_path / "tars", *HUB)


def test_a_set_of_the_collection_brings_its_names_and_prompts(tmp_path):
    webdataset(tmp_path, ["annual crop", "forest"], [1, 0, 1], shards=1)
    (tmp_path / "zeroshot_classification_templates.txt").write_text("a satellite photo of {c}.\n{c} from above.\n")
    source = load("wds", tmp_path, "dataset.id=clip-benchmark/wds_some")
    assert source.class_names == ("annual crop", "forest") and [target for target, _ in pairs(source)] == [1, 0, 1]
    assert source.templates == ("a satellite photo of {}.", "{} from above.")
    (tmp_path / "classnames.txt").write_text("forest\n")
    with pytest.raises(CcsError, match="labels that are none of its 1 classes: 1"):
        load("wds", tmp_path, "dataset.id=clip-benchmark/wds_some")
    with pytest.raises(CcsError, match=r"holds no train/\*\.tar: it is no set of that collection"):
        load("wds", tmp_path, "dataset.id=x/y", "dataset.split=train")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset=hub"], "Still needed: dataset.id="),
        (["dataset=digits", "dataset.id=a/b"], "dataset.id=a/b is not used by dataset=digits"),
        (["dataset=food101", "dataset.label_column=x"], "dataset.label_column=x is not used by dataset=food101"),
        (["dataset=hub", "dataset.id=a/b", "dataset.templates=[]"], "there is no template"),
    ],
)
def test_settings_of_a_set_of_the_hub(overrides, message):
    with pytest.raises(CcsError, match=message):
        configure(*overrides)


# captions


def captioned_tars(root, captions):
    """As the collection lays out photographs with captions: a caption a line in the text beside each image. The shade is the number."""
    for shard, part in enumerate((captions[:2], captions[2:])):
        members = {}
        for number, texts in enumerate(part, 2 * shard):
            members[f"s{number:07d}.jpg"] = encoded(10 * number, "JPEG")
            members[f"s{number:07d}.txt"] = "\n".join(texts).encode()
        tar_of(root / "test" / f"{shard}.tar", members)
    (root / "test/nshards.txt").write_text("2\n")
    return root


CAPTIONS = [["a cat", "the cat sits"], ["a dog"], ["a cow", "a brown cow", "one cow"], ["a cat"]]


def test_tars_of_captioned_photographs(tmp_path):
    source = load("flickr30k", captioned_tars(tmp_path, CAPTIONS), "dataset.source.samples=4")
    assert source.captions == tuple(text for texts in CAPTIONS for text in texts) and source.of_video == (0, 0, 1, 2, 2, 2, 3)
    assert [round(shade_of(video.frames(1)[0]), -1) for video in source.videos] == [0, 10, 20, 30]
    assert source.caption_ids[:3] == ["0/s0000000#0", "0/s0000000#1", "0/s0000001#0"] and "4:2:0" not in str(source.decoder)
    assert any("1 caption of flickr30k stand for several photographs" in note for note in source.notes)
    with pytest.raises(CcsError, match=r"has 4 captioned photographs, the test set has 1,000"):
        load("flickr30k", tmp_path)


def test_a_photograph_without_caption_is_refused(tmp_path):
    with pytest.raises(CcsError, match="1 photograph without a caption, or with an empty one: 0/s0000001"):
        load("flickr30k", captioned_tars(tmp_path, [["a cat"], [" ", ""], ["a cow"]]), "dataset.source.samples=3")


def test_captioned_photographs_as_distributed(tmp_path):
    for number in range(3):
        write_image(tmp_path / f"a/flickr/{number}.jpg", 10 * number)
        write_image(tmp_path / f"b/val2014/COCO_{number}.jpg", 10 * number)
    (tmp_path / "a/flickr30k_test_karpathy.txt").write_text('image,caption\n1.jpg,"a dog, big"\n1.jpg,one dog\n2.jpg,a cow\n')
    flickr = load("flickr30k", tmp_path / "a", "dataset.source.samples=2")
    assert flickr.captions == ("a dog, big", "one dog", "a cow") and [video.video_id for video in flickr.videos] == ["1.jpg", "2.jpg"]
    coco = {
        "images": [{"id": 7, "file_name": "COCO_2.jpg"}, {"id": 5, "file_name": "COCO_0.jpg"}],
        "annotations": [{"image_id": 5, "caption": "zero"}, {"image_id": 7, "caption": "two"}, {"image_id": 7, "caption": "a pair"}],
    }
    (tmp_path / "b/coco_test_karpathy.json").write_text(json.dumps(coco))
    mscoco = load("mscoco", tmp_path / "b", "dataset.source.samples=2")
    assert mscoco.captions == ("two", "a pair", "zero") and mscoco.of_video == (0, 0, 1)
    (tmp_path / "b/val2014/COCO_0.jpg").unlink()
    with pytest.raises(CcsError, match="1 of 2 captioned photographs missing below .*: COCO_0.jpg"):
        load("mscoco", tmp_path / "b", "dataset.source.samples=2")
    with pytest.raises(CcsError, match=r"holds no coco_test_karpathy\.json, at any depth, and no test/\*\.tar"):
        load("mscoco", tmp_path / "a")


def test_recalls_of_photographs_are_those_of_plain_similarities(tmp_path):
    """Both directions, against similarities worked out one by one; a photograph is found by the best of its captions."""
    model = small_model()
    model.transform = lambda image: torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 64 - 2
    source = load("flickr30k", captioned_tars(tmp_path, CAPTIONS), "dataset.source.samples=4")
    data = FrameData(source, model.transform, frames=1, batch_size=3, num_workers=0)
    compute = Compute("cpu", progress=False)
    found = retrieve(model, data, [Condition("original", frozenset())], PlainEngine(), compute, renormalise=True)
    pixels = torch.stack([model.transform(video.frames(1)[0]) for video in source.videos])
    encoded_both = (model.encode_images(pixels), model.encode_texts(source.captions))
    images, texts = (torch.nn.functional.normalize(part.double(), dim=-1) for part in encoded_both)
    similarity = (texts @ images.T).numpy()
    of_video = list(source.of_video)
    to_image = [np.argmax(row) == right for row, right in zip(similarity, of_video, strict=True)]
    to_text = [of_video[np.argmax(column)] == image for image, column in enumerate(similarity.T)]
    (values,) = (outcomes.values[0] for outcomes in found.tasks.values())
    assert values["t2v_R@1"] == pytest.approx(np.mean(to_image)) and values["v2t_R@1"] == pytest.approx(np.mean(to_text))
    assert values["t2v_R@5"] == values["v2t_R@10"] == 1.0

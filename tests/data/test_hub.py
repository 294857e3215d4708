"""Streams of the hub's files, the hub's cache, and what is recorded of the hub."""

import functools
import re

import pytest
from huggingface_hub import constants
from local_copies import (
    CAPTIONED,
    CLASSES,
    SAMPLES,
    batches,
    load,
    small,
    to_tensor,
    webdataset,
)

from ccs_exp.config.schema import configure
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.published.classes import class_table
from ccs_exp.data.published.verify_hub import Seen, differences, main, recorded
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build

# streams


def test_a_stream_may_be_asked_out_of_order_and_ends_with_an_error(tmp_path):
    webdataset(tmp_path, list(class_table("oxford_pets").names), list(range(12)), shards=2)
    source = load("oxford_pets", tmp_path, "dataset.streaming=true", *small(13))
    assert [source[index].target for index in (0, 5, 6, 2, 11)] == [0, 5, 6, 2, 11]
    with pytest.raises(CcsError, match="ended after 12 of 13 images"):
        source[12]
    with pytest.raises(CcsError, match="cifar10_objects is a part of one"):
        load("cifar10_objects", tmp_path, "dataset.streaming=true")
    with pytest.raises(CcsError, match="holds no test/\\*.tar"):
        load("oxford_pets", tmp_path / "..", "dataset.streaming=true")


def test_a_stream_goes_through_batches_in_one_process(tmp_path):
    webdataset(tmp_path, list(class_table("oxford_pets").names), list(range(12)), shards=2)
    source = load("oxford_pets", tmp_path, "dataset.streaming=true", *small(12))
    data = ImageData(source, to_tensor, batch_size=5, limit=7)
    assert [target for batch in batches(data) for target in batch.targets.tolist()] == data.indices and len(data) == 7
    with pytest.raises(CcsError, match="streaming reads in one process"):
        batches(ImageData(source, to_tensor, num_workers=2))


# the hub


rows = functools.cache(recorded)  # every data set's configuration, composed


def test_tars_in_the_hubs_cache_are_used_without_network_and_the_commit_is_spelt_out(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    snapshots = tmp_path / "datasets--clip-benchmark--wds_imagenet-a" / "snapshots"
    for other in (digit * 40 for digit in "0123456789abcdef"):
        (snapshots / other).mkdir(parents=True)
    webdataset(snapshots / ("614c3a5" + "0" * 33), list(class_table("imagenet_a").names), range(200), shards=4, kind="jpg")
    source = build(configure("dataset=imagenet_a", "dataset.source.samples=200").dataset.source)
    assert [source[index].target for index in (0, 199)] == [0, 199]


def row_and_sight(name):
    """A row of the table, and what the hub would show if it were as recorded."""
    (row,) = [row for row in rows() if row.name == name]
    files = [row.hub.files.replace("*", str(number)) for number in range(row.hub.num_files)]
    columns = ["cls", "jpg"] if row.hub.is_tars else ["img", "fine_label", "coarse_label"]
    seen = {"commit": row.hub.revision.ljust(40, "0"), "files": files, "columns": columns}
    seen["class_names"] = list(class_table(row.classes).names)
    if row.hub.is_tars:
        seen |= {"shard_count": row.hub.num_files, "templates": list(row.templates)}
    else:
        seen["samples"] = row.samples
    return row, seen


@pytest.mark.parametrize("name", ["food101", "imagenet_a", "cifar100"])
def test_a_hub_as_recorded_shows_no_difference(name):
    row, seen = row_and_sight(name)
    assert differences(row, Seen(**seen)) == []


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("food101", {"commit": "f" * 40}, "revision 147a52f.* stands for ffff"),
        ("food101", {"files": []}, "no file matches test/\\*.tar"),
        ("food101", {"files": ["test/0.tar"]}, "1 files match test/.*, recorded are 5"),
        ("food101", {"shard_count": 6}, "nshards.txt says 6 shards, there are 5"),
        ("food101", {"scripts": ["wds_food101.py"]}, "it has scripts: wds_food101.py"),
        ("food101", {"columns": ["jpg", "json"]}, "no cls among jpg, json"),
        ("food101", {"class_names": ["apple pie"]}, "names 1 classes, expected are 101"),
        ("food101", {"templates": ["{}"]}, "zeroshot_classification_templates.txt has other templates than dataset=food101"),
        ("cifar100", {"samples": 9_999}, "9,999 samples, recorded are 10,000"),
        ("cifar100", {"columns": ["image", "label"]}, "no img or fine_label among image, label"),
    ],
)
def test_whatever_differs_at_the_hub_is_said(name, changed, message):
    row, seen = row_and_sight(name)
    (difference,) = [text for text in differences(row, Seen(**seen | changed)) if re.search(message, text)]
    assert difference


def test_verifying_without_a_hub_fails_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr("ccs_exp.data.published.verify_hub.recorded", rows)
    assert main() == 2
    assert "The hub cannot be reached" in capsys.readouterr().err


# one of each way to be stored; all by the long tests
SHORT = ("cifar10_objects", "cifar100", "food101", "imagenet_a", "country211")


@pytest.mark.parametrize("data_set", [pytest.param(name, marks=[] if name in SHORT else pytest.mark.full) for name in SAMPLES])
@pytest.mark.parametrize("streaming", ["false", "true"])
def test_a_hub_that_cannot_be_reached_names_the_way_out(data_set, streaming):
    if data_set.startswith("cifar10_") and streaming == "true":
        pytest.skip("a part of a set is not streamed")
    with pytest.raises(CcsError, match=r"cannot be loaded from the hub .*dataset\.path=DIR"):
        build(configure(f"dataset={data_set}", f"dataset.streaming={streaming}").dataset.source)


def test_everything_that_comes_from_the_hub_is_recorded():
    people = {"fairface": 10_954, "social_counterfactuals": 170_832}
    named = {*SAMPLES, *CAPTIONED, *people}
    found = {(row.name if row.classes or row.name in named - {"imagenet_val"} else f"probe={row.name}"): row for row in rows()}
    parts = {"cifar10_objects", "cifar10_animals"}
    assert set(found) == {*named, "probe=mini_imagenet", "probe=imagenet_val"} - parts, "parts of CIFAR-10 take its files"
    assert all(found[name].samples == SAMPLES[name] and found[name].classes in CLASSES for name in SAMPLES.keys() - parts)
    assert {name: found[name].samples for name in (*CAPTIONED, *people)} == CAPTIONED | people
    assert found["probe=mini_imagenet"].samples == 5_000 and all(row.hub.revision and row.hub.files for row in found.values())

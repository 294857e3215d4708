"""Entries whose checksum is right and whose layout is not, and those of older releases: never an error of a job, never a wrong value."""

import copy
import json
import logging
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from example_run import RAN, asked, write_run

from ccs_exp.clip.ablation import Donors
from ccs_exp.config.schema import configure
from ccs_exp.heads import Condition, Head
from ccs_exp.jobs.resume import JOBS, is_kept, restore
from ccs_exp.jobs.store_command import main, unpackers
from ccs_exp.jobs.weights import WEIGHTS
from ccs_exp.scoring.ccs import HeadScore, Scores, pack_scores
from ccs_exp.scoring.describe import spans_as_json
from ccs_exp.scoring.donors import pack_layer
from ccs_exp.scoring.judges.judge import Verdict
from ccs_exp.scoring.moments import HeadMoments, pack_moments
from ccs_exp.scoring.output_means import OutputSums, pack_sums
from ccs_exp.scoring.spans import HeadSpans
from ccs_exp.store import code_of, kept, pack_tensors, read_entry, unpacked, write_entry
from ccs_exp.store.code import is_of_this_code
from ccs_exp.store.entries import Entry, entry_path, read_head
from ccs_exp.store.states import HASHES
from ccs_exp.tasks.evaluation import Evaluation, Outcomes
from ccs_exp.tasks.kept import _packed

OLDER = Path(__file__).parents[1] / "older"
CODE = {"code": code_of("ccs_exp.store")}
TEXTS = ("red", "blue", "green", "a star", "a ring")


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    return tmp_path / "store"


def evaluation():
    outcomes = Outcomes(
        primary="top1", id_column="sample_id", ids=["a", "b"], fixed={"target": np.array([0, 1])},
        columns={"prediction": np.array([[0, 1], [1, 1]]), "margin": np.ones((2, 2))},
        values=[{"top1": 1.0}, {"top1": 0.5}], tied=[0, 0], num_samples=2,
    )  # fmt: skip
    return Evaluation((), (frozenset(), frozenset({Head(2, 0)})), {"shapes": outcomes}, (None, None), [], [], None)


def entries(tmp_path):
    """One whole entry of every kind that a job keeps."""
    heads = (Head(2, 0), Head(2, 1))
    moments = HeadMoments(heads, 3, torch.ones(2, 4).double(), torch.ones(2, 4, 4).double())
    spans = tuple(HeadSpans(head, TEXTS, explained_variance=0.5) for head in heads)
    verdicts = (Verdict.ALIGNED,) * 4 + (Verdict.UNJUDGED,)
    scores = Scores(tuple(HeadScore(head, "colors", None, None, TEXTS, verdicts, 0.5) for head in heads), model="tiny")
    run = write_run(tmp_path / "run", samples=20, asked=asked("high_ccs"), ran=RAN, computed=["moments"], from_store=[])
    files = {path.name: path.read_bytes() for path in run.files()} | {"about": b'{"tracker": null}'}
    described = {"heads": json.dumps(spans_as_json(spans)).encode(), "skipped": b'["a.png: broken"]'}
    return {
        HASHES: ({}, {"sha256": b'"abc"'}),
        WEIGHTS: ({}, {"file": json.dumps({"path": "a", "sha256": "b"}).encode()}),
        "text_embeddings": ({"count": 3}, pack_tensors({"value": torch.ones(3, 2)})),
        "moments": ({}, pack_moments(moments) | {"skipped": b"[]"}),
        "descriptions": ({}, described),
        "scores": ({}, pack_scores(scores)),
        "evaluations": ({"heads": ["", "L2.H0"]}, _packed(evaluation())),
        JOBS: ({}, files),
    }


def more_entries(tmp_path):
    sums = OutputSums(2, {3: torch.ones(2, 5, 4).double()}, {3: torch.ones(2, 4).double()})
    donors = Donors({3: torch.ones(2, 2, 5, 4)}, torch.tensor([1, 2]))
    return entries(tmp_path) | {
        "output_sums": ({}, pack_sums(sums) | {"skipped": b"[]"}),
        "donors": ({"layer": 3}, pack_layer(donors)),
    }


def test_every_kind_is_read_as_it_was_written(tmp_path, capsys):
    for kind, (key, members) in entries(tmp_path).items():
        write_entry(kind, key | CODE, members)
    assert main(["verify"]) == 0 and "8 entries read, 0 damaged" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["text_embeddings", "moments", "evaluations", "output_sums", "donors"])
def test_numbers_of_another_kind_are_another_layout(kind, tmp_path):
    key, members = more_entries(tmp_path)[kind]
    unpack, (name,) = unpackers()[kind], [name for name in members if name.endswith(".safetensors")]
    assert unpack(Entry(kind, key, members)) is not None
    for other in (torch.bool, torch.int8, torch.float16):
        if kind == "text_embeddings" and other is torch.float16:  # as a model of half precision has them
            continue
        tensors = {column: values.to(other) for column, values in safetensors.torch.load(members[name]).items()}
        with pytest.raises(ValueError, match="float16|int8|bool"):
            unpack(Entry(kind, key, members | {name: safetensors.torch.save(tensors)}))


KINDS = [HASHES, WEIGHTS, "text_embeddings", "moments", "descriptions", "scores", "evaluations", JOBS]


@pytest.mark.parametrize("kind", KINDS)
def test_another_layout_is_damaged_set_aside_and_computed_again(kind, tmp_path, caplog, capsys):
    key, members = entries(tmp_path)[kind]
    name = sorted(members)[0]
    write_entry(kind, key | CODE, {"other": b"{}"} | {more: members[more] for more in members if more != name})
    assert main(["verify"]) == 1 and "1 damaged" in capsys.readouterr().out
    assert not entry_path(kind, key | CODE).exists() and list(tmp_path.rglob("*.damaged"))
    write_entry(kind, key | CODE, {"other": b"{}"})
    unpack = unpackers()[kind]
    with caplog.at_level(logging.WARNING):
        found = kept(kind, key | CODE, lambda: "computed", lambda _: members, lambda m: unpack(Entry(kind, key | CODE, dict(m))))
    assert found == "computed" and "its layout is another" in caplog.text and main(["gc", "--damaged"]) == 0
    assert read_entry(kind, key | CODE, dict) == members


def altered(members, rng):
    """The members with one thing changed: validly hashed when written, and laid out otherwise."""
    members, name = dict(members), rng.choice(sorted(members))
    content = members[name]
    try:
        found = json.loads(content)
    except ValueError:
        cut = rng.randrange(len(content))
        members[name] = rng.choice([content[:cut], b"", content[:cut] + bytes([content[cut] ^ 1]) + content[cut + 1 :]])
        return members
    places = [((), None)]
    found = copy.deepcopy(found)

    def walk(node, path):
        for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append(((*path, key), None))
            walk(node[key], (*path, key))

    walk(found, ())
    path, _ = rng.choice(places)
    value = rng.choice([None, 7, -1.5, "text", [], {}, [[1]], True, float("inf")])
    if not path:
        members[name] = json.dumps(value).encode()
        return members
    *above, last = path
    node = found
    for key in above:
        node = node[key]
    if rng.random() < 0.4:
        del node[last]
    else:
        node[last] = value
    members[name] = json.dumps(found).encode()
    return members


def normal(kind, value, key, tmp_path):
    """What a job does first with what it has read; raises where that was not fit for use."""
    if kind == "moments":
        moments, skipped = value
        again = HeadMoments(moments.heads, moments.num_images, moments.first, moments.second) + moments
        return pack_moments(again), json.dumps(skipped), sorted(skipped), moments.num_images + 1
    if kind == "descriptions":
        spans, skipped = value
        return [text.strip() for span in spans for text in span.descriptions], [f"{span.explained_variance or 0:.2f}" for span in spans]
    if kind == "scores":
        return value.to_frame(), value.ccs_at_k(), value.unjudged, pack_scores(value), [value.of_class(name) for name in ("high", "low")]
    if kind == "evaluations":
        return value.tasks and [value.tasks[name].of_set(1) for name in value.tasks], [sum(task.tied) for task in value.tasks.values()]
    if kind == JOBS:
        from ccs_exp.jobs.resume import _show
        from ccs_exp.run_folder.folder import RunFolder

        RunFolder(tmp_path / "again").write_summary(value.summary)
        return _show(value.summary, tmp_path), value.summary["from_store"] + value.summary["computed"]
    if kind == "text_embeddings":
        return value["value"].float() @ value["value"].float().T
    return str(value)


@pytest.mark.parametrize("kind", KINDS)
def test_altered_entries_are_refused_or_fit_for_use(kind, tmp_path):
    """200 alterations of each kind, every one validly hashed; a fixed seed, so that what is found is found again."""
    rng, unpack = random.Random(KINDS.index(kind)), unpackers()[kind]
    key, members = entries(tmp_path)[kind]
    refused = 0
    for _ in range(200):
        write_entry(kind, key | CODE, altered(members, rng))
        value = unpacked(Entry(kind, key | CODE, read_entry(kind, key | CODE, dict)), unpack)
        refused += value is None
        if value is not None:
            normal(kind, value, key, tmp_path)
    assert refused > 20


def test_the_predictions_of_several_tasks_are_the_same_rows_from_the_store():
    one = evaluation()
    tasks = {name: one.tasks["shapes"] for name in ("shapes", "colours", "sizes", "places")}
    made = replace(one, conditions=(Condition("original", frozenset()),), tasks=tasks)
    key = {"heads": ["", "L2.H0"]}
    kept_one = unpackers()["evaluations"](Entry("evaluations", key, _packed(made)))
    again = replace(kept_one, conditions=made.conditions).predictions
    assert again.select(made.predictions.column_names) == made.predictions


def test_entries_of_an_older_release_are_ignored_listed_and_collected(store, capsys, tmp_path):
    shutil.copytree(OLDER / "v0.1" / "store", store)
    found = sorted(path.relative_to(store).parts[0] for path in store.rglob("*.entry"))
    assert found == ["descriptions", "evaluations", "jobs", "moments", "scores", "text_embeddings"]
    assert not any(is_of_this_code(read_head(path)["key"]) for path in store.rglob("*.entry"))
    command = ("tracker=none", "dataset=scenes_shape", "dataset.source.num_images=6", "probe.num_images=60", "prune=high_ccs")
    assert not is_kept(configure(*command), command) and not restore(configure(*command), str(tmp_path / "run"), ())
    write_entry("kind", CODE, {"a": b"b"})
    (store / "replies").mkdir()
    (store / "replies" / "paid.json").write_text("{}")
    assert main(["ls"]) == 0 and "6 outdated" in capsys.readouterr().out
    assert main(["ls", "moments"]) == 0 and ".entry  outdated" in capsys.readouterr().out
    assert main(["verify"]) == 0 and "7 entries read, 0 damaged" in capsys.readouterr().out  # whole they are
    assert main(["gc"]) == 0 and "6 files removed" in capsys.readouterr().out
    assert [path.parent.name for path in store.rglob("*.entry")] == ["kind"] and (store / "replies" / "paid.json").exists()

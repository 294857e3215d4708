"""The pass that classifies people's attributes and ranks their images, with a small model, against a plain loop."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.hooks import masked
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import Sample, Task, UnreadableImage
from ccs_exp.heads import Condition, Head
from ccs_exp.store import Stages
from ccs_exp.tasks.classification import _Batch
from ccs_exp.tasks.evaluation import distinct_sets
from ccs_exp.tasks.group_rankings import SIZE, TOP, Occupations
from ccs_exp.tasks.kept import evaluate_kept
from ccs_exp.tasks.occupations import RankedClassification, rank_people

PROMPTS = ("A {}", "A photo of {}")
KINDS = (Task("kind", ("round", "square"), ("a {} thing",)), Task("colour", ("red", "green", "blue"), ("a {} thing",)))
CONDITIONS = [
    Condition("original", frozenset()),
    Condition("high_ccs", frozenset({Head(5, 0), Head(4, 2)})),
    Condition("same", frozenset({Head(5, 0), Head(4, 2)})),
    Condition("low_ccs", frozenset({Head(3, 1)})),
]


class Drawn:
    """Random pictures of two attributes and an occupation; the fifth cannot be decoded if asked for."""

    one_process, class_names = True, ()

    def __init__(self, broken=False):
        rng = np.random.default_rng(0)
        self.broken = broken
        self.targets = np.stack([rng.integers(0, 2, 24), rng.integers(0, 3, 24), np.arange(24) % 2], axis=1)

    def __len__(self):
        return 24

    def __getitem__(self, index):
        if self.broken and index == 5:
            raise UnreadableImage("image 5 cannot be decoded.")
        pixels = np.random.default_rng(index).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return Sample(f"n{index}", Image.fromarray(pixels), tuple(self.targets[index].tolist()))


def to_tensor(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 64 - 2


def run(model, occupations, engine=None, conditions=CONDITIONS, **more):
    data = ImageData(Drawn(**more), to_tensor, batch_size=8, on_error="skip")
    return rank_people(model, data, KINDS, occupations, conditions, engine or PlainEngine(), Compute("cpu", progress=False))


@torch.no_grad()
def plain(model, occupations, heads, attribute, number):
    """Counts of groups among the first k for one occupation, a picture and a prompt at a time."""
    prompts = [prompt.replace("{}", occupations.names[number]) for prompt in occupations.prompts]
    text = F.normalize(torch.stack([F.normalize(model.encode_texts([prompt])[0], dim=-1) for prompt in prompts]).mean(0), dim=-1)
    source, found = Drawn(), []
    for index in range(len(source)):
        sample = source[index]
        if not occupations.own or sample.target[2] == number:
            with masked(model, heads):
                image = model.encode_images(to_tensor(sample.image)[None])[0]
            found.append((float(image @ text), sample.target[attribute]))
    first = sorted(found, key=lambda pair: -pair[0])[: occupations.top_k]
    return [[group for _, group in first].count(kind) for kind in range(len(KINDS[attribute].class_names))]


@pytest.mark.parametrize("own", [False, True])
def test_rankings_are_those_of_a_plain_loop_under_every_condition(model, own):
    asked = Occupations(("baker", "judge"), PROMPTS, own, top_k=7)
    evaluation = run(model, asked)
    assert list(evaluation.rankings) == ["kind", "colour"] == list(evaluation.tasks)
    for attribute, task in enumerate(KINDS):
        ranking = evaluation.rankings[task.name]
        found = np.stack([ranking.columns[f"{TOP}{name}"] for name in task.class_names], axis=-1)
        for condition in CONDITIONS[1:2]:
            place = evaluation.places([condition])[0, 0]
            expected = [plain(model, asked, condition.heads, attribute, number) for number in range(2)]
            assert found[place].tolist() == expected
        sizes = [ranking.fixed[f"{SIZE}{name}"] for name in task.class_names]
        assert np.sum(sizes, axis=0).tolist() == ([12, 12] if own else [24, 24])


def test_engines_agree_and_what_cannot_be_decoded_is_left_out(model):
    asked = Occupations(("baker", "judge", "nurse"), PROMPTS, False, 7)
    one, other = run(model, asked), run(model, asked, SharedPrefixEngine(stack_size=2))
    for name, ranking in one.rankings.items():
        for column, values in ranking.columns.items():
            assert np.allclose(values, other.rankings[name].columns[column], equal_nan=True)
    broken = run(model, asked, broken=True)
    assert broken.rankings["kind"].fixed["images"].tolist() == [23] * 3 and broken.skipped == ["image 5 cannot be decoded."]


def test_shares_of_several_processes_rank_as_one(model):
    def module():
        return RankedClassification(model, KINDS, [], CONDITIONS, PlainEngine(), F.normalize(torch.randn(2, 48), dim=-1), False)

    whole, parts = module(), [module(), module()]
    generator = torch.Generator().manual_seed(0)
    sets, _ = distinct_sets(CONDITIONS)
    for batch in range(5):
        embeddings, targets = torch.randn(len(sets), 4, 48, generator=generator), torch.randint(0, 2, (4, 2), generator=generator)
        for one in (whole, parts[batch % 2]):
            one.texts = whole.texts
            one._batches.append(_Batch([], [], one.seen(embeddings, targets)))
    joined = module()
    joined.combine_shares([part.share_result() for part in parts])
    assert (joined.targets == whole.targets).all()
    assert all((joined.similarities(number) == whole.similarities(number)).all() for number in range(len(sets)))


def test_rankings_are_kept_for_each_set_of_heads(model):
    asked, passes = Occupations(("baker", "judge"), PROMPTS, True, 3), []

    def evaluate(missing):
        passes.append([condition.name for condition in missing])
        return run(model, asked, conditions=missing)

    first = evaluate_kept(CONDITIONS[:2], {"test": "rankings"}, evaluate, Stages())
    second = evaluate_kept(CONDITIONS, {"test": "rankings"}, evaluate, Stages())
    assert passes == [["", "L4.H2 L5.H0"], ["L3.H1"]]
    whole = run(model, asked)
    for name, ranking in whole.rankings.items():
        kept = second.rankings[name]
        assert kept.ids == ranking.ids and all((kept.fixed[column] == values).all() for column, values in ranking.fixed.items())
        for condition in CONDITIONS:
            places = second.places([condition])[0, 0], whole.places([condition])[0, 0]
            for column, values in ranking.columns.items():
                assert np.allclose(kept.columns[column][places[0]], values[places[1]])
    assert set(first.rankings) == set(second.rankings) and set(second.tasks) == {"kind", "colour"}

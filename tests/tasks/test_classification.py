"""Zero-shot classification under several conditions at once."""

import copy
from types import MappingProxyType

import numpy as np
import pytest
import scipy.special
import torch
from PIL import Image
from sklearn.metrics import top_k_accuracy_score
from torch.nn import functional as F

from ccs_exp.clip.engine import PlainEngine
from ccs_exp.clip.hooks import masked
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageBatch, ImageData
from ccs_exp.data.images.source import NO_CLASS, Sample, Task, UnreadableImage
from ccs_exp.errors import CcsError
from ccs_exp.heads import Condition, Head
from ccs_exp.tasks.classification import ZeroShotClassification, class_embeddings, classify

NAMES = tuple("abcdefgh")
TEMPLATES = ["a photo of a {}.", "the {}"]
LETTERS = Task("letters", NAMES, tuple(TEMPLATES))


class Noise:
    """Random pictures; every seventh cannot be decoded if asked for."""

    one_process = True
    class_names = NAMES

    def __init__(self, size=40, broken=False):
        self.size, self.broken = size, broken
        self.targets = np.random.default_rng(0).integers(0, 6, size)  # two classes stay without samples

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        if self.broken and index % 7 == 0:
            raise UnreadableImage(f"image {index} cannot be decoded.")
        pixels = np.random.default_rng(index).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return Sample(f"n{index}", Image.fromarray(pixels), int(self.targets[index]))


def to_tensor(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 64 - 2


CONDITIONS = [
    Condition("original", frozenset()),
    Condition("high_ccs", frozenset({Head(5, 0), Head(4, 2)})),
    Condition("low_ccs", frozenset({Head(3, 1)})),
    Condition("empty", frozenset()),
]


def run(model, conditions, data=None, engine=None, tasks=(LETTERS,)):
    return classify(
        model,
        data or ImageData(Noise(), to_tensor, batch_size=16),
        tasks,
        conditions,
        engine or PlainEngine(),
        Compute("cpu", progress=False),
    )


@pytest.fixture(scope="module")
def evaluation(model):
    return run(model, CONDITIONS)


@torch.no_grad()
def test_values_are_those_of_a_plain_loop(model, evaluation):
    classifier = class_embeddings(model, NAMES, TEMPLATES)
    source = Noise()
    for condition in CONDITIONS:
        with masked(model, condition.heads):
            images = torch.cat(
                [
                    model.encode_images(torch.stack([to_tensor(source[i].image) for i in range(s, min(s + 16, 40))]))
                    for s in (0, 16, 32)
                ]
            )
        similarities = (images @ classifier.T).numpy()
        predictions = similarities.argmax(axis=1)
        expected = {
            "top1": (predictions == source.targets).mean(),
            "top5": top_k_accuracy_score(source.targets, similarities, k=5, labels=range(8)),
            "mean_per_class": np.mean([(predictions[source.targets == c] == c).mean() for c in np.unique(source.targets)]),
        }
        assert evaluation.values[condition.name] == pytest.approx(expected)
        rows = [row for row in evaluation.predictions.to_pylist() if row["condition"] == condition.name]
        assert [row["prediction"] for row in rows] == predictions.tolist()
        assert [row["sample_id"] for row in rows] == [f"n{i}" for i in range(40)]
        assert all(row["correct"] == (row["target"] == row["prediction"]) for row in rows)
        logits = float(model.clip.logit_scale.exp()) * similarities
        right = logits[np.arange(40), source.targets]
        others = [np.delete(row, target).max() for row, target in zip(logits, source.targets, strict=True)]
        np.testing.assert_allclose([row["margin"] for row in rows], right - others, atol=1e-4)
        expected = right - scipy.special.logsumexp(logits, axis=1)
        np.testing.assert_allclose([row["log_probability"] for row in rows], expected, atol=1e-4)


def test_conditions_together_equal_conditions_alone(model, evaluation):
    for condition in CONDITIONS[1:]:
        alone = run(model, [CONDITIONS[0], condition])
        assert alone.values[condition.name] == evaluation.values[condition.name]


def test_a_condition_without_heads_has_the_originals_values(evaluation):
    assert evaluation.values["empty"] == evaluation.values["original"]
    assert evaluation.values["high_ccs"] != evaluation.values["original"]


def test_classifier_is_normalised_averaged_normalised(model):
    classifier = class_embeddings(model, NAMES, TEMPLATES)
    texts = model.encode_texts([template.replace("{}", "c") for template in TEMPLATES])
    torch.testing.assert_close(classifier[2], F.normalize(texts.mean(dim=0), dim=0), atol=1e-6, rtol=0)


def test_ties_go_to_the_lowest_class_and_are_counted(model):
    classifier = torch.ones(8, 48) / 48**0.5
    task = ZeroShotClassification(model, [LETTERS], [classifier], CONDITIONS[:1], PlainEngine())
    Compute("cpu", progress=False).run(task, ImageData(Noise(), to_tensor), "Ties")
    result = task.evaluation()
    assert {row["prediction"] for row in result.predictions.to_pylist()} == {0} and sum(result.tied.values()) == 40


def test_skipped_images_are_counted_and_left_out(model):
    data = ImageData(Noise(broken=True), to_tensor, batch_size=16, on_error="skip")
    result = run(model, CONDITIONS[:2], data)
    assert result.num_samples == 34 and len(result.skipped) == 6


def test_nothing_but_skipped_images_is_an_error(model):
    data = ImageData(Noise(size=1, broken=True), to_tensor, on_error="skip")
    with pytest.raises(CcsError, match="every image was skipped"):
        run(model, CONDITIONS[:1], data)


@pytest.mark.parametrize(("templates", "message"), [([], "templates is empty"), (["a photo"], "'a photo' has no {}")])
def test_templates_need_a_place_for_the_name(model, templates, message):
    with pytest.raises(CcsError, match=message):
        class_embeddings(model, NAMES, templates)


def test_five_classes_have_no_top5(model):
    source = Noise()
    source.targets = source.targets % 5
    five = Task("five", NAMES[:5], tuple(TEMPLATES))
    result = run(model, CONDITIONS[:1], ImageData(source, to_tensor), tasks=[five])
    assert set(result.values["original"]) == {"top1", "mean_per_class"}


def test_shared_work_gives_the_plain_engines_rows(model, evaluation):
    shared = run(model, CONDITIONS, engine=SharedPrefixEngine())
    assert shared.values == evaluation.values
    one, other = (found.predictions.to_pandas() for found in (shared, evaluation))
    floats = ["margin", "log_probability"]
    assert one.drop(columns=floats).equals(other.drop(columns=floats))
    np.testing.assert_allclose(one[floats], other[floats], atol=1e-4)  # of logits: a hundred times a similarity


@pytest.mark.parametrize("classes", [7, 17, 101])
def test_classes_of_equal_embeddings_tie_and_the_first_is_taken(model, classes):
    """A matrix product gives equal columns unequal last digits, by where they stand."""
    torch.manual_seed(classes)
    classifier = torch.nn.functional.normalize(torch.randn(classes, 48), dim=-1)
    classifier[-1] = classifier[0]
    classifier[classes // 2] = classifier[0]
    many = Task("many", tuple(map(str, range(classes))), ("{}",))
    task = ZeroShotClassification(model, [many], [classifier], CONDITIONS[:1], PlainEngine())
    pixels = torch.randn(64, 3, 32, 32)
    with torch.inference_mode():
        task.classifier_0[[0, -1, classes // 2]] = model.encode_images(pixels[:1])  # surely the best for the first image
        task.test_step(ImageBatch(pixels, torch.full((64,), classes - 1), [str(i) for i in range(64)], []), 0)
    evaluation = task.evaluation()
    predicted = evaluation.predictions.column("prediction").to_pylist()
    assert predicted[0] == 0 and sum(evaluation.tied.values()) == predicted.count(0) and not {classes - 1, classes // 2} & set(predicted)


def test_embeddings_that_are_no_numbers_are_an_error(model):
    broken = copy.deepcopy(model)
    broken.clip.visual.proj.data[0, 0] = float("nan")
    with pytest.raises(CcsError, match="not all finite numbers"):
        run(broken, CONDITIONS)


class TwoLabels(Noise):
    """The letters, and a second label that every third image lacks."""

    tasks = MappingProxyType({"letters": NAMES, "digits": tuple("012")})

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        return sample._replace(target=(sample.target, NO_CLASS if index % 3 == 0 else index % 3))


def test_tasks_on_the_same_images_are_those_alone(model, evaluation):
    digits = Task("digits", tuple("012"), ("the number {}",))
    both = run(model, CONDITIONS, ImageData(TwoLabels(), to_tensor, batch_size=16), tasks=[LETTERS, digits])
    assert list(both.tasks) == ["letters", "digits"] and both.num_samples == 40
    rows = both.predictions.to_pandas()
    letters = rows.query("task == 'letters'").reset_index(drop=True)
    assert letters.astype(object).equals(evaluation.predictions.to_pandas().astype(object))
    assert both.tasks["letters"].values == evaluation.tasks["letters"].values
    kept = [index for index in range(40) if index % 3]
    assert rows.query("task == 'digits' and condition == 'original'")["sample_id"].tolist() == [f"n{index}" for index in kept]
    for condition in CONDITIONS:
        top1 = [both.values_of(task, condition)["top1"] for task in both.tasks]
        assert both.values[condition.name]["top1"] == pytest.approx(np.mean(top1))
        assert "top5" not in both.values[condition.name]  # three digits have none


def test_a_task_without_any_label_is_an_error(model):
    source = TwoLabels()
    source.__class__ = type("Lacking", (TwoLabels,), {"__getitem__": lambda self, i: Noise.__getitem__(self, i)._replace(target=(0, -1))})
    with pytest.raises(CcsError, match="'digits'"):
        run(model, CONDITIONS[:1], ImageData(source, to_tensor), tasks=[LETTERS, Task("digits", tuple("012"), ("{}",))])

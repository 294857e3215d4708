"""Drawn scenes show what their factors say, and the taxonomy has words for all of it."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from ccs_exp.config.schema import configure
from ccs_exp.data.bundled import scene_drawing as drawing
from ccs_exp.data.bundled import scenes
from ccs_exp.data.bundled.digits import DIGIT_NAMES, Digits
from ccs_exp.data.bundled.scene_drawing import SIDE, draw
from ccs_exp.data.bundled.scenes import FACTORS, NO_VALUE, SceneProbe, SceneTask, sample_scene
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build
from ccs_exp.scoring.taxonomy import load_taxonomy

CONCEPTS = {
    "shape": "shapes", "colour": "colors", "texture": "textures", "size": "sizes", "place": "places", "count": "numbers",
    "background": "backgrounds",
}  # fmt: skip
ORDER = list(FACTORS)


def drawn(seed=0, **values):
    """A plain large red circle alone in the middle of fog, but for the given values."""
    known = {"shape": "circle", "colour": "red", "texture": "plain", "size": "large", "place": "centre", "count": "one"}
    known |= {"background": "fog"} | values
    scene = np.array([FACTORS[name].index(known[name]) if known[name] is not None else NO_VALUE for name in ORDER])
    return draw(scene, np.random.default_rng(seed)).astype(int)


def red(image):
    return (image[..., 0] - image[..., 1] > 90) & (image[..., 0] - image[..., 2] > 90)


@pytest.mark.parametrize("factor", FACTORS)
def test_a_seed_gives_the_same_task_and_another_seed_another(factor, monkeypatch):
    monkeypatch.setattr(scenes, "draw", draw)  # each time, as outside of tests
    first, again, other = (SceneTask(factor, 12, seed) for seed in (3, 3, 4))
    pixels = [[np.asarray(task[i].image) for i in range(12)] for task in (first, again, other)]
    assert np.array_equal(pixels[0], pixels[1]) and not np.array_equal(pixels[0], pixels[2])
    assert [first[i].sample_id for i in range(12)] == [again[i].sample_id for i in range(12)]


@pytest.mark.parametrize("factor", FACTORS)
def test_classes_are_balanced_and_samples_named_once(factor):
    task = SceneTask(factor, 100, 1)
    samples = [task[i] for i in range(len(task))]
    counts = Counter(sample.target for sample in samples)
    assert task.class_names == FACTORS[factor] and set(counts) == set(range(len(task.class_names)))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({sample.sample_id for sample in samples}) == 100
    assert {(sample.image.mode, sample.image.size) for sample in samples} == {("RGB", (SIDE, SIDE))}


@pytest.mark.parametrize("factor", FACTORS)
def test_only_the_asked_factor_is_fixed(factor):
    rng = np.random.default_rng(0)
    value = len(FACTORS[factor]) - 1
    scenes = np.stack([sample_scene(rng, factor, value) for _ in range(200)])
    assert (scenes[:, ORDER.index(factor)] == value).all()
    for other in {"shape", "colour", "background"} - {factor}:
        seen = len(np.unique(scenes[:, ORDER.index(other)]))
        assert seen >= len(FACTORS[other]) - 1  # one colour may vanish before one background, so that the two never meet


def test_several_objects_are_plain_and_have_no_place():
    rng = np.random.default_rng(0)
    scenes = np.stack([sample_scene(rng) for _ in range(500)])
    several = scenes[:, ORDER.index("count")] > 0
    assert 0 < several.sum() < 500
    assert ((scenes[:, ORDER.index("place")] == NO_VALUE) == several).all()
    assert (scenes[several, ORDER.index("texture")] == FACTORS["texture"].index("plain")).all()


@pytest.mark.parametrize("count", range(1, len(FACTORS["count"]) + 1))
def test_as_many_objects_are_drawn_as_are_counted(count):
    name = FACTORS["count"][count - 1]
    for seed in range(5):
        image = drawn(seed, count=name, size="tiny", place="centre" if count == 1 else None)
        assert ndimage.label(red(image), structure=np.ones((3, 3)))[1] == count


@pytest.mark.parametrize("place", FACTORS["place"])
def test_an_object_stands_where_its_place_says(place):
    rows, columns = np.nonzero(red(drawn(place=place, size="small")))
    expected_row = 8 if "top" in place else 24 if "bottom" in place else 16
    expected_column = 8 if "left" in place else 24 if "right" in place else 16
    assert abs(rows.mean() + 0.5 - expected_row) < 2 and abs(columns.mean() + 0.5 - expected_column) < 2


def test_a_larger_size_covers_more():
    areas = [np.mean([red(drawn(seed, size=size)).sum() for seed in range(5)]) for size in FACTORS["size"]]
    assert all(larger > 1.4 * smaller for smaller, larger in pairwise(areas))


@pytest.mark.parametrize("factor", ["shape", "colour", "texture", "background"])
def test_no_two_values_look_alike(factor):
    images = np.stack([drawn(size="huge", **{factor: value}) for value in FACTORS[factor]])
    differences = np.abs(images[:, None] - images[None]).mean(axis=(2, 3, 4))
    assert (differences[~np.eye(len(images), dtype=bool)] > 3).all()  # of 255


def test_the_probe_is_repeatable_and_of_one_class():
    probe, again = SceneProbe(40, 2), SceneProbe(40, 2)
    assert len(probe) == 40 and len(probe.class_names) == 1
    assert len({probe[i].sample_id for i in range(40)}) == 40
    assert all(np.array_equal(probe[i].image, again[i].image) and probe[i].target == 0 for i in range(40))


@pytest.mark.parametrize("factor", ["count", "texture"])  # what takes most from the stream of random numbers
def test_a_scene_is_drawn_the_same_whichever_was_asked_for_before(factor):
    rng = np.random.default_rng([5, ORDER.index(factor)])
    in_turn = [draw(sample_scene(rng, factor, i % len(FACTORS[factor])), rng) for i in range(16)]
    backwards, task = {}, SceneTask(factor, 16, 5)
    for i in [*reversed(range(16)), 3]:
        backwards[i] = np.asarray(task[i].image)
    assert all(np.array_equal(backwards[i], in_turn[i]) for i in range(16))


def drawn_plainly(scene, left):
    """As `draw_decided`, every object over the whole picture."""
    shape, colour, texture, size, place, count, background = scene.tolist()
    (ys, xs), canvas = (np.indices((64, 64)) + 0.5) / 2, np.moveaxis(drawing._background(background, left), 0, -1).copy()
    contour, first = 25 if canvas.mean() > 110 else 235, drawing._COLOURS[colour]
    second = 0.2 * first + 0.8 * (250.0 if first.mean() < 128 else 35.0)
    single = [(drawing._PLACES[place % 3], drawing._PLACES[place // 3])]
    centres = [(drawing._GRID[cell % 3], drawing._GRID[cell // 3]) for cell in left.cells] if count else single
    for (centre_x, centre_y), random in zip(centres, left.objects, strict=True):
        x, y = xs - centre_x - random.off[0], ys - centre_y - random.off[1]
        r = (drawing._RADII_OF_SEVERAL if count else drawing._RADII)[size] * random.times
        canvas[drawing._SHAPES[shape](x / (r + 1), y / (r + 1))] = contour
        fine = None if random.speckles is None else random.speckles.repeat(2, axis=0).repeat(2, axis=1)
        share = np.broadcast_to(np.asarray(drawing._texture(texture, x, y, r, fine), dtype=float), (64, 64))[..., None]
        inside = drawing._SHAPES[shape](x / r, y / r)
        canvas[inside] = (first * (1 - share) + second * share)[inside]
    return np.rint(canvas.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))).astype(np.uint8)


def test_objects_are_drawn_as_over_the_whole_picture():
    rng = np.random.default_rng(8)
    for number in range(300):
        factor = ORDER[number % len(ORDER)]
        scene = sample_scene(rng, factor, number // len(ORDER) % len(FACTORS[factor]))
        left = drawing.decide(scene, rng)
        assert np.array_equal(drawing.draw_decided(scene, left), drawn_plainly(scene, left)), scene


def test_scenes_are_chosen_as_far_as_they_are_asked_for():
    task = SceneTask("shape", 12, 0)
    assert len(task) == 12 and len(list(task)) == 12
    assert task[-1].sample_id == task[11].sample_id
    with pytest.raises(IndexError):
        task[12]


def test_unknown_factors_and_splits_are_refused_by_name():
    with pytest.raises(CcsError, match=r"color.*colour"):
        SceneTask("color", 1, 0)
    with pytest.raises(CcsError, match=r"validation.*train and test"):
        Digits("validation")


def test_the_digits_are_split_without_overlap_and_completely():
    train, test = Digits("train"), Digits("test")
    ids = [{digits[i].sample_id for i in range(len(digits))} for digits in (train, test)]
    assert not ids[0] & ids[1] and len(ids[0] | ids[1]) == 1797 and len(test) >= 500
    counts = Counter(test[i].target for i in range(len(test)))
    assert test.class_names == DIGIT_NAMES and set(counts) == set(range(10)) and min(counts.values()) > 30


@pytest.mark.parametrize("factor", [*FACTORS, "digits"])
def test_the_taxonomy_describes_every_value_in_the_words_of_the_task(factor):
    concept = CONCEPTS.get(factor, "digits")
    cfg = configure("dataset=digits" if factor == "digits" else f"dataset=scenes_{factor}").dataset
    names = DIGIT_NAMES if factor == "digits" else FACTORS[factor]
    part = None if factor == "digits" else ["scenes"]  # the probe, and so its pool, shows no digits
    described = {item.text for item in load_taxonomy().pool(part) if concept in item.concepts}
    assert {template.replace("{}", name) for template in cfg.templates for name in names} <= described


def test_a_description_of_the_scenes_carries_the_concepts_whose_values_it_names():
    values = {concept: FACTORS[factor] for factor, concept in CONCEPTS.items() if factor in FACTORS}
    numbers = set()
    for item in load_taxonomy().pool(["scenes"]):
        carried = item.concepts & set(values)
        assert all(any(value in item.text for value in values[concept]) for concept in carried), item.text
        numbers.add(len(carried))
    assert numbers == {1, 2}


def test_every_bundled_configuration_builds_its_source():
    for name in [*(f"scenes_{factor}" for factor in FACTORS), "digits"]:
        cfg = configure(f"dataset={name}", *(["dataset.source.num_images=20"] if name != "digits" else []))
        source = build(cfg.dataset.source)
        assert len(source) >= 20 and source[0].target < len(source.class_names)

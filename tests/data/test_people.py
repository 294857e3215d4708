"""Copies of FairFace and SocialCounterfactuals in the layouts in which they are distributed, and copies that are not as they should be."""

import csv
from collections import Counter

import pytest
from local_copies import load, shade_of
from people_copies import (
    AGES,
    RACES,
    face_rows,
    fairface_archive,
    fairface_parquet,
    social_archive,
    social_parquet,
    social_rows,
)

from ccs_exp.data.images.source import NO_CLASS
from ccs_exp.errors import CcsError

FACES = "dataset.source.samples=40"
DRAWN = "dataset.source.samples=52"


def seen(source):
    samples = [source[index] for index in range(len(source))]
    return [(sample.target, shade_of(sample.image)) for sample in samples]


def rewritten(root, name, change):
    """The list of a copy, with `change` made to its rows (the first is the header)."""
    with (root / name).open(newline="") as file:
        rows = list(csv.reader(file))
    with (root / name).open("w", newline="") as file:
        csv.writer(file).writerows(change(rows))
    return root


@pytest.fixture
def faces(tmp_path):
    return fairface_archive(tmp_path / "fairface")


@pytest.fixture
def drawn(tmp_path):
    return social_archive(tmp_path / "drawn")


@pytest.mark.parametrize("layout", [fairface_archive, fairface_parquet])
def test_every_layout_of_fairface_gives_the_same_groups(tmp_path, layout):
    source = load("fairface", layout(tmp_path / "copy"), FACES)
    expected = [(RACES.index(race), gender == "Female", AGES.index(age)) for age, gender, race, _ in face_rows(40)]
    assert [target for target, _ in seen(source)] == expected
    assert Counter(abs(shade - number) <= 2 for number, (_, shade) in enumerate(seen(source))) == {True: 40}  # JPEG
    assert source.tasks["race"][5] == "Latino" and source.tasks["gender"] == ("male", "female") and len(source.tasks["age"]) == 9
    assert not source.own and "judge" in source.occupations and len(set(source.occupations)) >= 100


def test_protocol_paper_has_six_races_and_no_age(faces):
    source = load("fairface", faces, FACES, "protocol=paper")
    assert source.tasks["race"] == ("Asian", "Black", "Indian", "Latino", "Middle Eastern", "White") and "age" not in source.tasks
    asian = [target[0] == 0 for target, _ in seen(source)]
    assert asian == [race.endswith("Asian") for _, _, race, _ in face_rows(40)]


@pytest.mark.parametrize("layout", [social_archive, social_parquet])
def test_every_layout_of_drawn_people_gives_the_same_groups_and_occupations(tmp_path, layout):
    source = load("social_counterfactuals", layout(tmp_path / "copy"), DRAWN)
    assert source.own and source.occupations == ("baker", "doctor") and len(source) == 50
    races, genders = source.tasks["race"], source.tasks["gender"]
    kept = [row for row in social_rows(2) if row[2] != "white"]  # looks and race: neither a1 is a race nor a2 a gender
    expected = [
        (races.index(first.title()) if first != "old" else NO_CLASS, genders.index(second), "doctor" in caption)
        for _, first, second, caption in kept
    ]
    assert [target for target, _ in seen(source)] == expected
    assert source.notes == ("2 images that are of no group or occupation asked for are left out.",)


def test_occupations_of_a_file(tmp_path, faces, drawn):
    file = tmp_path / "mine.txt"
    file.write_text("judge\nopera singer\n")
    assert load("fairface", faces, FACES, f"dataset.occupations={file}").occupations == ("judge", "opera singer")
    with pytest.raises(CcsError, match=r"has no image of judge, opera singer\. Take them out .* Occupations there: baker, doctor"):
        load("social_counterfactuals", drawn, DRAWN, f"dataset.occupations={file}")
    file.write_text("doctor\n")
    source = load("social_counterfactuals", drawn, DRAWN, f"dataset.occupations={file}")
    assert source.occupations == ("doctor",) and {target[-1] for target, _ in seen(source)} == {0}
    for content, message in (("", "the file names none"), ("judge\njudge\n", "judge is there twice")):
        file.write_text(content)
        with pytest.raises(CcsError, match=message):
            load("fairface", faces, FACES, f"dataset.occupations={file}")


def test_images_that_are_listed_and_missing(faces):
    (faces / "val/3.jpg").unlink()
    with pytest.raises(CcsError, match=r"1 of the 40 images that .*fairface_label_val.csv lists are not in .*: val/3.jpg.*partial=true"):
        load("fairface", faces, FACES)
    source = load("fairface", faces, FACES, "dataset.partial=true")
    assert len(source) == 39 and source.notes == ("The copy of fairface is partial: 39 of 40 images.",)
    with pytest.raises(CcsError, match=r"holds 39 images, fairface has 30\. Give that set alone"):
        load("fairface", faces, "dataset.source.samples=30", "dataset.partial=true")


def test_a_list_that_lacks_an_attribute(tmp_path):
    root = fairface_archive(tmp_path, columns=("age", "gender"))
    with pytest.raises(CcsError, match=r"fairface_label_val.csv lacks the column race\. Needed are: file, race, gender, age"):
        load("fairface", root, FACES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows[:-1], [rows[-1][0], "3-9", "Male", "Martian", "True"]], r"labels that are none of East .*: Martian\."),
        (lambda rows: [*rows[:-1], [rows[-1][0], "3-9", "Male", "", "True"]], "line 41: race is empty"),
        (lambda rows: [rows[0], *([*row[:2], "Male", *row[3:]] for row in rows[1:])], "images of one group only, male, of the .* gender"),
        (lambda rows: [*rows[:-1], ["../../etc/passwd", *rows[-1][1:]]], r"lists files outside its folder: \.\./\.\./etc/passwd"),
    ],
)  # fmt: skip
def test_lists_with_wrong_rows(faces, change, message):
    with pytest.raises(CcsError, match=message):
        load("fairface", rewritten(faces, "fairface_label_val.csv", change), FACES)


def test_what_is_no_copy(tmp_path, drawn):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CcsError, match=r"has no fairface_label_val.csv, and no 0.25/validation-\*.parquet of huggingface.co"):
        load("fairface", tmp_path / "empty", FACES)
    rewritten(drawn, "metadata.csv", lambda rows: [rows[0], ["images/one.jpg", *rows[1][1:]], *rows[2:]])
    (drawn / "images/one.jpg").write_bytes((drawn / social_rows(2)[0][0]).read_bytes())
    with pytest.raises(CcsError, match="images/one.jpg names no occupation"):
        load("social_counterfactuals", drawn, DRAWN)

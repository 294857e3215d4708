"""Small copies of data sets of people, drawn, in the layouts in which they are distributed: a shade for every row."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import datasets
from local_copies import picture, write_image

RACES = ("East Asian", "Indian", "Black", "White", "Middle Eastern", "Latino_Hispanic", "Southeast Asian")
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
OCCUPATIONS = ("baker", "doctor")


def face_rows(count: int) -> list[tuple[str, str, str, str]]:
    """``age, gender, race, service_test``; the groups' sizes differ, and none comes first in the order of the list of groups."""
    races = [RACES[(5 + number * (number % 4)) % 7 if number > 6 else 6 - number] for number in range(count)]
    return [(AGES[(3 + number) % 9], ("Female", "Male")[number % 3 == 0], races[number], "True") for number in range(count)]


def fairface_archive(root: Path, count: int = 40, columns: Sequence[str] = ("age", "gender", "race", "service_test")) -> Path:
    """``fairface_label_val.csv``, and ``val/1.jpg`` and on."""
    names = ("age", "gender", "race", "service_test")
    root.mkdir(parents=True, exist_ok=True)
    with (root / "fairface_label_val.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *columns])
        for number, row in enumerate(face_rows(count)):
            write_image(root / f"val/{number + 1}.jpg", number)
            writer.writerow([f"val/{number + 1}.jpg", *(row[names.index(name)] for name in columns)])
    return root


def fairface_parquet(root: Path, count: int = 40) -> Path:
    """As the hub has it: numbers with names."""
    age, gender, race, _ = zip(*face_rows(count), strict=True)
    kinds = {"age": list(AGES), "gender": ["Male", "Female"], "race": list(RACES)}
    features = {"image": datasets.Image()} | {name: datasets.ClassLabel(names=names) for name, names in kinds.items()}
    content = {
        "image": [picture(number) for number in range(count)],
        "age": list(age),
        "gender": list(gender),
        "race": list(race),
    }
    return _parquet(root / "0.25/validation-00000-of-00001-951dbd63c8724ee1.parquet", content, features)


def social_rows(each: int) -> list[tuple[str, str, str, str]]:
    """``file_name, a1, a2, caption``: of each occupation all races of both genders, then one of looks and gender, one of looks and race."""
    races = ("asian", "black", "indian", "latino", "middle eastern", "white")
    rows = []
    for occupation in OCCUPATIONS:
        pairs = [(race, gender) for race in races for gender in ("male", "female")] * each
        for number, (first, second) in enumerate([*pairs, ("old", "female"), ("tattooed", "white")]):
            name = f"images/set_{occupation}_{number}_{first.split()[0]}_{second}.jpg"
            rows.append((name, first, second, f"A photo of a {first} {second} {occupation}."))
    return rows


def social_archive(root: Path, each: int = 2) -> Path:
    """``metadata.csv`` and the files that it lists."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "a1", "a2"])
        for number, (name, first, second, _) in enumerate(social_rows(each)):
            write_image(root / name, number)
            writer.writerow([name, first, second])
    return root


def social_parquet(root: Path, each: int = 2) -> Path:
    _, first, second, captions = zip(*social_rows(each), strict=True)
    texts = {"a1": list(first), "a2": list(second), "caption": list(captions)}
    features = {"image": datasets.Image()} | dict.fromkeys(texts, datasets.Value("string"))
    content = {"image": [picture(number) for number in range(len(captions))], **texts}
    return _parquet(root / "data/train-00000-of-00061.parquet", content, features)


def _parquet(file: Path, content: dict, features: dict) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_dict(content, features=datasets.Features(features)).to_parquet(file)
    return file.parents[1]

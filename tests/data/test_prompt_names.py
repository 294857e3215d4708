"""What prompts call classes under protocol=paper."""

import pytest
from local_copies import class_folders, load, small, webdataset

from ccs_exp.config.schema import configure
from ccs_exp.data.published.classes import class_table, prompt_names
from ccs_exp.errors import CcsError


def test_the_authors_write_cifar_100_with_underscores(tmp_path):
    class_folders(tmp_path, class_table("cifar100").folders, 1)
    paper, standard = load("cifar100", tmp_path, *small(100, 1), "protocol=paper"), load("cifar100", tmp_path, *small(100, 1))
    assert "aquarium_fish" in paper.class_names and "aquarium fish" in standard.class_names
    assert [paper[index].target for index in range(9)] == [standard[index].target for index in range(9)]
    assert [text.replace("_", " ") for text in paper.class_names] == list(standard.class_names)


def test_the_authors_names_of_countries():
    table = class_table("country211")
    theirs, notes = prompt_names("paper", table, None)
    other = {usual: name for usual, name in zip(table.names, theirs, strict=True) if usual != name}
    assert len(other) == 20 and len(set(theirs)) == 211 and not notes
    assert other["Macedonia"] == "Macedonia, the Former Yugoslav Republic of" and other["Vietnam"] == "Viet Nam"
    assert other["United States Virgin Islands"] == "Virgin Islands, U.S." and other["Reunion"] == "RÃ©union"  # as their file has it
    assert configure("dataset=country211", "protocol=paper").dataset.source.names == "paper"


def test_names_of_imagenet_a_and_r_come_from_the_archive_s_readme(tmp_path):
    table = class_table("imagenet_r")
    class_folders(tmp_path / "copy", table.folders, 1)
    without = load("imagenet_r", tmp_path / "copy", *small(200, 1), "protocol=paper")
    assert without.class_names == table.names and "class names from the archive's README.txt" in without.notes[0]
    lines = ["ImageNet-R", "", *(f"{folder} their_{number}" for number, folder in enumerate(table.folders))]
    (tmp_path / "copy" / "README.txt").write_text("\n".join(lines))
    paper = load("imagenet_r", tmp_path / "copy", *small(200, 1), "protocol=paper")
    assert paper.class_names[:2] == ("their 0", "their 1") and not any("class names" in note for note in paper.notes)
    assert load("imagenet_r", tmp_path / "copy", *small(200, 1)).class_names == table.names
    (tmp_path / "copy" / "README.txt").write_text("\n".join(lines[:-1]))
    assert load("imagenet_r", tmp_path / "copy", *small(200, 1), "protocol=paper").class_names == table.names


def test_pets_of_the_hub_are_the_test_images_and_the_run_says_so(tmp_path):
    webdataset(tmp_path, list(class_table("oxford_pets").names), list(range(37)), shards=1)
    found = load("oxford_pets", tmp_path, *small(37), "protocol=paper")
    assert len(found) == 37 and any("evaluates all 7,390 images" in note for note in found.notes)
    assert not load("oxford_pets", tmp_path, *small(37)).notes


def test_other_names_are_refused():
    with pytest.raises(CcsError, match="choose one of usual, folders, paper, readme"):
        prompt_names("theirs", class_table("cifar100"), None)

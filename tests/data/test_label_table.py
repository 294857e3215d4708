"""Tables with a label column for each task."""

import pytest
from PIL import Image

from ccs_exp.config.schema import configure
from ccs_exp.data.images.source import NO_CLASS
from ccs_exp.data.images.table import LabelTable
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.evaluate_stage import image_tasks


def table(folder, *rows, header="file,colour,kind"):
    (folder / "images").mkdir(exist_ok=True)
    for number in range(6):
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(folder / "images" / f"{number}.png")
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "labels.csv"


GOOD = [f"images/{number}.png,{('red', 'dark_blue')[number % 2]},{('star', 'ring', '')[number % 3]}" for number in range(6)]


def test_each_column_is_a_task_and_missing_values_are_left_out_and_counted(tmp_path):
    path = table(tmp_path, *GOOD)
    cfg = configure("dataset=table", f"dataset.path={path}", "prune=none", "+dataset.tasks.colour=['something {}']").dataset
    source = build(cfg.source)
    assert source.tasks == {"colour": ("dark blue", "red"), "kind": ("ring", "star")} and len(source) == 6
    assert [source[number].target for number in range(3)] == [(1, 1), (0, 0), (1, NO_CLASS)]
    assert source[0].sample_id == "images/0.png" and source[0].image.size == (8, 8)
    assert source.notes == ("2 of 6 images have no value of kind and are left out of that task.",)
    colour, kind = image_tasks(cfg, source)
    assert (colour.name, colour.templates, kind.templates) == ("colour", ("something {}",), ("a photo of a {}.",))


@pytest.mark.parametrize(
    ("rows", "header", "said"),
    [
        (["images/0.png,red,star", "images/1.png,red,ring"], "file,colour,kind", "the column colour has one value, 'red'"),
        (["images/0.png,,star", "images/1.png,,ring"], "file,colour,kind", "the column colour has no value"),
        ([f"images/{n}.png,{n}.5" for n in range(6)], "file,score", "score holds 6 different numbers, such as .* which are no classes"),
        ([f"images/{n}.png,{n}" for n in range(6)], "file,age", "age holds 6 different numbers"),
        (["images/0.png,red", "images/9.png,blue"], "file,colour", "1 of 2 files are not there.*9.png"),
        (["images/0.png,red", "images/0.png,blue"], "file,colour", "listed more than once"),
        (["images/0.png"], "file", "no label columns"),
        ([], "file,colour", "no rows"),
        (["red"], "colour", "lacks the column file"),
    ],
)
def test_what_is_no_table_of_labels_is_refused_with_the_way_out(rows, header, said, tmp_path):
    with pytest.raises(CcsError, match=said):
        LabelTable(table(tmp_path, *rows, header=header))


def test_few_whole_numbers_that_repeat_are_classes(tmp_path):
    source = LabelTable(table(tmp_path, *(f"images/{n}.png,{n % 2}" for n in range(6)), header="file,digit"))
    assert source.tasks == {"digit": ("0", "1")}


def test_a_path_is_needed():
    with pytest.raises(CcsError, match=r"Still needed: dataset.path=\.\.\."):
        configure("dataset=table")

"""Text of people, names that look the same, folders with links, and the system's own errors."""

import errno
import os
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs_exp.errors import CcsError, system_error
from ccs_exp.files import csv_bytes, likeness, look_alikes, read_csv, read_entries, read_json, read_lines, walk


@given(st.lists(st.text(st.characters(exclude_characters="\r\n\0\ufeff", codec="utf-8"), min_size=1).filter(str.strip), max_size=6))
def test_a_text_without_line_ends_is_one_line_whatever_stands_in_it(tmp_path_factory, texts):
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    for end in ("\n", "\r\n", "\r"):
        path.write_bytes(end.join(texts).encode())
        assert read_lines(path) == [text.strip() for text in texts]


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))), max_size=6))
def test_a_table_that_we_write_comes_back_cell_by_cell(tmp_path_factory, cells):
    path = tmp_path_factory.getbasetemp() / "table.csv"
    path.write_bytes(csv_bytes([{"one": one, "two": two} for one, two in cells], ("one", "two")))
    expected = [{"one": one.removeprefix("\ufeff") or None, "two": two or None} for one, two in cells]
    found = read_csv(path, ("one", "two"))
    assert [{name: (text or "").replace("\ufeff", "") for name, text in row.items()} for row in found] == [
        {name: (text or "").replace("\ufeff", "") for name, text in row.items()} for row in expected
    ]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Größe und Café, naïve", "cp1252"), ("“quoted” – dash", "cp1252"), ("日本語のテキストです", "cp932"), ("안녕하세요 세계", "euc_kr")],
)
def test_another_encoding_is_named_with_what_it_would_read(tmp_path, text, encoding):
    (tmp_path / "my pool.txt").write_bytes(f"a dog\n{text}\n".encode(encoding))
    with pytest.raises(CcsError) as caught:
        read_lines(tmp_path / "my pool.txt")
    for part in ("my pool.txt is not UTF-8", "line 2", text, f"iconv -f {encoding.upper()} -t UTF-8 'my pool.txt'"):
        assert part in str(caught.value)


def test_marks_of_files_put_together_stand_in_no_line(tmp_path):
    (tmp_path / "both.txt").write_bytes(b"\xef\xbb\xbfa dog\n\xef\xbb\xbfa cat\n")
    assert read_lines(tmp_path / "both.txt") == ["a dog", "a cat"]


def test_rows_know_their_line_also_after_cells_of_several(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"two\nlines"\n\n3,\n')
    rows = read_csv(path, ("a", "b"), ("c",))
    assert [row.where.rpartition(" ")[2] for row in rows] == ["2", "5"] and rows[1]["c"] is None
    with pytest.raises(CcsError, match=r"t\.csv, line 5: b is empty"):
        rows[1].text("b")
    path.write_text("a;b\n1;2\n")
    with pytest.raises(CcsError, match=r"lacks the columns a, b.*first line is 'a;b'; cells are separated by commas"):
        read_csv(path, ("a", "b"))
    path.write_text("a,b,,\n1,2,,\n")  # as spreadsheets leave it
    assert read_csv(path, ("a", "b")) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("content", ["[NaN]", '{"a": 1, "a": 2}', '["\\ud800"]', '["\\u0000"]', "[" * 100_000, "[1", ""])
def test_json_that_means_nothing_or_two_things_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CcsError, match=r"x\.json cannot be read as JSON"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("content", ['{"a": "b"}', '["b"]', "[[]]", "3", "null", '[{"b": "c"}]'])
def test_json_of_another_shape_names_file_and_entry(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CcsError, match=r"x\.json(, entry 1)? must (hold a list of|be an) objects? with a \(a text\)"):
        read_entries(tmp_path / "x.json", {"a": str})


def test_names_that_look_the_same_are_told_apart_in_ascii():
    nfc, nfd = unicodedata.normalize("NFC", "Café"), unicodedata.normalize("NFD", "Café")
    assert nfc != nfd and likeness(nfc) == likeness(nfd) and likeness("a &amp; b") == likeness("A  & b")
    said = look_alikes([nfd, "dog"], [nfc, "dog", "cat"])
    assert ascii(nfc) in said and ascii(nfd) in said and "dog" not in said
    assert look_alikes(["dog"], ["cat"]) == ""


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


def test_links_are_followed_once_loops_are_cut_and_the_rest_is_counted(tmp_path):
    here, away = tmp_path / "here", tmp_path / "away"
    for path in (here / "a" / "1.png", here / "b" / "2.png", away / "deep" / "3.png", away / "4.png"):
        picture(path)
    (here / "a" / "away").symlink_to(away)
    (here / "b" / "away again").symlink_to(away / "deep")
    (here / "b" / "loop").symlink_to(here)
    (here / "b" / "twin.png").symlink_to(here / "a" / "1.png")
    (here / "one.png").symlink_to(tmp_path / "only here.png")
    picture(tmp_path / "only here.png")
    (here / "gone.png").symlink_to(tmp_path / "nowhere")
    (here / "round").symlink_to(here / "round")
    os.mkfifo(here / "pipe.png")
    for hidden in ("._1.png", ".hidden/5.png", "Thumbs.db", "__MACOSX/a/._1.png"):
        picture(here / "a" / hidden)
    tree = walk(here)
    names = [path.relative_to(here).as_posix() for path in tree.files]
    assert names == ["a/1.png", "a/away/4.png", "a/away/deep/3.png", "b/2.png", "one.png"]
    assert [path.name for path in tree.again] == ["away again", "loop", "twin.png"]
    assert {path.name for path in tree.others} == {"gone.png", "round", "pipe.png"}
    (said,) = tree.left_out(frozenset(tree.files[:4]), "image")
    for part in ("what is no image (1: one.png)", "pipes, devices or links to nothing (3: ", "links to what is there already (3: "):
        assert part in said
    assert walk(here).left_out(frozenset(tree.files), "image")[0].count("what is no") == 0
    assert [path.name for path in walk(tmp_path / "here" / "a" / "away").files] == ["4.png", "3.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_an_error_not_an_absence(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(CcsError, match="closed cannot be read: Permission denied"):
        walk(tmp_path)


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x.yaml"), ("x.yaml", "relative names count from")),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), ("/root/x", "hydra.run.dir=DIR", "CCS_EXP_CACHE", "TMPDIR")),
        (OSError(errno.ENOSPC, "No space left on device"), ("No space left", "hydra.run.dir=DIR", "CCS_EXP_CACHE", "TMPDIR")),
        (OSError(errno.EIO, "Input/output error"), ("Input/output error", "HYDRA_FULL_ERROR=1")),
        (OSError(), ("OSError", "HYDRA_FULL_ERROR=1")),
    ],
)
def test_an_error_of_the_system_names_its_file_or_a_variable_and_what_to_do(error, parts):
    assert all(part in system_error(error) for part in parts)


@pytest.mark.parametrize("command", [["dataset=digits"], *(pytest.param(it, marks=pytest.mark.full) for it in ([], ["-m", "seed=0,1"]))])
def test_a_working_directory_that_was_deleted_is_told(tmp_path, command):
    code = "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); "
    code += f"import ccs_exp.__main__ as m; sys.argv[1:] = {command}; m.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "Error: The working directory is not there any more. Type cd DIR" in done.stderr

"""Pools of descriptions."""

import shutil

import pytest

from ccs_exp.errors import CcsError
from ccs_exp.scoring.pool import file_pool, original_pool, taxonomy_pool


def test_a_file_is_stripped_and_repetitions_in_spacing_and_case_count_once(tmp_path):
    (tmp_path / "mine.txt").write_text("  a dog \na cat\n\nA  dog\na cow\na hen\nan ox\na dog\n", encoding="utf-8")
    pool = file_pool(tmp_path / "mine.txt")
    assert (pool.name, pool.descriptions) == ("mine", ("a dog", "a cat", "a cow", "a hen", "an ox"))


def test_the_hash_is_of_the_descriptions(tmp_path):
    for name, text in {"a": "1\n2\n3\n4\n5", "b": "1\n\n2\n3\n4\n5\n", "c": "1\n2\n3\n5\n4"}.items():
        (tmp_path / name).write_text(text)
    a, b, c = (file_pool(tmp_path / name).sha256 for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("content", [b"one\ntwo\nthree\nfour\n", b"", b"\xff\xfe\xfa\n" * 6])
def test_pools_that_are_none_are_errors(content, tmp_path):
    (tmp_path / "pool.txt").write_bytes(content)
    with pytest.raises(CcsError, match=r"pool\.txt"):
        file_pool(tmp_path / "pool.txt")


def test_our_own_pool_is_wide():
    assert len(taxonomy_pool().descriptions) >= 3000
    assert set(taxonomy_pool("scenes", ["scenes"]).descriptions) < set(taxonomy_pool().descriptions)


def test_the_original_pool_is_kept_once_fetched_and_checked(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path))
    (tmp_path / "pools").mkdir()
    kept = tmp_path / "pools" / "image_descriptions_general.txt"
    shutil.copyfile(shared / "data" / "pools" / kept.name, kept)
    pool = original_pool()
    assert pool.name == "clip_text_span" and 3400 < len(pool.descriptions) <= 3498
    assert pool.descriptions[:2] == ("A badge", "A bag")

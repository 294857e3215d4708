"""The store under what happens to it: jobs side by side, kills, no room, no permission, clocks that jump."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from ccs_exp.store import code_of, kept, read_entry, write_entry
from ccs_exp.store.command import main
from ccs_exp.store.entries import entry_path

CODE = code_of("ccs_exp.store")  # without which no job finds an entry
KEY = {"a": 1, "code": CODE}
MEMBERS = {"text": b"\n line\n", "empty": b"", "bytes": bytes(range(256)) * 40}
# computes the entry, slowly, and says so in the file that it is given
COMPUTE = """
import json, sys, time
from ccs_exp.store import code_of, kept
KEY = {"a": 1, "code": code_of("ccs_exp.store")}
def compute():
    open(sys.argv[1], "a").write("computed\\n")
    time.sleep(float(sys.argv[2]))
    return {"value": 7}
print(kept("kind", KEY, compute, lambda v: {"v": json.dumps(v).encode()}, lambda m: json.loads(m["v"])))
"""


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    return tmp_path / "store"


def start(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kept_text(compute=lambda: "new"):
    return kept("kind", KEY, compute, lambda text: {"t": text.encode()}, lambda members: members["t"].decode())


def test_jobs_side_by_side_compute_an_entry_once(tmp_path):
    jobs = [start(COMPUTE, tmp_path / "calls", 1) for _ in range(4)]
    assert {job.communicate(timeout=60)[0].strip() for job in jobs} == {"{'value': 7}"}
    assert (tmp_path / "calls").read_text() == "computed\n"


def test_a_killed_job_holds_nothing_up(tmp_path):
    first = start(COMPUTE, tmp_path / "calls", 600)
    wait_for(tmp_path / "calls")
    second = start(COMPUTE, tmp_path / "calls", 0)
    time.sleep(1)
    assert second.poll() is None  # it waits
    first.send_signal(signal.SIGKILL)
    assert second.communicate(timeout=60)[0].strip() == "{'value': 7}"
    first.communicate()
    assert (tmp_path / "calls").read_text() == "computed\n" * 2


def test_what_a_killed_job_was_writing_is_taken_away(store):
    killed_while_writing = f"""
import os, signal
from ccs_exp import store
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
store.write_entry("kind", {KEY!r}, {{"value": b"half"}})
"""
    start(killed_while_writing).communicate(timeout=60)
    (part,) = store.rglob("*.part")
    assert read_entry("kind", KEY, dict) is None and part.stat().st_size
    assert start(COMPUTE, store.parent / "calls", 0).wait(timeout=60) == 0
    assert not list(store.rglob("*.part")) and read_entry("kind", KEY, dict)["v"] == b'{"value": 7}'


def test_no_flipped_bit_and_no_cut_passes_unnoticed():
    path = entry_path("kind", KEY)
    write_entry("kind", KEY, MEMBERS)
    whole, rng = path.read_bytes(), random.Random(0)
    assert read_entry("kind", KEY, dict) == MEMBERS
    for place in [*range(0, 80), *rng.sample(range(len(whole)), 100)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.randrange(8)
        for content in (bytes(damaged), whole[:place]):
            path.write_bytes(content)
            assert read_entry("kind", KEY, dict) is None
    assert path.with_name(path.name + ".damaged").read_bytes() == whole[:place]
    path.write_bytes(whole)
    assert read_entry("kind", KEY, dict) == MEMBERS


def test_an_entry_under_anothers_name_is_not_taken_for_it():
    write_entry("kind", KEY, MEMBERS)
    entry_path("kind", KEY).rename(entry_path("kind", {"a": 2}))
    assert read_entry("kind", {"a": 2}, dict) is None and read_entry("kind", KEY, dict) is None


@contextlib.contextmanager
def mounted(folder, options):
    """A small file system in memory at `folder`; skips where that takes rights that are not there."""
    folder.mkdir(exist_ok=True)
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a small file system can be mounted by root alone")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_costs_a_warning_and_leaves_nothing(store, caplog):
    with mounted(store, "size=64k"):
        assert kept_text(lambda: "x" * 200_000) == "x" * 200_000
        assert "not kept" in caplog.text and not list(store.rglob("*.part")) and not list(store.rglob("*.entry"))
        caplog.clear()
        assert kept_text(lambda: "small") == "small" and kept_text(None) == "small" and not caplog.text


def test_a_store_that_can_only_be_read_is_read(store, caplog):
    with mounted(store, "size=1m"):
        kept_text(lambda: "old")
        subprocess.run(["mount", "-o", "remount,ro", store], check=True)
        assert kept_text(None) == "old" and not caplog.text
        assert kept("kind", {"a": 2}, lambda: b"new", lambda v: {"v": v}, dict) == b"new"
        assert "not kept" in caplog.text


@pytest.mark.parametrize("year", [1980, 2100])
def test_clocks_do_not_matter(store, year, monkeypatch, capsys):
    kept_text()
    path, moment = entry_path("kind", KEY), (year - 1970) * 365.25 * 86400
    for file in store.rglob("*"):
        os.utime(file, (moment, moment))
    monkeypatch.setattr(time, "time", lambda: moment - 1e6)
    assert kept_text(None) == "new"
    assert main(["ls"]) == 0 and main(["verify"]) == 0
    assert main(["gc", "--older-than", "1"]) == 0
    assert path.exists()  # an entry from the future is new


def test_the_command_lists_verifies_and_cleans(store, capsys):
    write_entry("kind", KEY, MEMBERS)
    write_entry("other", {"b": [1, "two"], "code": CODE}, MEMBERS)
    assert main(["ls"]) == 0
    out = capsys.readouterr().out
    assert "kind" in out and "other" in out and "KiB" in out
    assert main(["ls", "other"]) == 0 and json.dumps({"b": [1, "two"], "code": CODE}, sort_keys=True) in capsys.readouterr().out
    assert main(["verify"]) == 0 and "2 entries read, 0 damaged" in capsys.readouterr().out
    path = entry_path("other", {"b": [1, "two"], "code": CODE})
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["verify"]) == 1 and not path.exists() and list(store.rglob("*.damaged"))
    assert main(["verify"]) == 1  # until it is taken away
    assert main(["gc", "--damaged"]) == 0 and main(["verify"]) == 0
    (store / "replies" / "ab").mkdir(parents=True)
    (store / "replies" / "ab" / "x.json").write_text("{}")
    for age, number in ((50, 3), (40, 4), (1, 5)):
        write_entry("kind", {"a": number, "code": CODE}, MEMBERS)
        os.utime(entry_path("kind", {"a": number, "code": CODE}), (time.time() - age * 86400,) * 2)
    size = entry_path("kind", KEY).stat().st_size
    assert main(["gc", "--older-than", "45"]) == 0 and not entry_path("kind", {"a": 3}).exists()
    assert main(["gc", "--keep-size", f"{2 * size // 1024 + 1}K"]) == 0  # what replies take is not counted
    assert [entry_path("kind", {"a": number, "code": CODE}).exists() for number in (4, 5, 1)] == [False, True, True]
    assert (store / "replies" / "ab" / "x.json").exists()
    with pytest.raises(SystemExit):
        main(["gc", "--keep-size", "many"])


def test_cleaning_leaves_locks_that_are_held(store, tmp_path):
    job = start(COMPUTE, tmp_path / "calls", 600)
    try:
        wait_for(tmp_path / "calls")
        main(["gc"])
        assert list((store / "locks").glob("*.lock"))
    finally:
        job.kill()
        job.communicate()
    main(["gc"])
    assert not list((store / "locks").glob("*.lock"))

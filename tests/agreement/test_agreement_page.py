"""The rating page over real HTTP on the loopback interface: blind, escaped, for this machine only, and never ahead of the disk."""

import http.client
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from html import unescape
from urllib.parse import urlencode, urlsplit

import pytest

from ccs_exp.agreement.rating_page import RatingServer
from ccs_exp.agreement.ratings import open_ratings, read_ratings
from ccs_exp.agreement.sheet import Item, Origin, read_sheet, write_study

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

HOSTILE = "<script>alert(1)</script> \"quoted\" 'text' & <b>bold</b>"


@pytest.fixture(autouse=True)
def _loopback(socket_enabled):
    """Sockets are closed in every other test."""


@pytest.fixture
def sheet(tmp_path):
    items = [Item("1", "a red star", "colors"), Item("2", HOSTILE, HOSTILE), Item("3", "日本 🎨", "places")]
    origins = [Origin(item.name, "secret run", "secret model", "L9.H9", 1, 4, "not_aligned") for item in items]
    write_study(tmp_path / "s.csv", items, origins)
    return read_sheet(tmp_path / "s.csv")


@contextmanager
def served(sheet, rater="anna"):
    with open_ratings(sheet, rater) as ratings, RatingServer(ratings) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def request(server, method="GET", path="", form=None, **headers):
    """Status, headers and text of the answer; `path` is below the page's own address."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    body = None if form is None else urlencode(form)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | {k.replace("_", "-"): v for k, v in headers.items()}
    try:
        connection.request(method, path if path.startswith("/") else address.path + path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def on_disk(server):
    return read_ratings(server.ratings.sheet, server.ratings.path)


def test_a_rater_answers_undoes_and_finishes(sheet):
    with served(sheet) as server:
        status, _, page = request(server)
        assert status == 200 and "a red star" in page and "0 of 3 answered by anna" in page and "Undo" not in page
        status, headers, _ = request(server, "POST", "answer", {"item": "1", "answer": "yes"})
        assert status == 303 and headers["Location"] == urlsplit(server.url).path and on_disk(server) == {"1": True}
        assert "1 of 3 answered" in request(server)[2]
        assert request(server, "POST", "undo", {"item": "1"})[0] == 303 and on_disk(server) == {}
        for item, answer in (("1", "no"), ("2", "yes"), ("3", "no")):
            request(server, "POST", "answer", {"item": item, "answer": answer})
        assert on_disk(server) == {"1": False, "2": True, "3": False}
        page = request(server)[2]
        assert "All are answered" in page and "Undo" in page and 'name="answer"' not in page
    with served(sheet) as server:  # resumed
        request(server, "POST", "undo", {"item": "3"})
        assert "日本 🎨" in request(server)[2] and on_disk(server) == {"1": False, "2": True}


def test_text_is_shown_as_text_and_nothing_else_runs(sheet):
    with served(sheet) as server:
        request(server, "POST", "answer", {"item": "1", "answer": "yes"})
        _, headers, page = request(server)
        assert "<script>alert" not in page and "<b>bold" not in page
        shown = re.findall(r"<dd[^>]*>(.*?)</dd>", page)
        assert [unescape(text) for text in shown] == [HOSTILE, HOSTILE]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["Cache-Control"] == "no-store"


def test_the_page_is_blind(sheet):
    with served(sheet) as server:
        page = request(server)[2]
        for secret in ("secret", "aligned", "L9.H9"):
            assert secret not in re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)


def test_an_answer_to_another_than_the_shown_question_changes_nothing(sheet):
    with served(sheet) as server:
        request(server, "POST", "answer", {"item": "1", "answer": "yes"})
        for item in ("1", "3", "99", ""):  # a stale tab, a question not yet shown, none
            status, _, page = request(server, "POST", "answer", {"item": item, "answer": "no"})
            assert status == 409 and "answered already" in page and on_disk(server) == {"1": True}
        status, _, page = request(server, "POST", "undo", {"item": "2"})
        assert status == 409 and "not the latest" in page and on_disk(server) == {"1": True}


def test_many_presses_at_once_give_one_answer(sheet):
    with served(sheet) as server:
        statuses = []
        press = lambda: statuses.append(request(server, "POST", "answer", {"item": "1", "answer": "yes"})[0])  # noqa: E731
        threads = [threading.Thread(target=press) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [303] + [409] * 11 and on_disk(server) == {"1": True}
        assert len(server.ratings.path.read_text().splitlines()) == 2


def test_only_who_knows_the_address_gets_in(sheet):
    with served(sheet) as server:
        port = server.server_port
        for path in ("/", "/wrong/", "/favicon.ico", f"/{server.token}", f"/{server.token}/../", f"/{server.token}/answer"):
            assert request(server, path=path)[0] == 404
        for headers in ({"Host": "evil.example"}, {"Host": f"evil.example:{port}"}, {"Origin": "http://evil.example"},
                        {"Origin": "http://127.0.0.1:1"}, {"Origin": "null"}):  # fmt: skip
            assert request(server, **headers)[0] == 404
            assert request(server, "POST", "answer", {"item": "1", "answer": "yes"}, **headers)[0] == 404
        assert request(server, "POST", f"/{'x' * len(server.token)}/answer", {"item": "1", "answer": "yes"})[0] == 404
        assert request(server, "POST", "delete", {"item": "1"})[0] == 404
        assert not server.ratings.path.exists()
        own = {"Host": f"localhost:{port}", "Origin": f"http://localhost:{port}"}
        assert request(server, "POST", "answer", {"item": "1", "answer": "yes"}, **own)[0] == 303


def test_two_servers_have_different_addresses(sheet):
    with served(sheet, "anna") as one, served(sheet, "ben") as other:
        assert one.token != other.token and len(one.token) > 20


@pytest.mark.parametrize(
    ("form", "headers"),
    [({"item": "1", "answer": "maybe"}, {}), ({"item": "1"}, {}), (None, {"Content_Length": "many"}), (None, {"Content_Length": "-1"}),
     ({"item": "1" * 5000, "answer": "yes"}, {}), (None, {}), ({"answer": "yes", **{str(n): "1" for n in range(9)}}, {})],
)  # fmt: skip
def test_a_form_that_makes_no_sense_is_refused(sheet, form, headers):
    with served(sheet) as server:
        assert request(server, "POST", "answer", form, **headers)[0] == 400
        assert not server.ratings.path.exists()
        assert request(server)[0] == 200


def test_an_answer_that_the_disk_refuses_is_told_and_asked_again(sheet, monkeypatch):
    def full(_file):
        raise OSError(28, "No space left on device")

    with served(sheet) as server:
        with monkeypatch.context() as patch:
            patch.setattr("ccs_exp.agreement.ratings.os.fsync", full)
            status, _, page = request(server, "POST", "answer", {"item": "1", "answer": "yes"})
        assert status == 409 and "No space left on device" in page and "a red star" in page
        assert on_disk(server) == {}


def test_the_command_serves_until_ctrl_c(sheet):
    process = subprocess.Popen(
        [sys.executable, "-m", "ccs_exp", "agreement", "rate", str(sheet.path), "--rater", "anna", "--page"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    url = re.search(r"http://\S+", process.stdout.readline())[0]

    class Remote:
        pass

    server = Remote()
    server.url = url
    for _ in range(50):
        try:
            assert request(server, "POST", "answer", {"item": "1", "answer": "yes"})[0] == 303
            break
        except ConnectionRefusedError:
            time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and "1 of 3 answered" in output and "Traceback" not in output
    with open_ratings(sheet, "anna") as ratings:
        assert ratings.answers == {"1": True}

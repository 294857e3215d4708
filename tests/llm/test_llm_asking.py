"""Asking a language model over real HTTP on loopback: what is kept, what is tried again, what ends a run."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from loopback import answer, completion, label_for, serving, tokens_in, verdict_for

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.llm.ledger import BudgetReached
from ccs_exp.llm.live import DEAD
from ccs_exp.llm.session import share_session
from ccs_exp.scoring.ccs import Thresholds, score
from ccs_exp.scoring.judges.judge import Question, Verdict
from ccs_exp.scoring.judges.language_model import OpenAIJudge
from ccs_exp.scoring.judges.language_model_labeler import OpenAILabeler
from ccs_exp.scoring.scorers import forecast
from ccs_exp.scoring.spans import HeadSpans

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

KEY = "sk-loopback-0123456789"
MODEL = "gpt-4o-2024-08-06"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setattr("ccs_exp.llm.retries.FIRST_WAIT", 0.01)
    return tmp_path / "cache" / "replies"


@pytest.fixture
def server():
    with serving() as loopback:
        yield loopback


def heads(count):
    return [
        HeadSpans(Head(8 + number // 12, number % 12), tuple(f"text {number} {place}" for place in range(5)))
        for number in range(count)
    ]


def questions(count):
    return [Question(f"text {number}", "Texts") for number in range(count)]


def judge(server, **settings):
    return OpenAIJudge(model=MODEL, base_url=server.url, **settings)


def labeler(server, **settings):
    return OpenAILabeler(model=MODEL, base_url=server.url, **settings)


def expected(asked):
    return [verdict_for(question.label, question.description) for question in asked]


def kept_files(cache):
    return list(cache.glob("[0-9a-f][0-9a-f]/*.json"))


def failing(status, message="busy", headers=None, **error):
    return lambda handler, body: handler.send(status, {"error": {"message": message, **error}}, headers)


def saying(content=None, **changes):
    return lambda handler, body: handler.send(200, completion(body, content, **changes))


def first_times(count, failure):
    """Every request fails so often, then succeeds."""
    return lambda body, seen: failure if seen < count else None


# what is asked, and what comes of it


def test_labels_and_verdicts_come_back_in_order(server):
    asked = heads(6)
    assert labeler(server).label(asked) == [
        label_for("\n".join(f'{number}. "{text}"' for number, text in enumerate(head.descriptions, 1))) for head in asked
    ]
    assert judge(server).judge(questions(20)) == expected(questions(20))
    assert server.distinct == len(server.bodies) == 26 and server.keys == {f"Bearer {KEY}"}


def test_the_judge_sees_one_label_and_one_description(server):
    judge(server).judge([Question("a red square", "Colors"), Question("a loaf", "Food")])
    texts = sorted(json.dumps(body) for body in server.bodies)
    assert [[word in text for word in ("red square", "Colors", "loaf", "Food")] for text in texts] == [
        [True, True, False, False],
        [False, False, True, True],
    ]


def test_a_request_says_what_the_paper_and_the_defaults_say(server):
    judge(server).judge(questions(1))
    (body,) = server.bodies
    assert {key: body[key] for key in ("model", "temperature", "seed", "max_completion_tokens")} == {
        "model": MODEL, "temperature": 0, "seed": 0, "max_completion_tokens": 60,
    }  # fmt: skip
    assert body["response_format"]["json_schema"]["strict"] is True and "logprobs" not in body


def test_what_a_service_does_not_support_is_not_sent_and_that_is_recorded(server, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    server.reply = lambda body: completion(body, f"```json\n{json.dumps(answer(body))}\n```")
    asked = OpenAIJudge(model="claude", service="claude", base_url=server.url, seed=None)
    session = share_session(asked)
    assert asked.judge(questions(3)) == expected(questions(3))
    assert not {"response_format", "seed", "logprobs"} & set(server.bodies[0]) and server.bodies[0]["max_tokens"] == 60
    assert session.summary()["models"][0]["not_sent"] == ["schema", "seed"]
    assert server.keys == {"Bearer sk-ant-0123456789"}


def test_five_descriptions_in_one_request_give_the_same_verdicts(server):
    asked = [Question(text, str(head.head)) for head in heads(4) for text in head.descriptions][
        :-4
    ]  # the last request has but one
    assert judge(server, descriptions_per_request=5).judge(asked) == expected(asked)
    assert len(server.bodies) == 4


def test_the_same_question_twice_is_one_request(server):
    assert judge(server).judge([*questions(3), *questions(3)]) == expected(questions(3)) * 2
    assert len(server.bodies) == 3


def test_confidence_model_and_fingerprint_come_with_a_verdict(server):
    def reply(body):
        content = json.dumps(answer(body))
        word = answer(body)["verdict"]
        top = [{"token": "aligned", "logprob": -0.1053605}, {"token": "not", "logprob": -2.302585}]
        parts = [
            {"token": '{"verdict": "', "top_logprobs": []},
            {"token": word, "top_logprobs": top},
            {"token": '"}', "top_logprobs": []},
        ]
        return completion(body, content, choice={"logprobs": {"content": parts}})

    server.reply = reply
    asked = judge(server, logprobs=True)
    asked.judge(questions(4))
    assert server.bodies[0]["logprobs"] is True
    for opinion in asked.opinions:
        assert opinion.p_aligned == pytest.approx(0.9, abs=1e-4)
        assert opinion.confidence == pytest.approx(0.9 if opinion.verdict is Verdict.ALIGNED else 0.1, abs=1e-4)
        assert (opinion.model, opinion.fingerprint) == (f"{MODEL}-served", "fp_loopback")


# nothing is asked twice, nothing is lost


def test_a_second_run_asks_nothing_and_says_the_same(server, cache):
    spans = heads(8)
    first = score(spans, labeler(server), judge(server), Thresholds())
    assert len(server.bodies) == 48 == len(kept_files(cache))
    assert score(spans, labeler(server), judge(server), Thresholds()) == first
    assert len(server.bodies) == 48


@pytest.mark.parametrize("change", [{"temperature": 1}, {"seed": 1}, {"draw": 1}, {"max_tokens": 61}, {"logprobs": True}])
def test_another_setting_is_another_request(server, change):
    judge(server).judge(questions(2))
    judge(server, **change).judge(questions(2))
    assert len(server.bodies) == 4


def test_each_reply_is_on_disk_before_the_next_request_of_one_worker(server, cache):
    on_disk = []
    server.reply = lambda body: on_disk.append(len(kept_files(cache))) or completion(body)
    judge(server, concurrency=1).judge(questions(6))
    assert on_disk == list(range(6))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b'{"key": "x"}', "other", "junk"])
def test_a_damaged_kept_reply_is_asked_for_again(server, cache, damage, caplog):
    judge(server).judge(questions(2))
    one, other = kept_files(cache)
    if damage == "other":
        one.write_bytes(other.read_bytes())
    elif damage == "junk":
        one.write_text(one.read_text().replace("aligned\\\\\\", "maybe\\\\\\").replace('aligned\\"', 'maybe\\"'))
    else:
        one.write_bytes(damage)
    assert judge(server).judge(questions(2)) == expected(questions(2))
    assert len(server.bodies) == 3 and "is asked for again" in caplog.text


def program(server, code):
    """A program of its own that asks `server`; its cache is this test's."""
    script = textwrap.dedent(f"""
        import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from ccs_exp.scoring.judges.judge import Question
        from ccs_exp.scoring.judges.language_model import OpenAIJudge
        asked = OpenAIJudge(model={MODEL!r}, base_url={server.url!r}, concurrency=4)
        print("ready", flush=True)
    """) + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


JUDGE_40 = "print([str(verdict) for verdict in asked.judge([Question(f'text {n}', 'Texts') for n in range(40)])])"


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.01)


@pytest.mark.parametrize("moments", [(15,), pytest.param((7, 23), marks=pytest.mark.full)])
def test_killed_at_any_moment_only_what_is_missing_is_asked(moments, server, cache):
    server.latency = 0.05
    for answered in moments:
        killed = program(server, JUDGE_40)
        until(lambda answered=answered: sum(server.answered.values()) >= answered)
        killed.kill()
        killed.communicate()
    before = len(kept_files(cache))
    kept = {path.name: path.read_bytes() for path in kept_files(cache)}
    assert 0 < before < 40
    asked_before = len(server.bodies)
    server.latency = 0
    assert judge(server).judge(questions(40)) == expected(questions(40))
    assert len(server.bodies) - asked_before == 40 - before  # only what was missing
    assert server.distinct == 40 == len(kept_files(cache))
    assert all((cache / name[:2] / name).read_bytes() == content for name, content in kept.items())


def test_two_processes_at_once_ask_each_question_once(server):
    server.latency = 0.05
    both = [program(server, JUDGE_40) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [output.splitlines()[-1] for output in outputs] == [str(expected(questions(40)))] * 2
    assert len(server.bodies) == 40


def test_ctrl_c_ends_at_once_and_keeps_what_came(server, cache):
    server.latency = 0.2
    running = program(server, JUDGE_40)
    until(lambda: sum(server.answered.values()) >= 6)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=10)
    assert running.returncode != 0 and "KeyboardInterrupt" in output and "never retrieved" not in output
    assert 6 <= len(kept_files(cache)) < 40 and not list(cache.rglob("*.part"))
    server.latency, before = 0, len(server.bodies)
    missing = 40 - len(kept_files(cache))
    judge(server).judge(questions(40))
    assert len(server.bodies) - before == missing


def test_it_works_where_an_event_loop_is_running(server):
    async def cell():
        return judge(server).judge(questions(3))

    assert asyncio.run(cell()) == expected(questions(3))


def test_interrupted_where_an_event_loop_is_running_it_stops_asking(server, cache):
    server.latency = 0.2
    running = program(
        server,
        """
        import asyncio
        async def cell():
            asked.judge([Question(f'text {n}', 'Texts') for n in range(40)])
        asyncio.new_event_loop().run_until_complete(cell())
        """,
    )
    until(lambda: sum(server.answered.values()) >= 6)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=10)
    assert running.returncode != 0 and "KeyboardInterrupt" in output
    assert 6 <= len(kept_files(cache)) < 40


# load


def test_concurrency_is_used_and_bounded(server):
    server.latency = 0.1
    started = time.monotonic()
    judge(server, concurrency=8).judge(questions(40))
    assert server.busiest == 8
    assert time.monotonic() - started < 0.6 * 40 * 0.1


def test_retry_after_is_honoured_by_all(server):
    """The first of many is told to wait: none is sent until then, but for those under way."""
    server.fail = lambda body, seen: (
        failing(429, "slow down", {"Retry-After": "1"}, code="rate_limit_exceeded") if len(server.bodies) == 1 else None
    )
    started = time.monotonic()
    assert judge(server, concurrency=1).judge(questions(5)) == expected(questions(5))
    assert 1 <= time.monotonic() - started < 8
    assert server.times[1] - server.times[0] >= 1 and len(server.bodies) == 6


WAITS = [{"retry-after-ms": "300"}, {"Retry-After": "0.3"}, {"Retry-After": formatdate(time.time(), usegmt=True)}]


@pytest.mark.parametrize("headers", WAITS)
def test_every_form_of_retry_after_is_read(server, headers):
    server.fail = first_times(1, failing(429, headers=headers))
    judge(server).judge(questions(1))
    assert len(server.bodies) == 2
    if "GMT" not in str(headers):
        assert server.times[1] - server.times[0] >= 0.3


def test_a_server_that_asks_for_an_hour_ends_the_run_and_keeps_what_came(server, cache):
    server.fail = lambda body, seen: failing(429, headers={"Retry-After": "3600"}) if len(server.bodies) > 3 else None
    with pytest.raises(CcsError, match="asks to wait 3600 s"):
        judge(server, concurrency=1).judge(questions(10))
    assert len(kept_files(cache)) == 3 and len(server.bodies) == 4


FAILURES = {
    "429": failing(429),
    "500": failing(500),
    "503 in HTML": lambda handler, body: handler.send(503, b"<html>no</html>", kind="text/html"),
    "dropped": lambda handler, body: handler.drop(),
    "half a body": lambda handler, body: (handler.send(200, b'{"a', {"Content-Length": "900"}), handler.drop()),
    "slow": lambda handler, body: handler.trickle(body, 5.0),
    "refusal": saying(message={"content": None, "refusal": "no"}),
    "filter": saying(choice={"finish_reason": "content_filter"}),
    "truncated": saying('{"verdict": "ali', choice={"finish_reason": "length"}),
    "invalid JSON": saying("certainly!"),
    "wrong schema": saying('{"answer": "aligned"}'),
    "yes": saying('{"verdict": "YES"}'),
    "no completion": lambda handler, body: handler.send(200, {"object": "error"}),
    "no JSON at all": lambda handler, body: handler.send(200, b"ok", kind="text/plain"),
    "broken JSON": lambda handler, body: handler.send(200, b'{"choices": [', kind="application/json"),
    "empty body": lambda handler, body: handler.send(200, b""),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_tried_again_and_never_becomes_a_verdict(server, cache, kind):
    server.fail = first_times(2, FAILURES[kind])
    assert judge(server, timeout_s=0.3 if kind == "slow" else 30).judge(questions(3)) == expected(questions(3))
    assert len(server.bodies) == 9
    assert len(kept_files(cache)) == 3
    for path in kept_files(cache):
        assert json.loads(path.read_text())["response"]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("refusal", "refused"), ("filter", "filtered"), ("truncated", "truncated"), ("invalid JSON", "unusable"), ("500", "status 500"),
     ("dropped", "connection"), ("slow", "timeout")],
)  # fmt: skip
def test_what_never_succeeds_is_unjudged_counted_and_asked_again_next_time(server, cache, kind, reason):
    server.fail = lambda body, seen: FAILURES[kind] if '"text 1"' in body["messages"][-1]["content"].replace("\\", "") else None
    asked = judge(server, attempts=3, timeout_s=0.5 if kind == "slow" else 30)
    session = share_session(asked)
    verdicts = asked.judge(questions(4))
    assert verdicts == [Verdict.UNJUDGED if n == 1 else verdict for n, verdict in enumerate(expected(questions(4)))]
    assert len(server.bodies) == 6 and len(kept_files(cache)) == 3
    assert session.unanswered == {reason: 1} and reason in session.warnings()[0]
    assert [opinion.reason for opinion in asked.opinions] == [None, reason, None, None]
    if reason in ("refused", "filtered", "truncated", "unusable"):
        assert len(list((cache / "rejected").iterdir())) == 3 == session.rejected[reason]
    server.fail = lambda body, seen: None
    assert judge(server).judge(questions(4)) == expected(questions(4))
    assert len(server.bodies) == 7


def test_a_head_without_label_has_no_ccs_and_its_descriptions_are_not_asked_about(server):
    server.fail = lambda body, seen: FAILURES["refusal"] if '"text 0 0"' in body["messages"][-1]["content"] else None
    scores = score(heads(3), labeler(server, attempts=2), judge(server), Thresholds())
    assert [item.label is None for item in scores.heads] == [True, False, False]
    assert scores.heads[0].ccs is None and set(scores.heads[0].verdicts) == {Verdict.UNJUDGED}
    assert len(server.bodies) == 2 + 2 + 10


def test_mixed_failures_change_no_score(server):
    spans = heads(10)
    kinds = [FAILURES[kind] for kind in FAILURES if kind != "slow"]
    server.fail = lambda body, seen: kinds[(hash(str(body)) + seen) % len(kinds)] if seen < hash(str(body)) % 3 else None
    with_failures = score(spans, labeler(server), judge(server), Thresholds())
    assert len(server.bodies) > 70
    with serving() as good:
        assert score(spans, labeler(good), judge(good), Thresholds()) == with_failures


# what ends a run


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (failing(401, "Incorrect API key provided: sk-loopback-0123456789"), "The key is not accepted"),
        (failing(403, "no access"), "may not use this model"),
        (failing(404, "The model does not exist"), f"Check the model .{MODEL}."),
        (failing(400, "unknown parameter: seed"), "supports.schema=false"),
        (failing(429, "no credit", code="insufficient_quota"), "no credit left"),
    ],
)
def test_what_trying_again_cannot_mend_ends_the_run_at_once(server, cache, failure, message):
    server.fail = lambda body, seen: failure if len(server.bodies) > 2 else None
    with pytest.raises(CcsError, match=message) as caught:
        judge(server, concurrency=1).judge(questions(30))
    assert KEY not in str(caught.value) and server.url in str(caught.value)
    assert len(server.bodies) == 3 and len(kept_files(cache)) == 2


def test_a_filter_that_answers_with_an_error_is_no_verdict(server):
    server.fail = lambda body, seen: failing(400, "filtered", code="content_filter")
    assert judge(server, attempts=2).judge(questions(2)) == [Verdict.UNJUDGED] * 2


def test_a_server_that_is_not_there_is_an_error_before_everything_was_tried(server):
    with serving() as gone:
        pass
    started = time.monotonic()
    with pytest.raises(CcsError, match="Nobody answers at .*correct judge.base_url"):
        judge(gone).judge(questions(500))
    assert time.monotonic() - started < 20


def test_a_server_that_goes_away_is_an_error_before_everything_was_tried(server, cache):
    server.fail = lambda body, seen: FAILURES["dropped"] if len(server.bodies) > 30 else None
    with pytest.raises(CcsError, match=f"has not answered {DEAD} requests in a row"):
        judge(server, attempts=2).judge(questions(500))
    assert 20 < len(kept_files(cache)) <= 30 and len(server.bodies) < 120


def test_few_questions_to_a_server_that_is_not_there_are_unjudged():
    with serving() as gone:
        pass
    asked = judge(gone, attempts=2)
    session = share_session(asked)
    assert asked.judge(questions(3)) == [Verdict.UNJUDGED] * 3
    assert session.ledger.spent == 0 and session.outages == {"connection": 6}


def test_without_a_key_nothing_is_asked(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(CcsError, match="set the environment variable OPENAI_API_KEY.*labeler=replay judge=replay"):
        judge(server).judge(questions(1))
    assert not server.bodies
    assert OpenAIJudge(model="llama", service="local", base_url=server.url).judge(questions(2)) == expected(questions(2))


def test_a_cache_that_cannot_be_written_is_an_error_before_anything_is_asked(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "file"))
    with pytest.raises(CcsError, match="CCS_EXP_CACHE"):
        judge(server).judge(questions(1))
    assert not server.bodies


# cost


def test_cost_is_counted_from_usage(server):
    parts = labeler(server), judge(server)
    session = share_session(*parts)
    score(heads(3), *parts, Thresholds())
    tokens = sum(map(tokens_in, server.bodies))
    assert (session.input_tokens, session.output_tokens) == (tokens, 18 * 12)
    assert session.ledger.spent == pytest.approx((tokens * 2.5 + 18 * 12 * 10) / 1e6)
    assert session.ledger.reserved == pytest.approx(0, abs=1e-12)


def test_the_limit_is_never_exceeded_and_what_came_is_kept(server, cache):
    limit = 0.02
    asked = judge(server, max_cost_usd=limit)
    session = share_session(asked)
    with pytest.raises(BudgetReached, match="Run again with a higher judge.max_cost_usd"):
        asked.judge(questions(200))
    assert 0.7 * limit < session.ledger.spent <= limit
    first = len(server.bodies)
    assert len(kept_files(cache)) == first < 200
    asked = judge(server, max_cost_usd=1)
    session = share_session(asked)
    assert asked.judge(questions(200)) == expected(questions(200))
    assert len(server.bodies) == 200 and session.kept == first


def test_labeler_and_judge_share_one_budget(server):
    parts = labeler(server, max_cost_usd=0.02), judge(server, max_cost_usd=0.02)
    session = share_session(*parts)
    with pytest.raises(BudgetReached):
        score(heads(6), *parts, Thresholds())
    assert session.ledger.spent <= 0.02 and any("Concept" in body["messages"][-1]["content"] for body in server.bodies)


def test_no_budget_at_all_asks_nothing_and_kept_replies_cost_nothing(server):
    judge(server).judge(questions(5))
    assert judge(server, max_cost_usd=0).judge(questions(5)) == expected(questions(5))
    with pytest.raises(BudgetReached):
        judge(server, max_cost_usd=0).judge(questions(6))
    assert len(server.bodies) == 5


def test_a_reply_that_may_have_been_paid_for_counts(server):
    server.fail = lambda body, seen: FAILURES["dropped"]
    asked = judge(server, attempts=3)
    session = share_session(asked)
    asked.judge(questions(1))
    assert session.ledger.spent > 0


def test_the_forecast_is_what_then_happens(server):
    spans = heads(4)
    parts = labeler(server), judge(server)
    labels, verdicts = forecast(spans, *parts)
    assert (labels.requests, labels.kept, verdicts.requests, verdicts.kept) == (4, 0, 20, 0)
    assert not server.bodies
    session = share_session(*parts)
    score(spans, *parts, Thresholds())
    assert 0.5 < (labels.cost + verdicts.cost) / session.ledger.spent < 2
    assert session.ledger.spent < labels.most + verdicts.most
    labels, verdicts = forecast(spans, *parts)
    assert (labels.kept, verdicts.kept) == (4, 20) and labels.cost == verdicts.cost == 0


def test_threads_share_the_cache(server, cache):
    server.latency = 0.02
    found = []
    threads = [threading.Thread(target=lambda: found.append(judge(server).judge(questions(20)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected(questions(20))] * 3
    assert len(server.bodies) == 20 == len(kept_files(cache))


def test_the_key_is_in_no_kept_file_even_if_the_server_repeats_it(server, cache):
    server.reply = lambda body: completion(body, id=f"your key is {os.environ['OPENAI_API_KEY']}", system_fingerprint=KEY)
    server.fail = first_times(1, saying(f"key {KEY}"))
    judge(server).judge(questions(3))
    written = [path for path in cache.rglob("*") if path.is_file()]
    assert len(written) > 6 and not any(KEY.encode() in path.read_bytes() for path in written)


def test_another_draw_of_the_labeler_asks_again_and_the_same_one_does_not(server):
    asked = labeler(server)
    server.reply = lambda body: completion(body, json.dumps({"label": f"Draw {body['seed']}"}))
    assert asked.label(heads(2)) == ["Draw 0"] * 2
    assert asked.label(heads(2), draw=3) == ["Draw 3"] * 2 == labeler(server, draw=3).label(heads(2))
    assert (
        len(server.bodies) == 4 and len({request.settings for draw in (0, 3) for request in asked.requests(heads(2), draw)}) == 1
    )


def test_opinions_of_all_questions_are_there_after_a_second_round(server):
    asked = judge(server)
    asked.judge(questions(3))
    asked.judge(questions(5)[3:])
    first = asked.opinions
    assert [opinion.question for opinion in first] == questions(5)
    asked.asker.seed, server.reply = 1, lambda body: completion(body, '{"verdict": "aligned"}')
    assert asked.judge(questions(5)) == [Verdict.ALIGNED] * 5 and asked.opinions == first


def test_sigterm_ends_as_it_would_without_an_event_loop(server, cache):
    server.latency = 0.2
    handler = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: (print('ended', flush=True), sys.exit(143)))"
    running = program(server, f"{handler}\n{JUDGE_40}")
    until(lambda: sum(server.answered.values()) >= 6)
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=10)
    assert running.returncode == 143 and output.splitlines() == ["ready", "ended"]
    assert 6 <= len(kept_files(cache)) < 40

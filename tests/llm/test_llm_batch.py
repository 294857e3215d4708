"""The Batch API over real HTTP: submitted once, remembered on disk, picked up after a restart, merged by request."""

import json
from unittest.mock import patch

import pytest
from loopback import completion, serving
from test_llm_asking import KEY, cache, expected, judge, kept_files, program, questions, server, until  # noqa: F401

from ccs_exp.errors import CcsError
from ccs_exp.llm.ledger import BudgetReached
from ccs_exp.llm.replies import Kept
from ccs_exp.llm.session import share_session
from ccs_exp.scoring.judges.judge import Verdict
from ccs_exp.scoring.judges.language_model import group

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def batch_judge(server, **settings):  # noqa: F811
    return judge(server, batch=True, poll_s=0.02, **settings)


def remembered(cache):  # noqa: F811
    return list((cache / "batches").glob("*.json"))


def test_a_batch_gives_the_verdicts_that_single_requests_give_at_half_the_price(server, cache):  # noqa: F811
    asked = batch_judge(server)
    session = share_session(asked)
    assert asked.judge(questions(30)) == expected(questions(30))
    assert len(server.batches) == 1 and not server.bodies
    assert len(kept_files(cache)) == 30 and not remembered(cache)
    (batch,) = server.batches.values()
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
    lines = [json.loads(line) for line in server.files[batch["input_file_id"]].splitlines()]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert session.ledger.spent == pytest.approx((session.input_tokens * 2.5 + session.output_tokens * 10) / 1e6 / 2)
    # one by one, the same requests are kept already
    assert judge(server).judge(questions(30)) == expected(questions(30))
    assert not server.bodies


def test_answers_are_merged_by_request_whatever_their_order_and_the_first_counts(server):  # noqa: F811
    def fate(number, results):
        other = json.loads(json.dumps(results[0]))
        other["response"]["body"] = completion({"model": "m", "messages": []}, '{"verdict": "unsure"}')
        opposite = json.loads(json.dumps(results[3]))
        word = json.loads(opposite["response"]["body"]["choices"][0]["message"]["content"])["verdict"]
        flipped = {"aligned": "not_aligned", "not_aligned": "aligned"}[word]
        opposite["response"]["body"]["choices"][0]["message"]["content"] = json.dumps({"verdict": flipped})
        stranger = results[1] | {"custom_id": "nobody"}
        return {"output": [other, *reversed(results), opposite, results[2], stranger, "no JSON", "[]", '{"custom_id": 3}']}

    server.batch_fate = fate
    assert batch_judge(server).judge(questions(9)) == expected(questions(9))
    assert len(server.batches) == 1


def test_what_failed_in_a_batch_is_submitted_again_alone(server, cache):  # noqa: F811
    def fate(number, results):
        if number:
            return {}
        for result, status in zip(results[:2], (429, 500), strict=True):
            result["response"] = {"status_code": status, "body": {"error": {"message": "busy"}}}
        results[2]["response"]["body"]["choices"][0]["finish_reason"] = "length"
        results[3]["response"]["body"]["choices"][0]["message"]["refusal"] = "no"
        return {"output": results[2:], "errors": results[:2]}

    server.batch_fate = fate
    assert batch_judge(server).judge(questions(10)) == expected(questions(10))
    again = list(server.batches.values())[1]
    assert len(server.batches) == 2 and len(server.files[again["input_file_id"]].splitlines()) == 4
    assert len(list((cache / "rejected").iterdir())) == 4


def test_an_expired_batch_is_completed_by_another_with_the_missing_ones_only(server):  # noqa: F811
    def fate(number, results):
        if number:
            return {}
        lost = [result | {"response": None, "error": {"code": "batch_expired", "message": "too late"}} for result in results[6:]]
        return {"status": "expired", "output": results[:6], "errors": lost}

    server.batch_fate = fate
    assert batch_judge(server).judge(questions(10)) == expected(questions(10))
    again = list(server.batches.values())[1]
    assert len(server.files[again["input_file_id"]].splitlines()) == 4


def test_what_no_batch_answers_is_unjudged(server):  # noqa: F811
    server.batch_fate = lambda number, results: {"output": results[1:], "errors": []}
    asked = batch_judge(server, attempts=3)
    session = share_session(asked)
    verdicts = asked.judge(questions(4))
    assert [verdict is Verdict.UNJUDGED for verdict in verdicts] == [True, False, False, False]
    assert len(server.batches) == 3 and session.unanswered == {"no reply": 1}


def test_a_batch_refused_as_a_whole_is_an_error_with_the_reason(server, cache):  # noqa: F811
    server.batch_fate = lambda number, results: {"status": "failed", "output": []}
    with pytest.raises(CcsError, match="line 1 is not valid"):
        batch_judge(server).judge(questions(3))
    assert not remembered(cache)


WAIT_IN_BATCH = """
asked = OpenAIJudge(model={model!r}, base_url={url!r}, batch=True, poll_s=0.05)
asked.judge([Question(f'text {{n}}', 'Texts') for n in range(12)])
"""


def test_a_batch_is_picked_up_after_a_kill(server, cache):  # noqa: F811
    server.polls_needed = 10**9
    killed = program(server, WAIT_IN_BATCH.format(model="gpt-4o-2024-08-06", url=server.url))
    until(lambda: any(batch["polls"] for batch in server.batches.values()))
    killed.kill()
    killed.communicate()
    (path,) = remembered(cache)
    assert json.loads(path.read_text())["id"] == "batch_0" and KEY not in path.read_text()
    server.polls_needed = 1
    # more is asked now: the rest goes into another batch
    assert batch_judge(server).judge(questions(15)) == expected(questions(15))
    assert [len(server.files[batch["input_file_id"]].splitlines()) for batch in server.batches.values()] == [12, 3]
    assert not remembered(cache) and len(kept_files(cache)) == 15


def test_a_batch_created_just_before_a_kill_is_found_on_the_server(server, cache):  # noqa: F811
    batch_judge(server).judge(questions(5))
    for path in kept_files(cache):
        path.unlink()
    asked = batch_judge(server)
    (batch,) = server.batches.values()
    name = batch["metadata"]["ccs_exp"]
    requests = asked.asker.requests(asked.prompt, group(questions(5), 1))
    intent = {"name": name, "id": None, "endpoint": server.url, "model": "m", "submitted": "then"}
    intent |= {"keys": [request.key for request in requests], "requests": [Kept(request, None).as_json() for request in requests]}
    (cache / "batches").mkdir(exist_ok=True)
    (cache / "batches" / f"{name}.json").write_text(json.dumps(intent))
    assert asked.judge(questions(5)) == expected(questions(5))
    assert len(server.batches) == 1


def test_an_intent_that_never_reached_the_server_is_submitted(server, cache):  # noqa: F811
    asked = batch_judge(server)
    (cache / "batches").mkdir(parents=True)
    keys = [request.key for request in asked.asker.requests(asked.prompt, group(questions(5), 1))]
    lost = {"name": "lost", "id": None, "endpoint": server.url, "model": "m", "submitted": "then", "keys": keys, "requests": []}
    (cache / "batches" / "lost.json").write_text(json.dumps(lost))
    (cache / "batches" / "broken.json").write_text("{")
    assert asked.judge(questions(5)) == expected(questions(5))
    assert len(server.batches) == 1 and [path.name for path in remembered(cache)] == ["broken.json"]


def leave_a_batch(server):  # noqa: F811
    """What a run leaves that ends while it waits."""
    refused = patch.object(server, "look_at_batch", lambda handler, name: handler.send(401, {"error": {"message": "no"}}))
    with refused, pytest.raises(CcsError, match="The key is not accepted"):
        batch_judge(server).judge(questions(12))


def test_replies_of_a_batch_that_this_run_does_not_need_are_kept_too(server, cache):  # noqa: F811
    leave_a_batch(server)
    server.polls_needed = 1
    assert batch_judge(server).judge(questions(2)) == expected(questions(2))
    assert len(kept_files(cache)) == 12 and len(server.batches) == 1


def test_two_processes_submit_one_batch(server):  # noqa: F811
    server.polls_needed = 40
    code = WAIT_IN_BATCH.format(model="gpt-4o-2024-08-06", url=server.url)
    both = [program(server, code) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0], [process.stdout.read() for process in both]
    assert len(server.batches) == 1


def test_the_limit_holds_for_batches(server, cache):  # noqa: F811
    asked = batch_judge(server, max_cost_usd=0.02)
    session = share_session(asked)
    with pytest.raises(BudgetReached):
        asked.judge(questions(100))
    assert 0.005 < session.ledger.spent <= 0.02
    assert 0 < len(kept_files(cache)) < 100 and not remembered(cache)


def test_an_unreachable_server_is_an_error_and_the_batch_stays_remembered(server, cache):  # noqa: F811
    leave_a_batch(server)
    with serving() as gone:
        pass
    (path,) = remembered(cache)
    path.write_text(path.read_text().replace(server.url, gone.url))
    batch = json.loads(path.read_text())
    assert batch["endpoint"] == gone.url
    with pytest.raises(CcsError, match="cannot be reached for its batches"):
        batch_judge(gone, attempts=2).judge(questions(2))
    assert remembered(cache) == [path]

"""Servers that lie, flood or half obey, over real HTTP on loopback: bounded, cleaned, refused with their own words, never believed."""

import base64
import gzip
import json
import time
import tracemalloc
import urllib.parse
import zlib

import pytest
from loopback import answer, completion, serving
from test_llm_asking import KEY, MODEL, cache, expected, heads, judge, kept_files, labeler, questions, saying, server  # noqa: F401
from test_llm_batch import batch_judge, remembered

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.llm.client import LONGEST
from ccs_exp.llm.failures import Rejected
from ccs_exp.llm.ledger import BudgetReached
from ccs_exp.llm.live import FORMLESS
from ccs_exp.llm.session import share_session
from ccs_exp.scoring.judges.answers import Subject
from ccs_exp.scoring.judges.judge import Question, Verdict
from ccs_exp.scoring.judges.language_model import OpenAIJudge, group
from ccs_exp.scoring.judges.language_model_labeler import OpenAILabeler
from ccs_exp.scoring.spans import HeadSpans

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

ONE = Subject("verdicts", ("a red square",), "Colors", numbered=False)
BODY = {"model": "m", "messages": []}


def sending(content, kind="application/json", **headers):
    return lambda handler, body: handler.send(200, content, headers, kind)


def always(failure):
    return lambda body, seen: failure


def packed(megabytes, start=b'{"a": "'):
    """Gzip of so many megabytes of JSON, which takes a thousandth of that."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(start), *(packer.compress(b"x" * 1_000_000) for _ in range(megabytes)), packer.flush()])


# what is kept stays found


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({}, "0f8b3c8e0328eca65ae67077f5752ed75c5b473634deb202032c9e22380e88a3"),
        ({"descriptions_per_request": 5}, "3183a455a45cd4147b77673ab5050ef4220c950c996aded5b825ae300417a6cf"),
        (
            {"service": "claude", "model": "claude-sonnet-4-20250514", "seed": None},
            "358c33b30feddef07d413ac05162922cafc4e01d2d1ca096c2cfdb719a61b87e",
        ),
    ],
)
def test_replies_that_were_paid_for_are_found_under_the_keys_of_earlier_releases(settings, key):
    asked = OpenAIJudge(**({"model": MODEL} | settings))
    subjects = group([Question(f"text {number}", "Colors") for number in range(5)], settings.get("descriptions_per_request", 1))
    assert asked.asker.requests(asked.prompt, subjects)[0].key == key


def test_the_labelers_keys_are_those_of_earlier_releases_too():
    (request,) = OpenAILabeler(model=MODEL).requests([HeadSpans(Head(11, 0), tuple(f"text {n}" for n in range(5)))], draw=2)
    assert request.key == "a7e0d251cb957133136abd5843e8eaa9a8f41a449e7b57530d5a0b1a87086521"


# bounds


def test_a_packed_flood_takes_neither_memory_nor_time_and_is_no_answer(server):  # noqa: F811
    server.fail = always(sending(packed(100), **{"Content-Encoding": "gzip"}))
    asked = judge(server, concurrency=4, attempts=1, max_cost_usd=5)
    session = share_session(asked)
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(CcsError, match=r"oversized: a reply of more than 1,000,000 bytes"):
        asked.judge(questions(4))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * LONGEST and time.monotonic() - started < 60
    assert session.rejected == {"oversized": 4} and session.ledger.spent > 0


@pytest.mark.parametrize("size", [LONGEST - 10_000, LONGEST + 10_000])
def test_a_reply_may_be_as_long_as_the_limit_and_no_longer(server, size):  # noqa: F811
    server.reply = lambda body: completion(body, id="x" * size)
    asked = judge(server, attempts=1)
    if size < LONGEST:
        assert asked.judge(questions(2)) == expected(questions(2))
    else:
        with pytest.raises(CcsError, match="oversized"):
            asked.judge(questions(2))


def test_an_error_of_any_length_says_what_it_has_to_say(server):  # noqa: F811
    server.fail = always(lambda handler, body: handler.send(401, b'{"error": {"message": "bad key"}, "x": "' + b"y" * 3_000_000 + b'"}'))
    with pytest.raises(CcsError, match="The key is not accepted") as caught:
        judge(server).judge(questions(1))
    assert len(str(caught.value)) < 1000


def test_a_packed_reply_is_read_and_one_packed_otherwise_is_none(server):  # noqa: F811
    server.fail = lambda body, seen: (
        (lambda handler, body: handler.send(200, b"\x00" * 50, {"Content-Encoding": "br"}))
        if seen == 0
        else (lambda handler, body: handler.send(200, gzip.compress(json.dumps(completion(body)).encode()), {"Content-Encoding": "gzip"}))
    )
    assert judge(server).judge(questions(3)) == expected(questions(3))
    assert len(server.bodies) == 6


@pytest.mark.parametrize("damage", [lambda raw: raw[:-12], lambda raw: b"\x1f\x8b" + raw[5:]])
def test_a_damaged_packed_reply_is_asked_for_again(server, damage):  # noqa: F811
    def damaged(handler, body):
        handler.send(200, damage(gzip.compress(json.dumps(completion(body)).encode())), {"Content-Encoding": "gzip"})

    server.fail = lambda body, seen: damaged if seen == 0 else None
    assert judge(server).judge(questions(2)) == expected(questions(2))


def test_a_line_of_a_batch_is_bounded_and_lines_end_where_json_lines_do(server, cache):  # noqa: F811
    """U+2028 and U+0085 stand unescaped in a string; a flood stands in a line of its own; another system's line ends."""

    def fate(number, results):
        if number:
            return {}
        lines = []
        for result in results:
            result["response"]["body"]["id"] = "a\u2028b\x85c"
            lines.append(json.dumps(result, ensure_ascii=False))
        flood = json.dumps(results[0] | {"x": "y" * 2 * LONGEST})
        return {"output": ["\ufeff" + lines[1] + "\r" + lines[2] + "\r\n" + lines[3], flood, *lines[4:]]}

    server.batch_fate = fate
    assert batch_judge(server).judge(questions(8)) == expected(questions(8))
    again = list(server.batches.values())[1]
    assert len(server.batches) == 2 and len(server.files[again["input_file_id"]].splitlines()) == 1
    assert not remembered(cache)


# half-valid replies


def contents(subject, *pairs):
    return json.dumps(dict(zip(subject.names, pairs, strict=True)))


GOOD = '{"verdict": "aligned"}'
HALF_VALID = {
    "no finish_reason": completion(BODY, GOOD, choice={"finish_reason": None}),
    "finish_reason tool_calls": completion(BODY, GOOD, choice={"finish_reason": "tool_calls"}),
    "tool calls beside": completion(BODY, GOOD, message={"tool_calls": [{"id": "1"}]}),
    "an older server's call beside": completion(BODY, GOOD, message={"function_call": {"name": "f"}}),
    "what we have said ourselves": completion(BODY, GOOD, message={"role": "user"}),
    "an error beside": completion(BODY, GOOD, error={"message": "overloaded"}),
    "an error in the choice": completion(BODY, GOOD, choice={"error": {"message": "cut off"}}),
    "a piece of a stream": completion(BODY, GOOD, object="chat.completion.chunk"),
    "another key": completion(BODY, '{"verdict": "aligned", "reason": "it is red"}'),
    "a second verdict": completion(BODY, '{"verdict": "aligned", "verdict_1": "not_aligned"}'),
    "the second choice first": completion(BODY, GOOD, choice={"index": 1}),
    "two choices": completion(BODY, GOOD, choices=completion(BODY, GOOD)["choices"] * 2),
}


@pytest.mark.parametrize("kind", HALF_VALID)
def test_what_protocol_or_schema_forbids_is_no_answer(kind):
    with pytest.raises(Rejected) as caught:
        ONE.read(HALF_VALID[kind], strict=True)
    assert caught.value.kind == "unusable"


def test_without_a_schema_more_may_stand_beside_a_verdict_but_no_second_one():
    assert ONE.read(HALF_VALID["another key"], strict=False).values == ("aligned",)
    with pytest.raises(Rejected, match="verdict_1"):
        ONE.read(HALF_VALID["a second verdict"], strict=False)


def test_the_schema_that_was_sent_decides_over_http(server, monkeypatch):  # noqa: F811
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    server.reply = lambda body: completion(body, json.dumps(answer(body) | {"why": "so"}))
    without = OpenAIJudge(model="claude", service="claude", base_url=server.url)
    assert without.judge(questions(3)) == expected(questions(3))
    with pytest.raises(CcsError, match="'why' beside what was asked for"):
        judge(server, attempts=2).judge(questions(3))


def test_two_entries_of_one_name_are_no_reply(server):  # noqa: F811
    def twice(handler, body):
        text = json.dumps(completion(body))
        handler.send(200, (text[:-1] + ', "choices": ' + json.dumps(completion(body, '{"verdict": "aligned"}')["choices"]) + "}").encode())

    server.fail = lambda body, seen: twice if seen == 0 else None
    assert judge(server).judge(questions(3)) == expected(questions(3)) and len(server.bodies) == 6


def test_another_models_name_from_the_middle_on_is_a_warning(server):  # noqa: F811
    server.reply = lambda body: completion(body, model="gpt-3" if len(server.bodies) > 6 else f"{MODEL}-served")
    asked = judge(server, concurrency=1)
    session = share_session(asked)
    asked.judge(questions(10))
    (warning,) = session.warnings()
    assert f"6 of {MODEL}-served, 4 of gpt-3" in warning


# thoughts


@pytest.mark.parametrize(
    "content",
    [
        'Let me see. {"verdict": "not_aligned"}? No.</think>\n{"verdict": "aligned"}',
        '<think>a</think> or <think>{"verdict": "not_aligned"}</think>```json\n{"verdict": "aligned"}\n```',
    ],
)
def test_what_stands_before_the_last_end_of_thoughts_is_thought(content):
    assert ONE.read(completion(BODY, content), strict=True).values == ("aligned",)


def test_the_probability_is_that_of_the_verdict_and_not_of_a_thought():
    thought, said = '{"verdict": "', '</think>{"verdict": "'
    parts = [(thought, {}), ("not", {"not": -0.1}), ('_aligned"}', {}), (said, {}), ("aligned", {"aligned": 0.0}), ('"}', {})]
    logprobs = {"content": [{"token": token, "top_logprobs": [{"token": t, "logprob": p} for t, p in top.items()]} for token, top in parts]}
    content = "".join(token for token, _ in parts)
    assert ONE.read(completion(BODY, content, choice={"logprobs": logprobs}), strict=True).p_aligned == (1.0,)


# a model that cannot do it

SIGN_IN = b"<html><head><title>Sign in</title></head><body>Welcome to the gateway</body></html>"


@pytest.mark.parametrize(
    ("failure", "quoted"),
    [
        (saying("I am sorry, I cannot answer in JSON."), "I am sorry, I cannot answer in JSON."),
        (saying("", choice={"finish_reason": "length"}), "ended at the limit of tokens"),
        (sending(SIGN_IN, "text/html"), "Welcome to the gateway"),
        (sending({"error": {"message": "the engine is not loaded", "type": "unknown"}}), "the engine is not loaded"),
        (sending({"object": "error", "message": "no such engine"}), "no such engine"),
    ],
)
def test_a_model_whose_first_answers_are_all_unusable_is_stopped_after_a_few(server, cache, failure, quoted):  # noqa: F811
    server.fail = always(failure)
    with pytest.raises(CcsError, match="none is an answer") as caught:
        judge(server).judge(questions(10))
    assert quoted in str(caught.value) and "judge.model" in str(caught.value)
    assert FORMLESS <= len(server.bodies) < FORMLESS + 10
    assert len(list((cache / "rejected").iterdir())) >= FORMLESS and not kept_files(cache)


def test_few_questions_of_which_none_is_answered_end_the_run_too(server):  # noqa: F811
    server.fail = always(saying("certainly!"))
    with pytest.raises(CcsError, match=r"of 3 replies none is an answer.*labeler\.prompt"):
        labeler(server, attempts=3).label(heads(1))
    assert len(server.bodies) == 3


def test_a_model_that_has_answered_before_goes_on(server):  # noqa: F811
    judge(server).judge(questions(1))
    server.fail = always(saying("certainly!"))
    asked = judge(server)
    assert asked.judge(questions(3)) == [*expected(questions(1)), Verdict.UNJUDGED, Verdict.UNJUDGED]
    assert len(server.bodies) == 1 + 2 * 8


def test_refusals_of_a_few_are_about_them_and_not_about_the_model(server):  # noqa: F811
    server.fail = always(saying(message={"content": None, "refusal": "no"}))
    assert judge(server).judge(questions(2)) == [Verdict.UNJUDGED] * 2
    assert len(server.bodies) == 16


def test_batches_stop_after_the_first_that_holds_no_answer(server):  # noqa: F811
    server.reply = lambda body: completion(body, "certainly!")
    with pytest.raises(CcsError, match="certainly!"):
        batch_judge(server).judge(questions(5))
    assert len(server.batches) == 1


# errors with status 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"error": {"code": 401, "message": "who are you"}}, "401 who are you The key is not accepted"),
        ({"error": {"code": "invalid_api_key", "message": "who are you"}}, "The key is not accepted"),
        ({"error": {"message": "gone", "type": "not_found_error"}}, f"Check the model .{MODEL}."),
        ({"object": "error", "message": "no seed here", "code": 400}, "no seed here.*supports.schema=false"),
        ([{"error": {"code": 403, "message": "not for you", "status": "PERMISSION_DENIED"}}], "may not use this model"),
        ({"error": {"code": "insufficient_quota", "message": "pay first"}}, "no credit left: 429 pay first"),
        (b"<html><title>404 Not Found</title><h1>404</h1></html>", f"404 Not Found.*Check the model .{MODEL}."),
    ],
)
def test_an_error_with_status_200_ends_the_run_as_the_status_that_it_names(server, content, message):  # noqa: F811
    server.fail = always(sending(content, "text/html" if isinstance(content, bytes) else "application/json"))
    with pytest.raises(CcsError, match=message):
        judge(server, concurrency=2).judge(questions(10))
    assert len(server.bodies) <= 2


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"error": {"code": 429, "message": "too many, \x1b[31mslow down"}}, "rate limit"),
        ({"error": {"message": "too many, slow down", "type": "rate_limit_error"}}, "rate limit"),
        (b"<html><head><style>b{}</style><title>502 Bad Gateway</title></head><body>too many, slow down</body></html>", "status 502"),
    ],
)
def test_an_outage_with_status_200_is_tried_again_and_its_words_are_shown(server, content, kind):  # noqa: F811
    server.fail = lambda body, seen: sending(content) if seen < 2 else None
    assert judge(server).judge(questions(3)) == expected(questions(3))
    server.fail = always(sending(content))
    asked = judge(server, attempts=2)
    session = share_session(asked)
    assert asked.judge(questions(5)[3:]) == [Verdict.UNJUDGED] * 2
    assert session.outages == {kind: 4} and session.unanswered == {kind: 2}
    (warning,) = session.warnings()
    assert "slow down" in warning and "\x1b" not in warning and "style" not in warning


def test_a_redirect_is_not_followed_and_the_new_address_is_said(server):  # noqa: F811
    with serving() as other:
        server.fail = always(lambda handler, body: handler.send(307, b"x" * 5_000_000, {"Location": f"{other.url}/chat/completions"}))
        with pytest.raises(CcsError, match=f"It has moved to {other.url}"):
            judge(server).judge(questions(1))
        assert not other.bodies


# money


@pytest.mark.parametrize("usage", [
    {"prompt_tokens": 0, "completion_tokens": 0}, {"prompt_tokens": 1, "completion_tokens": 1}, None, {},
    {"prompt_tokens": -5, "completion_tokens": -5},
    {"prompt_tokens": 10**400, "completion_tokens": 1}, {"prompt_tokens": "many", "completion_tokens": True},
    {"prompt_tokens": 10**6, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 2 * 10**6}},
])  # fmt: skip
def test_no_account_of_a_server_makes_requests_free(server, usage):  # noqa: F811
    server.reply = lambda body: completion(body, usage=usage)
    asked = judge(server, max_cost_usd=0.02, concurrency=4)
    session = share_session(asked)
    with pytest.raises(BudgetReached):
        asked.judge(questions(200))
    requests = asked.asker.requests(asked.prompt, group(questions(len(server.bodies)), 1))
    sent = sum(asked.asker.cost.cost(request.input_tokens, 0) for request in requests)
    assert sent <= session.ledger.spent <= 0.02 or (usage and usage["prompt_tokens"] == 10**6)
    assert session.input_tokens >= len(server.bodies) * 200


def test_no_account_makes_a_batch_free(server):  # noqa: F811
    server.reply = lambda body: completion(body, usage={"prompt_tokens": 0, "completion_tokens": 0})
    asked = batch_judge(server)
    session = share_session(asked)
    asked.judge(questions(20))
    assert session.ledger.spent > 20 * 200 * 2.5 / 1e6 / 2


# keys and proxies


@pytest.mark.parametrize("key", ["“sk-loopback-012345”", "sk-loopback\n012345", "sk loopback 012345", "sk-loopback-012345\u200b"])
def test_a_key_that_no_request_can_carry_is_refused_before_anything_is_asked(server, monkeypatch, key):  # noqa: F811
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(CcsError, match="OPENAI_API_KEY holds no key") as caught:
        judge(server).judge(questions(1))
    assert "loopback" not in str(caught.value).replace(server.url, "") and not server.bodies


def test_white_space_around_a_key_goes(server, monkeypatch):  # noqa: F811
    monkeypatch.setenv("OPENAI_API_KEY", f"  {KEY}\r\n")
    judge(server).judge(questions(1))
    assert server.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
def test_a_socks_proxy_without_its_package_is_one_paragraph(server, monkeypatch, variable):  # noqa: F811
    monkeypatch.setenv(variable, "socks5://127.0.0.1:9")
    with pytest.raises(CcsError, match=f"environment variable {variable} names a SOCKS proxy.*pip install socksio"):
        judge(server).judge(questions(1))
    assert not server.bodies


@pytest.mark.parametrize(
    ("variable", "value"), [("ALL_PROXY", "gopher://x"), ("HTTPS_PROXY", "http://[::1"), ("SSL_CERT_FILE", "/nowhere.pem")]
)
def test_other_settings_that_no_client_can_use_are_named(server, monkeypatch, variable, value):  # noqa: F811
    monkeypatch.setenv(variable, value)
    with pytest.raises(CcsError, match=f"Nothing can be asked at {server.url} .*{variable}"):
        judge(server).judge(questions(1))


@pytest.mark.parametrize(
    "url", ["http://h:99999/v1", "http://[::1/v1", "ftp://h/v1", "http://h /v1", "http://h/v1?key=abc", "me:hunter22@h"]
)
def test_an_address_that_is_none_or_holds_more_is_refused(url):
    with pytest.raises(CcsError, match=r"is no address|a query|user name or password") as caught:
        OpenAIJudge(model=MODEL, base_url=url)
    assert "hunter22" not in str(caught.value) and "abc" not in str(caught.value)


# what servers repeat


def forms(secret):
    yield secret
    yield urllib.parse.quote(secret, safe="")
    yield "".join(f"\\u{ord(sign):04x}" for sign in secret)
    for before in ("", "x", "xy"):
        yield base64.b64encode(f"{before}:{secret}".encode()).decode()


def test_a_repeated_key_comes_through_in_no_form_and_no_place(server, cache, monkeypatch):  # noqa: F811
    """Label, model, fingerprint and further entries of accepted replies; rejected ones; error texts; headers."""
    monkeypatch.setenv("GATEWAY_PASSWORD", "hunter22/horse")
    told = [form for secret in (KEY, "hunter22/horse") for form in forms(secret)]

    def reply(body):
        form = told[len(server.bodies) % len(told)]
        content = f'{{"label": "Key {form}"}}' if "label" in answer(body) else json.dumps(answer(body))
        raw = json.dumps(completion(body, content, model=form, system_fingerprint=form, id=form))
        return raw.replace("\\\\u", "\\u").encode()

    server.reply = reply
    server.fail = lambda body, seen: [
        lambda handler, body: handler.send(500, reply(body), {"retry-after-ms": "1", "x-echo": KEY, "set-cookie": KEY}),
        lambda handler, body: handler.send(200, {"error": {"code": 429, "message": f"bad {KEY}"}}),
        saying(f"no {KEY}"),
        None,
    ][min(seen, 3)]
    parts = labeler(server), judge(server)
    session = share_session(*parts)
    labels = parts[0].label(heads(6))
    parts[1].judge(questions(6))
    seen = "".join(path.read_text() for path in cache.rglob("*.json")) + repr((labels, session, parts[1].opinions))
    assert all("[hidden]" in label for label in labels) and len(server.bodies) == 48
    assert not [form for form in (KEY, "hunter22", *told) if form[:20] in seen]


def test_a_key_that_is_spelled_token_by_token_is_kept_nowhere(server, cache):  # noqa: F811
    spelled = [{"token": sign, "bytes": [ord(sign)], "logprob": 0.0, "top_logprobs": []} for sign in f"Key {KEY}"]
    server.reply = lambda body: completion(body, choice={"logprobs": {"content": spelled}})
    assert judge(server, logprobs=True).judge(questions(3)) == expected(questions(3))
    kept = [json.loads(path.read_text())["response"]["choices"][0]["logprobs"] for path in kept_files(cache)]
    assert kept == [{"content": []}] * 3

"""From replies to answers: what is accepted, and that nothing else ever becomes a verdict."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import completion

from ccs_exp.config.schema import config_dir
from ccs_exp.errors import CcsError
from ccs_exp.files import clean
from ccs_exp.llm.failures import Rejected
from ccs_exp.llm.prompts import numbered, quoted, read_prompt
from ccs_exp.llm.replies import Kept
from ccs_exp.llm.reply_files import jsonl, read_replies
from ccs_exp.llm.request import ChatRequest, request_key
from ccs_exp.scoring.judges.answers import Answer, Subject
from ccs_exp.scoring.judges.judge import Question
from ccs_exp.scoring.judges.language_model import group

ONE = Subject("verdicts", ("a red square",), "Colors", numbered=False)
FIVE = Subject("verdicts", tuple("abcde"), "Letters")
LABEL = Subject("label", tuple("abcde"))
BODY = {"model": "m", "messages": []}


def read_answer(subject, response, strict=False) -> Answer:
    return subject.read(response, strict)


def reply(content, **changes):
    return completion(BODY, content, **changes)


@pytest.mark.parametrize(
    "content",
    [
        '{"verdict": "aligned"}',
        ' \n{"verdict":"aligned"}\n',
        '{"verdict": " Aligned "}',
        '\ufeff{"verdict": "aligned"}',
        '```json\n{"verdict": "aligned"}\n```',
        '```\n{"verdict": "ALIGNED"}```',
        '<think>It could be {"verdict": "not_aligned"}, but no.</think>\n{"verdict": "aligned"}',
        '{"verdict": "aligned", "reason": "it is red"}',
    ],
)
def test_an_aligned_verdict_in_any_honest_form(content):
    assert read_answer(ONE, reply(content)).values == ("aligned",)


@pytest.mark.parametrize("word", ["not_aligned", "NOT ALIGNED", "not-aligned", "Not_Aligned"])
def test_case_and_separators_do_not_matter(word):
    assert read_answer(ONE, reply(json.dumps({"verdict": word}))).values == ("not_aligned",)


JUNK = [
    "yes", "YES", '"aligned"', "aligned", "true", "null", "[]", '["aligned"]', "{}", '{"verdict": true}', '{"verdict": 1}',
    '{"verdict": null}', '{"verdict": "yes"}', '{"verdict": "Yes"}', '{"verdict": "unjudged"}', '{"verdict": "aligned or not_aligned"}',
    '{"verdict": ""}', '{"verdict": ["aligned"]}', '{"verdict": {"verdict": "aligned"}}', '{"Verdict": "aligned"}',
    '{"verdict": "aligned", "verdict": "not_aligned"}', '{"verdict": "aligned"} {"verdict": "not_aligned"}',
    'I think {"verdict": "aligned"}', '{"verdict": "ali', "<html><body>502 Bad Gateway</body></html>",
    '```json\n{"verdict": "aligned"}\n```\n```json\n{"verdict": "not_aligned"}\n```', '<think>{"verdict": "aligned"}', "[" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("content", JUNK)
def test_junk_is_rejected_and_is_no_verdict(content):
    with pytest.raises(Rejected) as caught:
        read_answer(ONE, reply(content))
    assert caught.value.kind == "unusable"


@given(st.text())
def test_no_free_text_is_a_verdict(text):
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        with pytest.raises(Rejected):
            read_answer(ONE, reply(text))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"message": {"content": None, "refusal": "I will not."}}, "refused"),
        ({"message": {"refusal": "I will not."}}, "refused"),
        ({"choice": {"finish_reason": "content_filter"}}, "filtered"),
        ({"choice": {"finish_reason": "length"}}, "truncated"),
        ({"message": {"content": None}}, "empty"),
        ({"message": {"content": " \n"}}, "empty"),
        ({"choices": []}, "unusable"),
        ({"choices": None}, "unusable"),
        ({"choices": [{"message": None}]}, "unusable"),
        ({"choices": ["aligned"]}, "unusable"),
    ],
)
def test_every_kind_of_no_answer_is_told_apart(changes, kind):
    with pytest.raises(Rejected) as caught:
        read_answer(ONE, reply('{"verdict": "aligned"}', **changes))
    assert caught.value.kind == kind


@pytest.mark.parametrize("response", [None, "aligned", 3, [], {}, {"error": {"message": "busy"}}])
def test_what_is_no_completion_at_all_is_rejected(response):
    with pytest.raises(Rejected):
        read_answer(ONE, response)


def test_five_verdicts_keep_their_places_and_none_may_be_missing():
    verdicts = ["aligned", "not_aligned", "aligned", "aligned", "not_aligned"]
    content = {f"verdict_{number}": verdict for number, verdict in enumerate(verdicts, 1)}
    shuffled = dict(reversed(content.items()))
    assert read_answer(FIVE, reply(json.dumps(shuffled))).values == tuple(verdicts)
    for name in content:
        with pytest.raises(Rejected, match=name):
            read_answer(FIVE, reply(json.dumps({key: value for key, value in content.items() if key != name})))


def test_labels_are_one_short_line():
    def label(text):
        return read_answer(LABEL, reply(json.dumps({"label": text}))).values[0]

    assert label(" Number \n of  objects. ") == "Number of objects"
    assert label('"Colors"') == "Colors" and label("色") == "色" and label("<b>bold</b>") == "<b>bold</b>"
    for bad in ("", "  ", "...", "x" * 61, "a\u0000b", "\u202eabc"):
        with pytest.raises(Rejected):
            label(bad)


def test_schemas_admit_what_is_read_and_nothing_else():
    properties = FIVE.schema["json_schema"]["schema"]["properties"]
    assert list(properties) == [f"verdict_{number}" for number in range(1, 6)]
    assert {tuple(entry["enum"]) for entry in properties.values()} == {("aligned", "not_aligned")}
    assert ONE.schema["json_schema"]["strict"] and LABEL.schema["json_schema"]["schema"]["required"] == ["label"]


def tokens(*pairs):
    """Log-probabilities: each token with its alternatives and their probabilities."""
    return {
        "logprobs": {
            "content": [
                {"token": token, "top_logprobs": [{"token": other, "logprob": math.log(p)} for other, p in alternatives.items()]}
                for token, alternatives in pairs
            ]
        }
    }


def p_aligned(subject, content, *pairs):
    return read_answer(subject, reply(content, choice=tokens(*pairs))).p_aligned


def test_confidence_is_the_share_of_aligned_at_the_token_that_decides():
    content = '{"verdict": "aligned"}'
    start = [('{"', {'{"': 1.0}), ("verdict", {"verdict": 1.0})]
    plain = p_aligned(
        ONE, content, *start, ('": "', {'": "': 1.0}), ("al", {"al": 0.6, "not": 0.2, "x": 0.1}), ("igned", {}), ('"}', {})
    )
    assert plain == (pytest.approx(0.75),)
    with_quote = p_aligned(ONE, content, *start, ('":', {}), (' "aligned', {' "aligned': 0.5, ' "not': 0.5}), ('"}', {}))
    assert with_quote == (pytest.approx(0.5),)
    assert p_aligned(ONE, content) == (None,) and read_answer(ONE, reply(content)).p_aligned == (None,)


def test_confidence_of_five_is_read_at_each_of_them():
    pairs, content = [], "{"
    for number in range(1, 6):
        value = "aligned" if number % 2 else "not_aligned"
        before = ("" if number == 1 else ", ") + f'"verdict_{number}": "'
        content += before + value + '"'
        pairs += [(before, {}), (value[:3], {"ali": number / 10, "not": 1 - number / 10}), (value[3:] + '"', {})]
    found = p_aligned(FIVE, content + "}", ("{", {}), *pairs, ("}", {}))
    assert found == tuple(pytest.approx(number / 10) for number in range(1, 6))


@given(st.lists(st.tuples(st.text(max_size=3), st.sampled_from(["A", "B"])), max_size=30), st.sampled_from([1, 5]))
def test_grouping_keeps_every_question_in_order_and_under_its_label(pairs, size):
    questions = [Question(*pair) for pair in pairs]
    subjects = group(questions, size)
    assert [Question(text, subject.label) for subject in subjects for text in subject.descriptions] == questions
    assert all(1 <= len(subject.descriptions) <= size for subject in subjects)


# files of replies


def kept(text):
    body = {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 9}
    request = ChatRequest("http://h/v1", body, 0, Subject("verdicts", (text,), "L", numbered=False), "p")
    return Kept(request, completion(body, '{"verdict": "aligned"}', id="x", created=1), None, "then")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_replies_of_other_tools_are_read_line_by_line_whatever_signs_a_line_holds(end, mark, tmp_path):
    replies = [kept(text) for text in ("one", "a\u2028b\x85c\x0cd", "日本")]
    lines = [json.dumps(item.as_json(), ensure_ascii=False) for item in replies]
    (tmp_path / "replies.jsonl").write_bytes((mark + end.join([*lines, ""])).encode())
    assert read_replies(tmp_path, Subject) == replies
    (tmp_path / "replies.jsonl").write_bytes(jsonl(replies))
    assert sorted(item.request.key for item in read_replies(tmp_path, Subject)) == sorted(item.request.key for item in replies)
    (tmp_path / "replies.jsonl").write_bytes(jsonl(replies).replace(b'"key":', b'"key": "x", "key":', 1))
    with pytest.raises(CcsError, match="line 1 is no kept reply: 'key' stands twice"):
        read_replies(tmp_path, Subject)


# prompts


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_prompt_has_the_same_words_with_another_systems_line_ends_and_mark(mark, tmp_path):
    plain = (Path(config_dir()) / "prompts" / "judge_one.txt").read_bytes()
    (tmp_path / "mine.txt").write_bytes(mark + plain.replace(b"\n", b"\r\n"))
    places = ("label", "description")
    assert read_prompt(tmp_path / "mine.txt", "", places).sha256 == read_prompt(None, "judge_one.txt", places).sha256


def test_what_prompts_of_the_judge_share_is_written_once():
    kinds = {"one": "description", "five": "descriptions"}
    one, five = (read_prompt(None, f"judge_{name}.txt", ("label", place)) for name, place in kinds.items())
    for part in (Path(config_dir()) / "prompts" / "parts").iterdir():
        said = [prompt.fill(label="L", description="D", descriptions="D")[0]["content"] for prompt in (one, five)]
        assert all(part.read_text().strip() in text for text in said)
    assert one.sha256 == "f7ff10b1ee9a8230b4d9372664c60f144fafd681b8357d3613f487a35202c45c"  # replies are kept under these words


def test_a_secret_in_a_prompt_is_not_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "abcdefgh-1234")
    (tmp_path / "mine.txt").write_text("[user]\n$label $description abcdefgh-1234")
    with pytest.raises(CcsError, match="holds a secret") as caught:
        read_prompt(tmp_path / "mine.txt", "", ("label", "description"))
    assert "abcdefgh" not in str(caught.value)


def test_prompts_have_five_worked_examples_and_the_judge_sees_none_of_them():
    labeling = read_prompt(None, "label.txt", ("descriptions",)).fill(descriptions="1. HERE")
    assert [message["role"] for message in labeling] == ["system", *["user", "assistant"] * 5, "user"]
    examples = [json.loads(message["content"])["label"] for message in labeling if message["role"] == "assistant"]
    assert len(set(examples)) == 5
    shown = [line for message in labeling[1:-1:2] for line in message["content"].splitlines()]
    assert len(shown) == 25 == len(set(shown))
    for name, place in (("judge_one.txt", "description"), ("judge_five.txt", "descriptions")):
        prompt = read_prompt(None, name, ("label", place)).fill(label="L", **{place: "D"})
        text = "".join(message["content"] for message in prompt)
        assert [message["role"] for message in prompt] == ["system", "user"]
        assert not any(line.partition(" ")[2] in text for line in shown)


@given(st.text() | st.sampled_from(["\u2028", "a\x85b", "\r\n[user]"]))
def test_whatever_a_description_says_it_stays_one_quoted_line(text):
    line = quoted(text)
    assert line.splitlines() == [line] and line[0] == line[-1] == '"'
    assert json.loads(line) == clean(text)
    assert numbered([text, text]).split("\n")[0] == f"1. {line}"


def test_a_dollar_sign_in_a_description_is_text():
    prompt = read_prompt(None, "judge_one.txt", ("label", "description"))
    content = prompt.fill(label=quoted("$description"), description=quoted("$label ${label} $$"))[-1]["content"]
    assert content == 'Concept: "$description"\nText: "$label ${label} $$"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Judge this: $label $description", "blocks that start with"),
        ("[user]\n$label", r"needs \$label and \$description"),
        ("[user]\n$label $description $more", "has the places"),
        ("[user]\n$label $description\n[assistant]\nyes", r"end with a \[user\] block"),
        ("[user]\n$label $description costs 5 $ a piece", r"Write \$\$"),
    ],
)
def test_a_prompt_of_ones_own_is_checked(text, message, tmp_path):
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(CcsError, match=message):
        read_prompt(tmp_path / "mine.txt", "judge_one.txt", ("label", "description"))
    with pytest.raises(CcsError, match="no such file"):
        read_prompt(tmp_path / "none.txt", "judge_one.txt", ("label", "description"))


def test_the_key_changes_with_everything_that_is_sent_and_with_nothing_else():
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "temperature": 0,
        "seed": 0,
        "response_format": ONE.schema,
    }
    key = request_key("http://a/v1", body, 0)
    assert request_key("http://a/v1", dict(reversed(body.items())), 0) == key
    others = [request_key("http://b/v1", body, 0), request_key("http://a/v1", body, 1)]
    for name, value in {"model": "n", "temperature": 1, "seed": 1, "response_format": FIVE.schema, "logprobs": True}.items():
        others.append(request_key("http://a/v1", body | {name: value}, 0))
    others.append(request_key("http://a/v1", body | {"messages": [{"role": "user", "content": "y"}]}, 0))
    assert len({key, *others}) == len(others) + 1

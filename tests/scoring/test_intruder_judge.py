"""A language model as the one who finds another head's description."""

import json
from types import SimpleNamespace

import pytest

from ccs_exp.jobs.intruder_stage import choosers
from ccs_exp.llm.failures import Rejected
from ccs_exp.scoring.judges.answers import Subject
from ccs_exp.scoring.judges.intruder import LanguageModelChooser
from ccs_exp.scoring.judges.judge import TaxonomyJudge
from ccs_exp.scoring.judges.language_model import OpenAIJudge

FIVE = ("a red star", "a blue star", "a green star", "exactly two", "a pink star")


def response(content):
    return {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], "model": "m"}


@pytest.mark.parametrize("content", ['{"choice": 4}', '```json\n{"choice": "4"}\n```'])
def test_a_number_of_the_list_is_an_answer(content):
    subject = Subject("intruder", FIVE)
    assert subject.read(response(content), strict=True).values == ("4",)
    assert Subject.from_json(json.loads(json.dumps(subject.as_json()))) == subject
    assert subject.schema["json_schema"]["schema"]["properties"]["choice"] == {"type": "integer", "enum": [1, 2, 3, 4, 5]}


@pytest.mark.parametrize(
    "content", ['{"choice": 6}', '{"choice": 0}', '{"choice": true}', '{"choice": null}', '{"choice": "a red star"}', "4"]
)
def test_anything_else_is_none(content):
    with pytest.raises(Rejected):
        Subject("intruder", FIVE).read(response(content), strict=False)


def test_texts_are_shown_numbered_without_head_or_label_and_places_count_from_zero():
    judge, sent = OpenAIJudge(), []

    def ask(what, requests):
        sent.extend(requests)
        return [SimpleNamespace(answer=request.subject.read(response('{"choice": 4}'), True)) for request in requests[:1]] + [
            SimpleNamespace(answer=None) for _ in requests[1:]
        ]

    judge.asker.ask = ask
    chooser = LanguageModelChooser(judge)
    assert chooser.choose([FIVE, FIVE[::-1]]) == [frozenset({3}), None]
    (told,) = [message["content"] for message in sent[0].body["messages"] if message["role"] == "user"]
    assert told.splitlines()[3] == '4. "exactly two"' and len(told.splitlines()) == 5
    assert "fifth" not in str(sent[0].body["messages"]) and chooser.forecast([FIVE])[0].requests == 1


def test_language_models_are_asked_only_where_that_is_wanted():
    names = [[type(one).__name__ for one in choosers(judge, ask)] for judge, ask in ((OpenAIJudge(), False), (OpenAIJudge(), True))]
    assert names == [["TaxonomyChooser"], ["TaxonomyChooser", "LanguageModelChooser"]]
    assert len(choosers(TaxonomyJudge(), True)) == 1

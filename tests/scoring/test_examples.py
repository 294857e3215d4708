"""Worked examples of one's own for the labeler: what is asked, and whose labels stay."""

from __future__ import annotations

import json

import pytest

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.llm.prompts import numbered
from ccs_exp.scoring.judges.language_model_labeler import OpenAILabeler, read_examples
from ccs_exp.scoring.spans import HeadSpans

TABLE_1 = "bundled:paper/examples.csv"
OTHER = HeadSpans(Head(22, 3), tuple(f"text {number}" for number in range(5)))


@pytest.fixture
def labeler(monkeypatch):
    """A labeler that answers "asked" to whatever it asks."""
    made = OpenAILabeler(model="gpt-4o", examples=TABLE_1)
    monkeypatch.setattr(made.asker, "ask", lambda what, requests: [request.subject for request in requests])
    monkeypatch.setattr("ccs_exp.scoring.judges.language_model_labeler.label_in", lambda subject: "asked")
    return made


def test_the_rows_of_table_1_are_the_worked_examples(labeler):
    own = OpenAILabeler(model="gpt-4o")
    messages = labeler.requests([OTHER])[0].body["messages"]
    roles = [message["role"] for message in messages]
    assert roles == ["system", *["user", "assistant"] * 9, "user"]
    assert messages[0] == own.requests([OTHER])[0].body["messages"][0] and messages[-1] == own.requests([OTHER])[0].body["messages"][-1]
    pairs = zip(messages[1:-1:2], messages[2:-1:2], strict=True)
    shown = {message["content"]: json.loads(reply["content"])["label"] for message, reply in pairs}
    for head in read_examples(TABLE_1).heads:
        assert shown[numbered(head.descriptions)] == head.label
    assert labeler.prompt.sha256 != own.prompt.sha256  # so that no reply to the other prompt stands for one to this


def test_heads_of_the_file_keep_their_labels_and_are_not_asked_about(labeler):
    given = read_examples(TABLE_1).heads
    found = labeler.label([OTHER, given[0], OTHER, given[4]])
    assert found == ["asked", given[0].label, "asked", given[4].label]
    # the same name with other descriptions is a head of another model
    assert labeler.label([HeadSpans(given[0].head, OTHER.descriptions)]) == ["asked"]
    assert sum(item.requests for item in labeler.forecast([OTHER, *given])) == 1


def test_a_file_that_is_none_is_refused(tmp_path):
    bare = tmp_path / "bare.csv"
    bare.write_text("head,description_1,description_2,description_3,description_4,description_5\nL8.H0,a,b,c,d,$e\n")
    for path, message in ((str(bare), "L8.H0 have no label"), (str(tmp_path / "no.csv"), "there is no such file")):
        with pytest.raises(CcsError, match=message):
            OpenAILabeler(model="gpt-4o", examples=path)
    labelled = tmp_path / "labelled.csv"
    labelled.write_text(bare.read_text().replace("description_5\n", "description_5,label\n").replace("$e", "$e,Money $"))
    messages = OpenAILabeler(model="gpt-4o", examples=str(labelled)).requests([OTHER])[0].body["messages"]
    assert messages[2]["content"] == '{"label": "Money $"}' and '5. "$e"' in messages[1]["content"]

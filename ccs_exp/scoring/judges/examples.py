"""Worked examples of a labeler's own choice: heads with their descriptions and the labels that people gave them (paper, section 4.1.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS
from ccs_exp.llm.prompts import Prompt, numbered
from ccs_exp.scoring.spans import HeadSpans, read_spans

_BUNDLED = "bundled:"


@dataclass(frozen=True)
class Examples:
    """`labels`: of heads by name and descriptions; a head of that name with other descriptions is another model's."""

    heads: tuple[HeadSpans, ...]

    @property
    def labels(self) -> Mapping[tuple[str, tuple[str, ...]], str]:
        return {(str(head.head), head.descriptions): head.label or "" for head in self.heads}

    def label(self, head: HeadSpans) -> str | None:
        """The label that was given to this very head, if it is one of the examples."""
        return self.labels.get((str(head.head), head.descriptions))

    def others(self, heads: Sequence[HeadSpans]) -> list[HeadSpans]:
        """The heads without a given label."""
        return [head for head in heads if self.label(head) is None]

    def joined(self, heads: Sequence[HeadSpans], of_others: Sequence[str | None]) -> list[str | None]:
        """One label a head: the given ones, and those `of_others` in their order."""
        rest = iter(of_others)
        return [given if (given := self.label(head)) is not None else next(rest) for head in heads]

    def in_prompt(self, prompt: Prompt) -> Prompt:
        """The prompt with these examples in the place of its own, which stand between its system message and the head asked about."""
        asked = prompt.messages[-1]
        before = [message for message in prompt.messages[:-1] if message[0] == "system"]
        shown = []
        for head in self.heads:
            texts = {"user": numbered(head.descriptions), "assistant": json.dumps({"label": head.label}, ensure_ascii=False)}
            shown += [(role, Template(text.replace("$", "$$"))) for role, text in texts.items()]
        messages = (*before, *shown, asked)
        content = json.dumps([(role, template.template) for role, template in messages])
        return Prompt(prompt.name, messages, hashlib.sha256(content.encode()).hexdigest())


def read_examples(path: str | None) -> Examples:
    """Read a file of heads as ``spans=file`` takes them, each with a label; ``bundled:FILE`` is one in the package. None: no examples.

    Raises `CcsError` where there is no such file, it is not one, or a head has no label.
    """
    if path is None:
        return Examples(())
    place = ASSETS / path.removeprefix(_BUNDLED) if path.startswith(_BUNDLED) else Path(path).expanduser()
    if not place.is_file():
        raise CcsError(
            f"labeler.examples={path}: there is no such file. Give a CSV head,description_1..5,label or a JSON list of "
            f"{{head, top5, intel_label}}; the paper's Table 1 is {_BUNDLED}paper/examples.csv."
        )
    heads = read_spans(place)
    bare = [str(head.head) for head in heads if not head.label]
    if bare:
        raise CcsError(f"labeler.examples={path}: {', '.join(bare)} have no label. An example is a head's descriptions and its label.")
    return Examples(heads)

"""The taxonomy: concepts, the descriptions that carry them, and lexicons that recognise them in text from elsewhere.

Its files are described in `ccs_exp.scoring.taxonomy_files`.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS
from ccs_exp.scoring.phrases import Phrases, text_key
from ccs_exp.scoring.taxonomy_files import Part, read_part


@dataclass(frozen=True)
class Description:
    """One text of the pool, every concept that it carries, and the part of the taxonomy that it stands in."""

    text: str
    concepts: frozenset[str]
    part: str


class Taxonomy:
    """Descriptions and lexicons of a set of concepts. Built by `load_taxonomy`."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(part.name for part in parts)
        self._words, self._names = Phrases(), Phrases()
        self._patterns = [(pattern, entry.concept) for part in parts for entry in part.entries for pattern in entry.patterns]
        self._texts: dict[str, dict[str, str]] = {part.name: {} for part in parts}  # part -> key of the text -> text
        broader: dict[str, set[str]] = {}
        own: dict[str, set[str]] = {}  # key of the text -> concepts
        for part in parts:
            for entry in part.entries:
                broader.setdefault(entry.concept, set()).update(entry.broader)
                self._add_names(entry.concept, entry.aliases)
                for word in entry.words:
                    self._words.add(word, entry.concept)
            described = [(text, (entry.concept,)) for entry in part.entries for text in entry.texts]
            for text, concepts in [*described, *part.combinations]:
                key = text_key(text)
                self._texts[part.name].setdefault(key, text)
                own.setdefault(key, set()).update(concepts)
        self.concepts = tuple(sorted(broader))
        self._closure = _closure(broader)
        self._concepts_of_key = {key: self._with_broader(concepts) for key, concepts in own.items()}
        self._sizes = Counter(concept for carried in self._concepts_of_key.values() for concept in carried)

    def pool(self, parts: Sequence[str] | None = None) -> tuple[Description, ...]:
        """The descriptions of the named parts (None: all), each text once, in the files' order.

        Raises:
            CcsError: a part that the taxonomy does not have.
        """
        unknown = sorted(set(parts or ()) - set(self.parts))
        if unknown:
            raise CcsError(f"No part {', '.join(unknown)} in the taxonomy. Its parts: {', '.join(self.parts)}. Set pool.parts.")
        chosen: dict[str, Description] = {}
        for part in self.parts:
            if parts is None or part in parts:
                for key, text in self._texts[part].items():
                    chosen.setdefault(key, Description(text, self._concepts_of_key[key], part))
        return tuple(chosen.values())

    def concepts_of(self, text: str) -> frozenset[str]:
        """The concepts that `text` carries: a description of the pool has exactly its own, any other what the lexicons find.

        Words are read from left to right, and the longest phrase that any lexicon knows wins over the words inside it:
        "hot dog" is food and no animal. Empty if nothing matches.
        """
        known = self._concepts_of_key.get(text_key(text))
        return known if known is not None else self._with_broader(self._recognised(text))

    def concepts_of_label(self, label: str) -> frozenset[str]:
        """The concepts that a label asks for.

        The taxonomy's own name of a concept ("art_styles") means that concept alone. Other labels mean all concepts of that
        name or alias, in any case, singular or plural ("Art", "Places"); failing that, those named or recognised within
        the label; else none.
        """
        if label in self._closure:
            return frozenset({label})
        exact = self._names.get(label)
        return exact if exact else frozenset(self._names.find(label) | self._recognised(label))

    def tagged_share(self, texts: Iterable[str]) -> float:
        """Share (0..1) of `texts` that carry at least one concept; raises `CcsError` when there are none."""
        tagged = [bool(self.concepts_of(text)) for text in texts]
        if not tagged:
            raise CcsError("The share of tagged texts was asked of no text at all.")
        return sum(tagged) / len(tagged)

    def size(self, concept: str) -> int:
        """How many descriptions of the whole pool carry `concept`: the wider the concept, the more."""
        return self._sizes[concept]

    def _recognised(self, text: str) -> set[str]:
        return self._words.find(text) | {concept for pattern, concept in self._patterns if pattern.search(text)}

    def _with_broader(self, concepts: Iterable[str]) -> frozenset[str]:
        return frozenset().union(*(self._closure[concept] for concept in concepts))

    def _add_names(self, concept: str, aliases: Sequence[str]) -> None:
        for name in (concept.replace("_", " "), *aliases):
            self._names.add(name, concept)
            if name.endswith("s"):
                self._names.add(name[:-1], concept)


def load_taxonomy(directory: str | Path | None = None) -> Taxonomy:
    """Read every ``*.yaml`` of `directory` (None: the packaged taxonomy), in the order of their names; kept once read.

    Raises:
        CcsError: no such folder or no YAML in it, or what `read_part` raises.
    """
    return taxonomy_in(ASSETS / "taxonomy" if directory is None else Path(directory).expanduser())


@functools.cache
def taxonomy_in(folder: Path) -> Taxonomy:
    """As `load_taxonomy`."""
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name) if folder.is_dir() else []
    if not files:
        raise CcsError(f"{folder} holds no taxonomy. A taxonomy is a folder with one YAML file for each part of it.")
    return Taxonomy([read_part(file) for file in files])


def _closure(broader: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    """Every concept with all concepts above it, itself included."""
    above: dict[str, frozenset[str]] = {}
    for concept in broader:
        seen: set[str] = set()
        todo = [concept]
        while todo:
            current = todo.pop()
            if current not in broader:
                raise CcsError(f"Concept {concept!r} of the taxonomy has {current!r} above it, but no file has that concept.")
            todo += broader[current] - seen - {current}
            seen.add(current)
        above[concept] = frozenset(seen)
    return above

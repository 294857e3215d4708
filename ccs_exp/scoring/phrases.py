"""Phrases found in text: words by words, any case, singular and plural, the longest first."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")


class Phrases:
    """Phrases, in singular and plural, with the concepts that they stand for."""

    def __init__(self) -> None:
        self._concepts: dict[str, frozenset[str]] = {}
        self._longest: dict[str, int] = {}  # first word -> words in the longest phrase that starts with it

    def add(self, phrase: str, concept: str) -> None:
        key = " ".join(tokens(phrase))
        plurals = [f"{key}s"]
        if key.endswith(("s", "x", "z", "o", "ch", "sh")):
            plurals.append(f"{key}es")
        elif key.endswith("y") and key[-2:-1] not in "aeiou":  # nor alone, as nothing is in any text
            plurals.append(f"{key[:-1]}ies")
        length, new = key.count(" ") + 1, frozenset({concept})
        for form in (key, *plurals):
            known, first = self._concepts.get(form), form.partition(" ")[0]
            self._concepts[form] = new if known is None else known | new
            if length > self._longest.get(first, 0):
                self._longest[first] = length

    def get(self, phrase: str) -> frozenset[str]:
        return self._concepts.get(" ".join(tokens(phrase)), frozenset())

    def find(self, text: str) -> set[str]:
        found: set[str] = set()
        words, start = tokens(text), 0
        while start < len(words):
            for length in range(self._longest.get(words[start], 0), 0, -1):
                concepts = self._concepts.get(" ".join(words[start : start + length]))
                if concepts:
                    found |= concepts
                    start += length - 1
                    break
            start += 1
        return found


def tokens(text: str) -> list[str]:
    plain = text if text.isascii() else "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return _WORD.findall(plain.casefold())


def text_key(text: str) -> str:
    """What two texts share that differ in spacing and case alone."""
    return " ".join(text.split()).casefold()

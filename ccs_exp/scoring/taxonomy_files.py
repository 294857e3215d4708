"""Reading the files of a taxonomy.

A taxonomy is a folder of YAML files. Each file is a *part*, a mapping from concept to::

    birds:
      broader: [animals]                  # whatever carries `birds` also carries `animals`
      aliases: [bird species]             # further names under which a label may ask for the concept
      lexicon:
        from_values: true                 # the values below are words of the lexicon too
        words: [seabird, bird of prey]    # whole words or phrases, any case, also in the plural
        patterns: ['\\bfeather(s|ed)\\b']   # Python regular expressions, searched in the text, any case
      descriptions:
        - templates: ["{a} on a branch"]  # {} is the value, {a} the value after "a" or "an"
          values: [owl, wren]
        - texts: ["a dawn chorus"]

A concept may stand in several parts; its lexicons and descriptions add up.

Beside its concepts a part may have ``combinations``: templates with the names of concepts in braces, ``"{a sizes} {colors} figure"``,
filled with every pair of the concepts' first lists of values. Such descriptions carry all the concepts named.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccs_exp.errors import CcsError
from ccs_exp.files import read_yaml
from ccs_exp.scoring.phrases import tokens

_CONCEPT_KEYS = frozenset({"broader", "aliases", "lexicon", "descriptions"})
_LEXICON_KEYS = frozenset({"from_values", "words", "patterns"})
_GROUP_KEYS = (frozenset({"templates", "values"}), frozenset({"texts"}))
_SOUNDS_CONSONANT = re.compile(r"(?:uni(?!n|m)|eu|one\b|u[kst][eu]|ufo)", re.IGNORECASE)
_SOUNDS_VOWEL = re.compile(r"(?:[aeiou]|hour|heir|honest)", re.IGNORECASE)
_COMBINATIONS = "combinations"
_PLACEHOLDER = re.compile(r"\{(a )?(\w+)\}")


@dataclass(frozen=True)
class Entry:
    """What one file says of one concept. `texts` are its descriptions, `words` and `patterns` its lexicon."""

    concept: str
    broader: tuple[str, ...]
    aliases: tuple[str, ...]
    words: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One file: the entries of its concepts, and descriptions of several of them at once, ``(text, concepts)``."""

    name: str
    entries: tuple[Entry, ...]
    combinations: tuple[tuple[str, tuple[str, ...]], ...]


def read_part(file: Path) -> Part:
    """Read one YAML file.

    Raises:
        CcsError: a file that is no YAML; an unknown key, a bad regular expression or a value that is no text, with the file
            and the concept.
    """
    content = read_yaml(file)
    if not isinstance(content, dict) or not all(isinstance(concept, str) for concept in content):
        raise CcsError(f"{file.name} of the taxonomy must map the names of concepts to their entries.")
    templates = _strings(content, _COMBINATIONS, file.name)
    raw = {
        concept: _mapping(entry, _CONCEPT_KEYS, f"{file.name}, concept {concept!r}")
        for concept, entry in content.items()
        if concept != _COMBINATIONS
    }
    entries = tuple(_entry(concept, entry, f"{file.name}, concept {concept!r}") for concept, entry in raw.items())
    return Part(file.name.removesuffix(".yaml"), entries, tuple(_combinations(templates, raw, file.name)))


def _entry(concept: str, raw: dict[str, Any], where: str) -> Entry:
    lexicon = _mapping(raw.get("lexicon", {}), _LEXICON_KEYS, f"{where}, lexicon")
    if not isinstance(lexicon.get("from_values", False), bool):
        raise CcsError(f"{where}, lexicon: from_values is true or false, not {lexicon['from_values']!r}.")
    described = list(_descriptions(raw, where))
    values = [value for _, value in described if value is not None] if lexicon.get("from_values") else []
    words = (*_strings(lexicon, "words", where), *values)
    for word in words:
        if not tokens(word):
            raise CcsError(f"{where}: the word {word!r} has no letter or digit in it; use a pattern for it.")
    patterns = []
    for pattern in _strings(lexicon, "patterns", where):
        try:
            patterns.append(re.compile(pattern, re.IGNORECASE))
        except re.error as error:
            raise CcsError(f"{where}: {pattern!r} is no regular expression: {error}.") from error
    return Entry(
        concept,
        tuple(_strings(raw, "broader", where)),
        tuple(_strings(raw, "aliases", where)),
        words,
        tuple(patterns),
        tuple(text for text, _ in described),
    )


def _combinations(templates: list[str], raw: dict[str, dict[str, Any]], where: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for template in templates:
        concepts = tuple(match[2] for match in _PLACEHOLDER.finditer(template))
        unknown = [concept for concept in concepts if not raw.get(concept, {}).get("descriptions", [{}])[0].get("values")]
        if unknown or len(set(concepts)) < 2:
            raise CcsError(f"{where}: the combination {template!r} needs two concepts of this file that have values.")
        lists = [raw[concept]["descriptions"][0]["values"] for concept in concepts]
        for values in itertools.product(*lists):
            of_concept = dict(zip(concepts, values, strict=True))
            yield _filled(template, of_concept), concepts


def _filled(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: _with_article(values[match[2]]) if match[1] else values[match[2]], template)


def _mapping(value: Any, keys: frozenset[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not keys >= value.keys():
        unknown = ", ".join(sorted(map(str, value.keys() - keys))) if isinstance(value, dict) else repr(value)
        raise CcsError(f"{where}: {unknown} is not understood. The keys here are {', '.join(sorted(keys))}.")
    return value


def _strings(entry: dict[str, Any], name: str, where: str) -> list[str]:
    values = entry.get(name, [])
    wrong = [v for v in values if not isinstance(v, str) or not v.strip()] if isinstance(values, list) else [values]
    if wrong:
        raise CcsError(f"{where}: {name} is a list of texts, but has {wrong[0]!r}. Quote numbers, yes, no, on and off.")
    return values


def _descriptions(entry: dict[str, Any], where: str) -> Iterator[tuple[str, str | None]]:
    """Every text with the value that it was made from (None: written out)."""
    groups = entry.get("descriptions", [])
    if not isinstance(groups, list):
        raise CcsError(f"{where}: descriptions is a list of groups, each of templates and values, or of texts.")
    for group in groups:
        if not isinstance(group, dict) or group.keys() not in _GROUP_KEYS:
            raise CcsError(f"{where}: a group of descriptions has templates and values, or texts; got {group!r:.120}.")
        yield from ((text, None) for text in _strings(group, "texts", where))
        values = _strings(group, "values", where)
        for template in _strings(group, "templates", where):
            if ("{}" in template) == ("{a}" in template):
                raise CcsError(f"{where}: the template {template!r} needs one {{}} or {{a}} where the value goes.")
            for value in values:
                yield (template.replace("{}", value) if "{}" in template else template.replace("{a}", _with_article(value))), value


def _with_article(value: str) -> str:
    article = "a" if _SOUNDS_CONSONANT.match(value) or not _SOUNDS_VOWEL.match(value) else "an"
    return f"{article} {value}"

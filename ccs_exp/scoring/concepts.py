"""The concept map: which concepts a head's label, in a labeler's own words, stands for."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import ASSETS, read_yaml
from ccs_exp.scoring.phrases import Phrases


class ConceptMap:
    """Concepts by the words that stand for them in labels. `load_concepts` reads one from a file.

    >>> concepts = ConceptMap({"animals": ["animal", "wildlife"], "locations": ["city"]})
    >>> sorted(concepts.of("Wildlife in cities")), sorted(concepts.of("Shapes"))
    (['animals', 'locations'], [])
    """

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        self.names = tuple(words)
        self._phrases = Phrases()
        for name, phrases in words.items():
            for phrase in (name, name.replace("_", " "), *phrases):
                self._phrases.add(phrase, name)

    def of(self, label: str) -> frozenset[str]:
        """The concepts of a label: of a concept's own name that concept alone, else all whose words stand in it."""
        if label in self.names:
            return frozenset({label})
        return self._phrases.get(label) or frozenset(self._phrases.find(label))

    def means(self, label: str, concept: str) -> bool:
        """Whether a label stands for `concept`, which may also be a label itself, for concepts that the map does not have."""
        return label.casefold() == concept.casefold() or concept.casefold() in self.of(label)

    def unmapped(self, labels: Iterable[str]) -> list[str]:
        """The labels that stand for no concept, each once."""
        return sorted({label for label in labels if not self.of(label)})


@functools.cache
def load_concepts(path: str | Path | None = None) -> ConceptMap:
    """Read a concept map (None: the packaged one); kept once read. Raises `CcsError` for what is not one."""
    source = ASSETS / "concepts.yaml" if path is None else Path(path).expanduser()
    try:
        words = read_yaml(source)
    except CcsError as error:
        raise CcsError(f"The concept map: {error} Name another with prune.concept.map=FILE.") from error
    if not isinstance(words, dict) or not words:
        raise CcsError(f"The concept map {source} must name concepts, each with its words, as in `animals: [animal, wildlife]`.")
    for name, phrases in words.items():
        texts = isinstance(name, str) and isinstance(phrases, list) and all(isinstance(phrase, str) for phrase in phrases)
        if not texts or name != name.casefold():
            raise CcsError(
                f"The concept map {source}: {name!r} must be a name in small letters with a list of words, as in "
                "`animals: [animal, wildlife]`."
            )
    return ConceptMap(words)

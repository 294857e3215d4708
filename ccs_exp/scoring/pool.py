"""The pool of descriptions that TEXTSPAN picks from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.files import likeness, read_lines, some
from ccs_exp.heads import DESCRIPTIONS_PER_HEAD
from ccs_exp.scoring.phrases import text_key
from ccs_exp.scoring.taxonomy import load_taxonomy
from ccs_exp.store import cache_dir

_ORIGINAL_POOL = (
    "https://raw.githubusercontent.com/yossigandelsman/clip_text_span/"
    "4c1ae4a493f070dedbb20f1deb9de45bcb118989/text_descriptions/image_descriptions_general.txt"
)
_ORIGINAL_SHA256 = "39c6bf3e788684d9e0e8afa902c13aae1ee8eafefdbab94ba923fd05b9038630"


@dataclass(frozen=True)
class Pool:
    """Distinct descriptions, in order; `sha256` of them joined by newlines identifies the pool. `notes`: what its reader must be told."""

    name: str
    descriptions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        return hashlib.sha256("\n".join(self.descriptions).encode()).hexdigest()


def taxonomy_pool(name: str = "taxonomy", parts: Sequence[str] | None = None) -> Pool:
    """The project's own descriptions, all or those of the given parts of the taxonomy."""
    return _pool(name, (description.text for description in load_taxonomy().pool(parts)), "the taxonomy")


def file_pool(path: str | Path) -> Pool:
    """One description a line, stripped, without repetitions. Raises `CcsError` if there are fewer than five."""
    path = Path(path).expanduser()
    return _pool(path.stem, read_lines(path), str(path))


def original_pool() -> Pool:
    """The 3,498 descriptions of Gandelsman et al. (ICLR 2024), fetched at a pinned commit, checked and kept."""
    import pooch

    try:
        path = pooch.retrieve(
            _ORIGINAL_POOL, f"sha256:{_ORIGINAL_SHA256}", "image_descriptions_general.txt", cache_dir() / "pools"
        )
    except (OSError, ValueError) as error:
        raise CcsError(
            f"The pool clip_text_span could not be fetched ({type(error).__name__}). Fetch image_descriptions_general.txt from "
            "github.com/yossigandelsman/clip_text_span (folder text_descriptions) and pass pool=file pool.path=FILE, or use our own "
            "descriptions with pool=taxonomy."
        ) from error
    return Pool("clip_text_span", file_pool(path).descriptions)


def _pool(name: str, lines: Iterable[str], origin: str) -> Pool:
    distinct: dict[str, str] = {}
    for line in lines:
        if line.strip():
            # spacing and case make no other description: the tokenizers fold both
            distinct.setdefault(text_key(line), line.strip())
    descriptions = tuple(distinct.values())
    if len(descriptions) < DESCRIPTIONS_PER_HEAD:
        raise CcsError(f"{origin} has {len(descriptions)} distinct descriptions; a pool needs at least {DESCRIPTIONS_PER_HEAD}.")
    alike: dict[str, list[str]] = {}
    for text in descriptions:
        alike.setdefault(likeness(text), []).append(text)
    same = [" and ".join(map(ascii, texts)) for texts in alike.values() if len(texts) > 1]
    notes = (f"Descriptions of {origin} that are probably the same, written otherwise: {some(same)}.",) if same else ()
    return Pool(name, descriptions, notes)

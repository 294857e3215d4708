"""Every file that people write, and what becomes of it when it comes as files come: `python tests/inlets.py` prints the table.

An inlet is a good file and what reads it. A kind spoils the file; the outcome is the reader's: "as meant", or what it says.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from ccs_exp.agreement.ratings import read_ratings
from ccs_exp.agreement.sheet import Sheet, read_key, read_sheet
from ccs_exp.config import schema, services
from ccs_exp.data.images.class_names import names_in_file
from ccs_exp.data.published import classes
from ccs_exp.data.published.tars import class_names_beside
from ccs_exp.data.videos.sets import captioned_folder, didemo, msrvtt, msvd
from ccs_exp.errors import CcsError
from ccs_exp.files import read_lines, read_yaml
from ccs_exp.llm import prices
from ccs_exp.llm.prompts import read_prompt
from ccs_exp.run_folder.columns import DESCRIPTION_COLUMNS, HEADS_COLUMNS
from ccs_exp.scoring.ccs import Thresholds
from ccs_exp.scoring.concepts import load_concepts
from ccs_exp.scoring.pool import file_pool
from ccs_exp.scoring.published import scores_from_csv
from ccs_exp.scoring.spans import read_spans
from ccs_exp.scoring.taxonomy import load_taxonomy, taxonomy_in

TEXT = "red star"  # stands in every good file, as a text or within one; what a kind puts in its place must come through
AS_MEANT = "as meant"


@dataclass(frozen=True)
class Inlet:
    """A good file: its `form` (csv, json, yaml, lines or text), its content, and what reads it. `column`: of the text, in a CSV."""

    form: str
    content: str
    read: Callable[[Path], Any]
    name: str = "file"
    column: str | None = None
    typed: str | None = None  # what another type takes the place of, where that is not the text


def frames(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / name / "1.png")
    return folder


def of_videos(read: Callable[..., Any], *names: str) -> Callable[[Path], Any]:
    return lambda path: read(str(frames(path.parent, *names)), "standard", *([2, "its files"] if read is not captioned_folder else []))


def beside(content: str, name: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """The same with another, good file beside it."""

    def with_other(path: Path) -> Any:
        path.with_name(name).write_text(content, encoding="utf-8")
        return read(path)

    return with_other


def patched(module: Any, name: str, read: Callable[[Path], Any], value: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def elsewhere(path: Path) -> Any:
        with patch.object(module, name, value(path)):
            return read(path)

    return elsewhere


def shard(path: Path) -> list[str]:
    (path.parent / "test").mkdir(exist_ok=True)
    (path.parent / "test" / "0.tar").write_bytes(b"")
    return class_names_beside([path.parent / "test" / "0.tar"])


def of_sheet(read: Callable[[Sheet, Path], Any]) -> Callable[[Path], Any]:
    """With the sheet that the file belongs to, whose digest is then put into it."""

    def with_sheet(path: Path) -> Any:
        path.with_name("study.csv").write_text("item,description,label\na1,a red star,colors\n")
        sheet = read_sheet(path.with_name("study.csv"))
        if path.exists():
            path.write_bytes(path.read_bytes().replace(b"DIGEST", sheet.digest.encode()))
        return read(sheet, path)

    return with_sheet


FIVE = [f"a {TEXT}", "a blue star", "a green star", "a grey star", "a pink star"]
HEADS_ROW = {"model": "tiny", "layer": "1", "head": "L1.H0", "label": "colors", "ccs": "5", "ccs_class": "high"}
HEADS_ROW |= dict(zip(DESCRIPTION_COLUMNS, FIVE, strict=True)) | {f"verdict_{n}": "aligned" for n in range(1, 6)}
CORPUS = f"VideoID,Start,End,Language,Description\nv,1,2,English,a {TEXT}\nw,1,2,English,a dog\n"

INLETS: Mapping[str, Inlet] = {
    "descriptions, CSV": Inlet(
        "csv", f"head,{','.join(DESCRIPTION_COLUMNS)},label\nL1.H0,{','.join(FIVE)},colors\n", read_spans, "d.csv", "description_1"
    ),
    "descriptions, JSON": Inlet(
        "json", json.dumps([{"head": "L1.H0", "top5": FIVE, "intel_label": "colors"}], indent=1), read_spans, "d.json"
    ),
    "scores, heads.csv": Inlet(
        "csv",
        f"{','.join(HEADS_COLUMNS)}\n{','.join(HEADS_ROW.get(column, '') for column in HEADS_COLUMNS)}\n",
        lambda path: scores_from_csv(path, Thresholds(5, 1)),
        "heads.csv",
        "description_1",
    ),
    "pool": Inlet("lines", "\n".join(FIVE) + "\n", file_pool, "pool.txt"),
    "captions of own videos": Inlet(
        "csv", f"video,caption\none,a {TEXT}\ntwo,a dog\n", of_videos(captioned_folder, "one", "two"), "captions.csv", "caption"
    ),
    "MSR-VTT, captions": Inlet(
        "csv", f"video_id,sentence\none,a {TEXT}\ntwo,a dog\n", of_videos(msrvtt, "one", "two"), "MSRVTT_JSFUSION_test.csv", "sentence"
    ),
    "MSVD, list": Inlet(
        "lines", f"v_1_2\n{TEXT}\n", beside(f"v_1_2 a dog\n{TEXT} is no name\n", "AllVideoDescriptions.txt", lambda path: read_lines(path)),
        "test_list.txt",
    ),
    "MSVD, descriptions": Inlet(
        "lines",
        f"v_1_2 a {TEXT}\nw_1_2 a dog\n",
        beside("v_1_2\nw_1_2\n", "test_list.txt", of_videos(msvd, "v_1_2", "w_1_2")),
        "AllVideoDescriptions.txt",
    ),
    "MSVD, corpus": Inlet(
        "csv", CORPUS, beside("v_1_2\nw_1_2\n", "test_list.txt", of_videos(msvd, "v_1_2", "w_1_2")), "video_corpus.csv", "Description"
    ),
    "DiDeMo, JSON": Inlet(
        "json",
        json.dumps([{"video": "one", "description": f"a {TEXT}"}, {"video": "two", "description": "a dog"}], indent=1),
        of_videos(didemo, "one", "two"),
        "test_data.json",
    ),
    "class names of a folder": Inlet(
        "csv", f"folder,name\na,{TEXT}\nb,dog\n", lambda path: names_in_file(path, ["a", "b"]), "n.csv", "name"
    ),
    "label table": Inlet(
        "csv",
        f"folder,name,also\na,{TEXT},\nb,dog,\n",
        patched(classes, "_TABLES", lambda path: classes.class_table(path.stem), lambda path: path.parent),
        "t.csv",
        "name",
    ),
    "classnames.txt of tars": Inlet("lines", f"{TEXT}\ndog\n", shard, "classnames.txt"),
    "templates": Inlet(
        "lines",
        f"a {TEXT} of {{}}\na dog of {{}}\n",
        patched(schema, "ASSETS", lambda path: schema.prompt_templates(path.stem), lambda path: path.parent.parent),
        "templates/mine.txt",
    ),
    "concept map": Inlet("yaml", f"animals:\n- {TEXT}\n- dog\n", lambda path: (load_concepts(path), read_yaml(path))[1], "concepts.yaml"),
    "taxonomy": Inlet(
        "yaml", f"stars:\n  descriptions:\n  - texts:\n    - {TEXT}\n    - dog\n", lambda path: load_taxonomy(path.parent).pool(), "t.yaml"
    ),
    "raters' sheet": Inlet(
        "csv",
        f"item,description,label\na1,a {TEXT},colors\na2,a dog,animals\n",
        lambda path: read_sheet(path).items,
        "s.csv",
        "description",
    ),
    "raters' key": Inlet(
        "csv",
        f"item,sheet,run,model,head,position,ccs,verdict\na1,DIGEST,{TEXT},tiny,L1.H0,1,5,aligned\n",
        of_sheet(lambda sheet, _: read_key(sheet)),
        "study.key.csv",
        "run",
    ),
    "ratings": Inlet(
        "csv", f"sheet,item,answer,time\nDIGEST,a1,yes,{TEXT}\n", of_sheet(read_ratings), "study.ratings.anna.csv", "time"
    ),
    "prompt": Inlet(
        "text",
        f"[system]\nJudge a {TEXT}.\n\n[user]\n$label $description\n",
        lambda path: [(role, place.template) for role, place in read_prompt(path, "", ("label", "description")).messages],
        "p.txt",
    ),
    "prices": Inlet(
        "yaml",
        f"as_of: {TEXT}\nbatch: 0.5\nmodels:\n  m: {{input: 1, output: 2.25}}\nservices: {{}}\n",
        patched(prices, "config_dir", lambda path: prices.find_price("m", "s"), lambda path: lambda: str(path.parent)),
        "prices.yaml",
        typed="2.25",
    ),
    "services": Inlet(
        "yaml",
        f"mine:\n  url: {TEXT}\n  url_variable: null\n  key_variable: K\n  needs_key: true\n  max_tokens: m\n"
        "  supports: {schema: true, temperature: true, seed: true, logprobs: true, batch: true}\n",
        lambda path: services.load_service(path.parent, "mine"),
        "services.yaml",
    ),
}


def replaced(by: str, encoding: str = "utf-8") -> Callable[[Inlet], tuple[bytes, str | None]]:
    return lambda inlet: (inlet.content.replace(TEXT, by).encode(encoding), by)


def doubled(inlet: Inlet) -> tuple[bytes, str | None] | None:
    """A column, or a key of JSON and YAML, that stands twice."""
    lines = inlet.content.strip().split("\n")
    if inlet.form == "csv":
        at = lines[0].split(",").index(inlet.column or "")
        return "".join(f"{line},{line.split(',')[at]}\n" for line in lines).encode(), None
    if inlet.form == "json":
        return inlet.content.replace("{\n", '{\n"head": "L9.H9", "head": "L9.H9",', 1).encode(), None
    if inlet.form == "yaml":
        return (inlet.content + inlet.content).encode(), None
    return None


def another(value: Any) -> Callable[[Inlet], tuple[bytes, str | None] | None]:
    """Another type in the place of the text."""

    def spoil(inlet: Inlet) -> tuple[bytes, str | None] | None:
        if inlet.form not in ("json", "yaml") or (value == 3 and inlet.typed):
            return None
        place = inlet.typed or (f'"a {TEXT}"' if inlet.form == "json" else TEXT)
        return inlet.content.replace(place, json.dumps(value)).encode(), None

    return spoil


def with_quotes(inlet: Inlet) -> tuple[bytes, str | None] | None:
    """A cell that begins with a quotation mark and does not end with one."""
    return (re.sub(f"(a )?{TEXT}", '"red star', inlet.content).encode(), None) if inlet.form == "csv" else None


# what to write, and what then stands where TEXT stood (None: it must be refused); None: the kind has no meaning for that form
KINDS: Mapping[str, Callable[[Inlet], tuple[bytes, str | None] | None]] = {
    "as it is": lambda inlet: (inlet.content.encode(), TEXT),
    "byte order mark": lambda inlet: (b"\xef\xbb\xbf" + inlet.content.encode(), TEXT),
    "CRLF": lambda inlet: (inlet.content.replace("\n", "\r\n").encode(), TEXT),
    "CR": lambda inlet: (inlet.content.replace("\n", "\r").encode(), TEXT),
    "U+2028": replaced("red\u2028star"),
    "form feed": replaced("red\x0cstar"),
    "U+0085": replaced("red\x85star"),
    "latin-1": lambda inlet: (inlet.content.replace(TEXT, "réd star").encode("latin-1"), None),
    "UTF-16": lambda inlet: (inlet.content.encode("utf-16"), None),
    "UTF-16, no mark": lambda inlet: (inlet.content.encode("utf-16-le"), None),
    "unquoted comma": lambda inlet: (
        inlet.content.replace(TEXT, "red, shiny star").encode(),
        None if inlet.form == "csv" else "red, shiny star",
    ),
    "unclosed quote": with_quotes,
    "doubled column or key": doubled,
    "a number": another(3),
    "true": another(True),
    "null": another(None),
    "a list": another([["x"]]),
    "an object": another({"x": "y"}),
    "no file": lambda inlet: (b"", None),
}


# signs that the form itself does not allow within a text
FORBIDDEN = (("yaml", "U+2028"), ("yaml", "form feed"), ("yaml", "U+0085"), ("json", "form feed"))


def folded(value: Any) -> str:
    """What was read, as text in which all white space is one space (captions are sent so); places on disk and digests differ."""
    text = repr(value)
    for escape in ("\\u2028", "\\x0c", "\\x85", "\u2028", "\x0c", "\x85"):
        text = text.replace(escape, " ")
    return " ".join(text.split())


def outcome(inlet: Inlet, kind: str) -> str | None:
    """What becomes of a spoiled file: AS_MEANT, the first words of the refusal, or a word in capitals for a fault; None: no such case."""
    spoiled = KINDS[kind](inlet)
    if spoiled is None:
        return None
    content, stands = spoiled
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "x", inlet.name)
        path.parent.mkdir(parents=True)
        if kind != "no file":
            path.write_bytes(content)
        try:
            found = folded(inlet.read(path)).replace(str(path.parent), "")
        except CcsError as error:
            said = str(error).replace(f"{path.parent}/", "").replace(str(path.parent), "DIR")
            if stands is not None and (inlet.form, kind) not in FORBIDDEN:
                return f"REFUSED WITHOUT REASON: {said}"
            return said if path.name in said or (kind == "no file" and "DIR" in said) else f"NAMES NO FILE: {said}"
        except Exception as error:
            return f"TRACEBACK: {type(error).__name__}: {error}"
        if stands is None:
            return f"IN SILENCE: {found}"
        path.write_bytes(inlet.content.encode())
        load_concepts.cache_clear(), taxonomy_in.cache_clear(), services._table.cache_clear()
        good = folded(inlet.read(path)).replace(str(path.parent), "")
        return AS_MEANT if found == good.replace(TEXT, folded(stands)[1:-1]) else f"READ OTHERWISE: {found}"


def main() -> None:
    for name, inlet in INLETS.items():
        print(f"\n{name} ({inlet.form})")
        for kind in KINDS:
            load_concepts.cache_clear(), taxonomy_in.cache_clear(), services._table.cache_clear()
            said = outcome(inlet, kind)
            if said is not None:
                print(f"  {kind:22} {said}")


if __name__ == "__main__":
    sys.exit(main())

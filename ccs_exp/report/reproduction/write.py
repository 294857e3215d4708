"""What a reproduction leaves: one page, and the tables as files."""

from __future__ import annotations

from pathlib import Path

from ccs_exp.files import write_whole
from ccs_exp.report.reproduction.arrange import Reproduction
from ccs_exp.report.reproduction.claims.words import claims_csv
from ccs_exp.report.reproduction.evidence import evidence_csv
from ccs_exp.report.reproduction.export import cells_csv
from ccs_exp.report.reproduction.page import render
from ccs_exp.report.reproduction.typeset import agreement_frame, at_k_frame, examples_frame, frame, latex, markdown

FILES = ("reproduction.html", "cells.csv", "tables.md", "tables.tex", "claims.csv")


def write_reproduction(found: Reproduction, output: str | Path) -> Path:
    """Write `FILES` into the folder `output`, and ``evidence.csv`` where runs have causal maps; the page's path."""
    folder = Path(output)
    titled = [(f"Table 1: example heads ({scores})", examples_frame(heads)) for scores, heads in found.examples.items()]
    titled += [("Table 2: agreement of the judge with a person", agreement_frame(found.agreement))]
    titled += [(f"Table 3: CCS@K{f' ({scores})' if scores else ''}", at_k_frame(rows)) for scores, rows in found.at_k.items()]
    titled += [(f"{table.title}: {table.what} ({table.edition})", frame(table)) for table in found.tables]
    cells = cells_csv(found.tables, found.at_k, found.agreement, found.paper.own_protocol)
    contents = (render(found).encode(), cells, markdown(titled).encode(), latex(titled).encode(), claims_csv(found.answers))
    for name, content in zip(FILES, contents, strict=True):
        write_whole(folder / name, content, choose="--output DIR")
    if found.evidence.models:
        write_whole(folder / "evidence.csv", evidence_csv(found.evidence), choose="--output DIR")
    return folder / FILES[0]

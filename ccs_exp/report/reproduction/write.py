"""What a reproduction leaves: one page, and the tables as files, of which ``cells.csv`` has one row for each cell of all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from ccs_exp.files import csv_bytes, write_whole
from ccs_exp.heads import ORIGINAL
from ccs_exp.report.reproduction.arrange import Reproduction
from ccs_exp.report.reproduction.claims.words import claims_csv
from ccs_exp.report.reproduction.evidence import evidence_csv
from ccs_exp.report.reproduction.heads import STATISTICS, Agreement, AtK
from ccs_exp.report.reproduction.page import render
from ccs_exp.report.reproduction.tables import Table
from ccs_exp.report.reproduction.typeset import agreement_frame, at_k_frame, examples_frame, frame, latex, markdown
from ccs_exp.run_folder.wording import plain

FILES = ("reproduction.html", "cells.csv", "tables.md", "tables.tex", "claims.csv")
CSV_COLUMNS = (
    *("table", "scores", "protocol", "model", "dataset", "condition", "metric", "num_pruned", "draws"),
    *("ours", "sd", "interval_low", "interval_high", "delta", "delta_low", "delta_high"),
    *("lost", "gained", "p_original", "p_matched", "p_matched_holm", "matched_sets", "matched_delta"),
    *("paper", "paper_delta", "paper_protocol", "reference", "difference", "run"),
)


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


def cells_csv(
    tables: Iterable[Table], at_k: dict[str, list[AtK]], agreement: Iterable[Agreement], own_protocol: Collection[str]
) -> bytes:
    """One row for each cell of each table. Fractions (ranks in items); what is missing is empty."""
    rows = [*_agreement_rows(agreement), *_at_k_rows(at_k), *(row for table in tables for row in _rows(table, own_protocol))]
    return csv_bytes(rows, CSV_COLUMNS)


def _rows(table: Table, own_protocol: Collection[str]) -> Iterator[dict[str, Any]]:
    for model, entry in table.entries:
        interval, delta, result = entry.interval, entry.delta_interval, entry.condition_result
        yield dict.fromkeys(CSV_COLUMNS) | {
            "table": table.name,
            "scores": table.edition.scores,
            "protocol": table.edition.protocol,
            "model": plain(model),
            "dataset": plain(entry.dataset),
            "condition": plain(entry.condition),
            "metric": entry.metric,
            "num_pruned": entry.num_pruned,
            "draws": entry.draws or None,
            "ours": entry.ours,
            "sd": entry.sd,
            "interval_low": interval and interval.low,
            "interval_high": interval and interval.high,
            "delta": None if entry.condition == ORIGINAL else entry.delta,
            "delta_low": delta and delta.low,
            "delta_high": delta and delta.high,
            **{name: getattr(result, name) if result else None for name in ("lost", "gained", "p_original", "p_matched", "matched_sets")},
            "p_matched_holm": entry.adjusted,
            "matched_delta": entry.matched.deltas.get(entry.metric) if entry.matched else None,
            "paper": entry.paper,
            "paper_delta": entry.paper_delta,
            "paper_protocol": None if entry.paper is None else "paper" if entry.dataset in own_protocol else "standard",
            "reference": entry.reference,
            "difference": entry.difference,
            "run": " ".join(plain(run.path) for run in entry.runs) or None,
        }


def _at_k_rows(tables: dict[str, list[AtK]]) -> Iterator[dict[str, Any]]:
    for scores, rows in tables.items():
        for row in rows:
            for k, (ours, of_all, paper, difference) in enumerate(zip(row.ours, row.of_all, row.paper, row.differences, strict=True)):
                yield dict.fromkeys(CSV_COLUMNS) | {
                    "table": "table3",
                    "scores": scores or None,
                    "model": plain(row.model),
                    "condition": f"CCS@{k}",
                    "metric": "ccs_at_k",
                    "ours": ours,
                    "paper": paper,
                    "difference": difference,
                    "run": plain(row.run.path) if row.run else None,
                }
                if row.heads < row.of:
                    yield dict.fromkeys(CSV_COLUMNS) | {
                        **{"table": "table3", "scores": scores or None, "model": plain(row.model), "condition": f"CCS@{k} of all heads"},
                        **{"metric": "ccs_at_k_of_all", "ours": of_all, "run": plain(row.run.path) if row.run else None},
                    }


def _agreement_rows(rows: Iterable[Agreement]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for name in STATISTICS:
            ours, paper = ((values or {}).get(name) for values in (row.ours, row.paper))
            yield dict.fromkeys(CSV_COLUMNS) | {
                "table": "table2",
                "model": plain(row.model),
                "condition": name,
                "metric": "agreement",
                "ours": ours,
                "paper": paper,
                "difference": None if ours is None or paper is None else ours - paper,
                "run": plain(row.path) if row.path else None,
            }

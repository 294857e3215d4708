"""The tables as Markdown and LaTeX, in the paper's arrangement (written by pandas), and numbers and names as the report words them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas
from pandas import DataFrame

from ccs_exp.heads import ORIGINAL
from ccs_exp.report.reproduction.heads import COLUMNS, STATISTICS, Agreement, AtK, Example
from ccs_exp.report.reproduction.tables import TITLES, Entry, Table
from ccs_exp.run_folder.wording import is_rank, plain
from ccs_exp.statistics.intervals import Interval

_MISSING = "–"
_LATEX = {"–": "--", "±": r"$\pm$", "≤": r"$\leq$"}  # pdfLaTeX does not know these letters
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def frame(table: Table) -> DataFrame:
    """A table as text: a row for each model and source (ours, paper, open_clip), columns data set and condition."""
    columns = pandas.MultiIndex.from_tuples(
        [(plain(table.dataset_titles.get(dataset, dataset)), condition_title(condition)) for dataset, condition in table.columns]
    )
    index, cells = [], []
    for _, title, entries in table.rows:
        for source, text in (("ours", _ours), ("paper", _paper), ("open_clip", _reference)):
            texts = [text(entry) for entry in entries]
            if source == "ours" or any(value != _MISSING for value in texts):
                index.append((plain(title), source))
                cells.append(texts)
    return pandas.DataFrame(cells, pandas.MultiIndex.from_tuples(index, names=["Model", ""]), columns)


def at_k_frame(rows: list[AtK]) -> DataFrame:
    """Table 3 as text."""
    index, cells = [], []
    for row in rows:
        known = row.known
        described = [known.size, str(known.patch), known.data] if known else [_MISSING] * 3
        unjudged = [(f"ours, of all {row.of} heads", row.of_all)] if row.heads < row.of else []
        for source, values in (("ours", row.ours), *unjudged, ("paper", row.paper)):
            index.append((plain(row.title), *described, source))
            cells.append([_MISSING if value is None else f"{value:.3f}" for value in values])
    names = ["Model", "Size", "Patch", "Pre-training data", ""]
    return pandas.DataFrame(cells, pandas.MultiIndex.from_tuples(index, names=names), [f"CCS@{k}" for k in range(6)])


def markdown(titled: Iterable[tuple[str, DataFrame]]) -> str:
    """Titles and tables as Markdown, in which names show as they are."""
    parts = []
    for title, table in titled:
        flat = table.reset_index()
        flat.columns = [_escaped(" ".join(filter(None, map(str, c if isinstance(c, tuple) else (c,))))) for c in flat.columns]
        text = flat.map(lambda cell: _escaped(str(cell))).to_markdown(index=False, disable_numparse=True)
        parts.append(f"## {_escaped(title)}\n\n{text}\n")
    return "\n".join(parts)


def latex(titled: Iterable[tuple[str, DataFrame]]) -> str:
    """The tables as LaTeX (packages booktabs and multirow), one `table` each; special characters escaped."""
    parts = ["% Written by ccs_exp. Needs \\usepackage{booktabs,multirow}; names in other scripts need XeLaTeX or LuaLaTeX.\n"]
    for title, table in titled:
        caption = _latex_text(title)
        text = table.to_latex(escape=True, caption=caption, multicolumn_format="c", column_format=_column_format(table))
        for sign, command in _LATEX.items():
            text = text.replace(sign, command)
        parts.append(text)
    return "\n".join(parts)


def examples_frame(examples: Iterable[Example]) -> DataFrame:
    """Table 1 as text: a column for each class; for each head its name and label, then its descriptions."""
    columns: dict[str, list[str]] = {f"{title} ({rule})": [] for title, rule in COLUMNS.values()}
    for example in examples:
        model = f", {plain(example.model)}" if example.model else ""
        columns[f"{example.title} ({example.rule})"] += [
            f'{example.head} ("{plain(example.label)}"){model}',
            *(plain(text) for text, _ in example.described),
        ]
    longest = max(map(len, columns.values()))
    padded = {title: texts + [""] * (longest - len(texts)) for title, texts in columns.items()}
    return pandas.DataFrame(padded).set_index(next(iter(padded)))


def agreement_frame(rows: Iterable[Agreement]) -> DataFrame:
    """Table 2 as text."""
    index, cells = [], []
    for row in rows:
        for source, values in (("ours", row.ours), ("paper", row.paper)):
            index.append((plain(row.title), source))
            numbers = [(values or {}).get(name) for name in STATISTICS]
            cells.append([_MISSING if value is None else f"{value:.3f}" for value in numbers])
    return pandas.DataFrame(cells, pandas.MultiIndex.from_tuples(index, names=["Model", ""]), ["Kappa", "Spearman", "Kendall"])


def condition_title(condition: str) -> str:
    """What people read for a condition.

    >>> condition_title("high_ccs"), condition_title("concept/locations")
    ('High CCS', 'locations')
    """
    return TITLES.get(condition, plain(condition.removeprefix("concept/")))


def value_text(metric: str, value: float | None, signed: bool = False) -> str:
    """A value or difference in per cent (ranks: items), two decimals."""
    if value is None:
        return _MISSING
    text = f"{value if is_rank(metric) else 100 * value:{'+' if signed else ''}.2f}"
    return "0.00" if float(text) == 0 else text


def ends_text(metric: str, interval: Interval, signed: bool = True) -> str:
    """An interval's ends, as `value_text` has them."""
    return " to ".join(value_text(metric, end, signed) for end in interval)


def _ours(entry: Entry) -> str:
    if entry.ours is None:
        return "no such head" if entry.empty else _MISSING
    text = value_text(entry.metric, entry.ours)
    if entry.sd is not None:
        text += f" ± {value_text(entry.metric, entry.sd)}"
    if entry.condition != ORIGINAL and entry.delta is not None:
        ends = f" [{ends_text(entry.metric, entry.delta_interval)}]" if entry.delta_interval else ""
        text += f" ({value_text(entry.metric, entry.delta, signed=True)}{'*' if entry.starred else ''}{ends})"
    return text


def _paper(entry: Entry) -> str:
    if entry.paper is None:
        return _MISSING
    delta = "" if entry.paper_delta is None else f" ({value_text('top1', entry.paper_delta, signed=True)})"
    return value_text("top1", entry.paper) + delta + (" [protocol=paper]" if entry.other_protocol else "")


def _reference(entry: Entry) -> str:
    return value_text("top1", entry.reference)


def _column_format(table: DataFrame) -> str:
    return "l" * table.index.nlevels + "r" * len(table.columns)


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _latex_text(text: str) -> str:
    # pandas escapes cells and headers, but not captions
    one = pandas.DataFrame([[text]]).to_latex(escape=True, header=False, index=False, column_format="l")
    return one.split("\\toprule\n", 1)[1].split(" \\\\\n", 1)[0]

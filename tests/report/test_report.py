from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from example_run import head_rows, write_retrieval, write_run
from painting import painted
from rich.console import Console
from scipy.stats import binomtest

from ccs_exp.errors import CcsError
from ccs_exp.report import show_run, write_report
from ccs_exp.report.contents import gather
from ccs_exp.report.page import _scale

HOSTILE = [
    "<script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "{{7*7}}",
    "</style><h1>owned</h1>",
    "' onmouseover='x",
    "&lt;b&gt; $x^2$",
]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; Debian's package is called so")


class Page(HTMLParser):
    """Elements with their attributes, and the rows of the table of heads with their text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.title = ""
        self._open: list[str] = []
        self._row: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._open.append(tag)
        if tag == "tr" and "data-head" in attributes:
            self._row = attributes["id"]
            self.rows[self._row] = ""
            if "hidden" in attributes:
                self.hidden.add(self._row)

    def handle_endtag(self, tag):
        if tag == "tr":
            self._row = None
        if tag in self._open:
            while self._open.pop() != tag:
                continue

    def handle_data(self, data):
        if self._open[-1:] == ["title"]:
            self.title += data
        if self._row is not None:
            self.rows[self._row] += data

    def shown(self) -> list[str]:
        return [row for row in self.rows if row not in self.hidden]


def hostile_rows() -> list[dict]:
    rows = head_rows()
    for row, text in zip(rows, HOSTILE, strict=False):
        row["label"] = row["description_2"] = text
    return rows


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[..., Page]]:
    """What a page has become in a browser, one for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()

        def opened(path: Path, fragment: str = "") -> Page:
            page.goto("about:blank")  # of one address another fragment would load nothing
            page.goto(f"{path.as_uri()}{fragment}")
            return Page(page.content())

        yield opened
        browser.close()


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("hostile")
    write_run(path, hostile_rows(), warnings=["<b>The model has random weights.</b>"], skipped=["<i>a</i>.png"])
    with painted():
        write_report(path)
    return path


def test_the_page_needs_nothing_else(hostile_run):
    text = (hostile_run / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not re.search(r"(src|href)\s*=\s*[\"']?\s*(https?:|//|data:|javascript:)", text, re.IGNORECASE)
    assert not [tag for tag, attributes in page.tags if tag in ("link", "img", "iframe") or "src" in attributes]
    assert "@import" not in text and "url(" not in text
    (policy,) = [item["content"] for tag, item in page.tags if item.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "*" not in policy


def test_without_script_everything_is_shown_and_the_filters_are_not(hostile_run):
    page = Page((hostile_run / "report.html").read_text(encoding="utf-8"))
    assert len(page.rows) == 64 and not page.hidden
    (form,) = [attributes for tag, attributes in page.tags if tag == "form"]
    assert "hidden" in form


def test_hostile_text_is_text(hostile_run):
    page = Page((hostile_run / "report.html").read_text(encoding="utf-8"))
    assert [tag for tag, _ in page.tags].count("script") == 1
    for row, text in zip(page.rows.values(), HOSTILE, strict=False):
        assert row.count(text) == 2
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]


@needs_chromium
def test_in_a_browser_hostile_text_does_nothing_and_the_page_s_script_runs(hostile_run, opened):
    page = opened(hostile_run / "report.html")
    assert page.title == "tiny · scenes_shape – concept consistency"
    assert ("html", {"lang": "en", "class": "js"}) in page.tags
    assert "img" not in [tag for tag, _ in page.tags]
    for row, text in zip(page.rows.values(), HOSTILE, strict=False):
        assert row.count(text) == 2
    assert "hidden" not in next(attributes for tag, attributes in page.tags if tag == "form")


@needs_chromium
@pytest.mark.parametrize(
    ("fragment", "fits"),
    [
        ("#class=high", lambda row: row["ccs_class"] == "high"),
        ("#layer=9&ccs=3", lambda row: row["layer"] == 9 and row["ccs"] == 3),
        ("#q=PLACES+aligned", None),
        ("#q=onmouseover", lambda row: row["label"] == HOSTILE[5]),
        ("#q=nothing+has+this", lambda row: False),
    ],
)
def test_filters_show_just_the_heads_that_fit(hostile_run, opened, fragment, fits):
    page = opened(hostile_run / "report.html", fragment)
    if fits is None:  # words are looked for in what the row says

        def fits(row):
            return row["label"] == "places" and "aligned" in page.rows[row["head"]]

    assert page.shown() == [row["head"] for row in hostile_rows() if fits(row)]


@needs_chromium
def test_sorting_by_ccs_and_a_head_without_ccs_comes_last(opened, tmp_path):
    rows = head_rows(unjudged=("L9.H3",))
    write_run(tmp_path / "run", rows)
    write_report(tmp_path / "run")
    down = list(opened(tmp_path / "run" / "report.html", "#sort=-ccs").rows)
    ccs = {row["head"]: row["ccs"] for row in rows}
    assert [ccs[head] for head in down] == [*sorted((value for value in ccs.values() if value is not None), reverse=True), None]
    up = list(opened(tmp_path / "run" / "report.html", "#sort=ccs").rows)
    assert up[-1] == "L9.H3" and ccs[up[0]] == min(value for value in ccs.values() if value is not None)


@needs_chromium
def test_the_address_of_a_head_is_no_filter(hostile_run, opened):
    assert len(opened(hostile_run / "report.html", "#L9.H3").shown()) == 64


def test_the_page_says_what_the_rows_say(tmp_path):
    folder = write_run(tmp_path, warnings=["The model has random weights."], skipped=["broken.png"])
    write_report(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    accuracy = folder.read_accuracy()
    for row in accuracy[accuracy["metric"] == "top1"].to_dict("records"):
        assert row["condition"] in text and f">{100 * row['value']:.1f}</td>" in text
    for fraction in folder.read_ccs_at_k()["fraction"]:
        assert f">{100 * fraction:.1f}%</text>" in text
    assert "The model has random weights." in text and "broken.png" in text and "random, mean of 3" in text


def test_the_same_run_gives_the_same_files(tmp_path):
    contents = []
    for name in "ab":
        write_run(tmp_path / name)
        with painted():
            write_report(tmp_path / name)
        files = sorted((tmp_path / name).rglob("*"))
        contents.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files if path.is_file()})
    assert contents[0] == contents[1]
    assert {path.name for path in contents[0] if path.suffix == ".png"} == {
        *("accuracy.png", "ccs_at_k.png", "delta.png", "heads_map.png")
    }


def test_intervals_are_wilson_s(tmp_path):
    folder = write_run(tmp_path)
    (original,) = [item for item in gather(tmp_path).conditions if item.name == "original"]
    correct = int(folder.read_predictions().query("condition == 'original'")["correct"].sum())
    z, n, p = 1.959963984540054, 500, correct / 500
    centre, half = (p + z * z / (2 * n)) / (1 + z * z / n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    assert original.intervals["top1"] == pytest.approx((centre - half, centre + half))
    assert original.intervals["top1"] == pytest.approx(tuple(binomtest(correct, n).proportion_ci(0.95, method="wilson")))


def published_rows() -> list[dict]:
    nothing = dict.fromkeys([f"{kind}_{number}" for kind in ("description", "verdict") for number in range(1, 6)])
    return [
        row | nothing | {"label": None, "explained_variance": None, "ccs": 5 if row["ccs_class"] == "high" else None}
        for row in head_rows()
    ]


@pytest.mark.parametrize("rows", [published_rows(), head_rows(unjudged=tuple(row["head"] for row in head_rows()))])
def test_a_run_without_judged_heads_or_data_set_has_a_report(tmp_path, rows):
    write_run(tmp_path, rows, dataset=None)
    write_report(tmp_path)
    assert not (tmp_path / "ccs_at_k.csv").exists()
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["heads_map.png"]
    assert "What pruning costs" not in (tmp_path / "report.html").read_text()
    show_run(tmp_path, Console(file=io.StringIO()))


def test_retrieval_has_a_report(tmp_path):
    folder = write_run(tmp_path)
    write_retrieval(folder, {"original": (0, [1, 2] * 10), "high_ccs": (4, [1, 9] * 10)})
    write_report(tmp_path)
    contents = gather(tmp_path)
    assert contents.primary == "t2v_R@1" and contents.conditions[0].values["t2v_R@1"] == 0.5
    text = (tmp_path / "report.html").read_text()
    assert "t2v median rank" in text and "bootstrap over videos" in text


def test_each_head_alone_is_shown_apart(tmp_path):
    rows = head_rows()
    conditions = {"original": (0, 0.9)} | {f"head/{row['head']}": (1, 0.8) for row in rows}
    folder = write_run(tmp_path, rows, conditions)
    write_report(tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Each head alone" in text and len(gather(tmp_path).single_heads) == 64
    output = io.StringIO()
    show_run(tmp_path, Console(file=output, width=100))
    lines = output.getvalue().splitlines()
    assert len(lines) < 40
    deltas = folder.read_accuracy().query("metric == 'top1' and condition == 'head/L8.H0'")["delta"]
    assert f"L8.H0 {100 * deltas.item():>5.1f}".replace("-", "−") in re.sub(r" +", " ", output.getvalue())


def test_the_terminal_shows_the_main_numbers_and_obeys_no_markup(tmp_path):
    warning = "[red]careful[/red] \x1b[31mand\x1b[0m"
    folder = write_run(tmp_path, warnings=[warning], unjudged=2)
    output = io.StringIO()
    show_run(tmp_path, Console(file=output, width=120))
    text = output.getvalue()
    for k, fraction in folder.read_ccs_at_k().to_numpy().tolist():
        assert re.search(rf"CCS@{int(k)}\s+{100 * fraction:.1f}%", text)
    for row in folder.read_accuracy().query("metric == 'top1' and condition != 'original'").to_dict("records"):
        delta = f"{100 * row['delta']:+.1f}".replace("-", "−")
        line = next(line for line in text.splitlines() if line.startswith(row["condition"]))
        assert f"{100 * row['value']:.1f}" in line and delta in line
    assert "[red]careful[/red]" in text and "\x1b" not in text
    assert "unjudged: 2" in text and str(tmp_path) in text.replace("\n", "")


def test_a_folder_without_a_finished_run_is_an_error(tmp_path):
    with pytest.raises(CcsError, match="no job finished"):
        write_report(tmp_path)


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.91), (0.0, 1.0), (0.8312, 0.8313), (0.1, 0.1), (3.0, 250.0)])
def test_scales_hold_all_values_and_few_ticks(low, high):
    first, last, ticks = _scale(low, high)
    assert first <= low + 1e-9 and last >= high - 1e-9 and 2 <= len(ticks) <= 8
    assert ticks[0] == first and ticks[-1] == last

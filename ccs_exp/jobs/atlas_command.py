"""``ccs-exp atlas RUN``: pages of a run, of two side by side, or an app for questions of one's own."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ccs_exp.errors import CcsError
from ccs_exp.run_folder.wording import plain

_AT_EACH_END_BESIDE = 4


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit status 1 after an error."""
    parser = argparse.ArgumentParser(
        prog="ccs-exp atlas",
        description="Look at what every head of a run sees: pages into its folder, two runs side by side, or an app on this machine.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="the folder of a finished run with atlas=true; two: side by side")
    parser.add_argument("--output", metavar="DIR", type=Path, help="where the pages go; by default `atlas` in the first RUN")
    thumbnails = "whether pages show the probe's images (by default as the job was told)"
    parser.add_argument("--thumbnails", action=argparse.BooleanOptionalAction, help=thumbnails)
    parser.add_argument("--serve", action="store_true", help="an app for questions of your own, in a browser (needs 'ccs_exp[atlas]')")
    parser.add_argument("--port", type=int, default=0, help="of the app; by default one that is free")
    parser.add_argument("--host", default="127.0.0.1", help="of the app; by default only this machine can reach it")
    asked = parser.parse_args(arguments)
    if len(asked.runs) > (1 if asked.serve else 2):
        parser.error("name one run, or two to see them side by side")
    try:
        _answer(asked)
    except (CcsError, OSError) as error:
        sys.exit(f"Error: {plain(error)}")


def _answer(asked: argparse.Namespace) -> None:
    from ccs_exp.atlas.pages import make_atlas, write_pages
    from ccs_exp.jobs.open_run import open_run

    runs = [open_run(Path(run), asked.thumbnails) for run in asked.runs]
    folder = asked.output or runs[0].path / "atlas"
    if asked.serve:
        from ccs_exp.jobs.atlas_app import serve_run

        return serve_run(runs[0], asked.host, asked.port)
    if len(runs) == 1:
        page, *_ = write_pages(make_atlas(runs[0]), folder)
    else:
        from ccs_exp.atlas.beside import write_beside

        page = folder / f"beside-{hashlib.sha256(str(runs[1].path.resolve()).encode()).hexdigest()[:8]}.html"
        one, other = (make_atlas(run, _AT_EACH_END_BESIDE) for run in runs)
        write_beside(one, other, same_model=runs[0].weights == runs[1].weights, path=page)
    print(f"Atlas: {plain(page)} (open it in a browser)")

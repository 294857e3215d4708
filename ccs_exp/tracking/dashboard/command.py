"""``ccs-exp dashboard create | upload``: one W&B view of a project, and runs rebuilt there from their folders."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from ccs_exp.errors import CcsError
from ccs_exp.run_folder.wording import plain
from ccs_exp.tracking.dashboard.view import CONDITIONS
from ccs_exp.tracking.keys import CELL


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit status 1 after an error, or where a run was not recorded as asked."""
    asked = _parser().parse_args(arguments)
    try:
        asked.command(asked)
    except (CcsError, OSError) as error:
        sys.exit(plain(f"Error: {error}"))


def _create(asked: argparse.Namespace) -> None:
    from ccs_exp.tracking.dashboard.view import default_entity, definition, save, workspace

    entity = asked.entity or ("" if asked.dry_run else default_entity())
    only = {what: getattr(asked, what) for what in CELL}
    view = workspace(asked.project, entity, asked.name, asked.conditions, only)
    if asked.dry_run:
        print(json.dumps(definition(view), indent=1, ensure_ascii=False))
    else:
        print(save(view))


def _upload(asked: argparse.Namespace) -> None:
    from ccs_exp.tracking.dashboard.upload import upload
    from ccs_exp.tracking.tracker import WandbTracker

    done = upload(asked.directories, WandbTracker("offline" if asked.offline else "online", asked.project, asked.entity))
    for path in done.older:
        print(plain(f"Left out, its cell was run again later: {path}"))
    for path, reason in done.failed:
        print(plain(f"Failed: {path}: {reason}"), file=sys.stderr)
    print(f"{len(done.recorded)} runs recorded {'offline' if asked.offline else 'online'}, {len(done.failed)} failed.")
    if done.failed:
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ccs-exp dashboard", description="Weights & Biases beyond single runs.")
    commands = parser.add_subparsers(required=True, metavar="create | upload")
    create = commands.add_parser("create", help="save a view of a project and print its address")
    create.add_argument("--name", default="CCS", help="of the view (CCS)")
    create.add_argument(
        "--conditions", nargs="+", default=list(CONDITIONS), metavar="C", help=f"to show ({' '.join(CONDITIONS)})"
    )
    for what in CELL:
        create.add_argument(f"--{what}", nargs="+", default=[], metavar="NAME", help=f"show runs of these alone (cell.{what})")
    create.add_argument("--dry-run", action="store_true", help="print the view's definition as JSON; nothing is sent")
    create.set_defaults(command=_create)
    send = commands.add_parser("upload", help="rebuild runs in W&B from their folders; of each cell the newest run")
    send.add_argument("directories", nargs="+", metavar="DIR", help="folders with runs anywhere below them, as outputs multirun")
    send.add_argument("--offline", action="store_true", help="write offline records into the run folders instead")
    send.set_defaults(command=_upload)
    create.add_argument("--project", default="ccs_exp", help="W&B's project (ccs_exp)")
    send.add_argument("--project", help="W&B's project; by default each run's own")
    for command in (create, send):
        command.add_argument("--entity", help="user or team; by default the login's own")
    return parser

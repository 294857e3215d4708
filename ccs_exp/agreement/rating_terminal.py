"""Rating in the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from ccs_exp.agreement.ratings import Ratings
from ccs_exp.run_folder.wording import plain

KEYS = {"y": True, "yes": True, "n": False, "no": False}


def rate(ratings: Ratings, console: Console, read: Callable[[], str] = input) -> None:
    """Ask until every item is answered, or until ``q`` or the end of the input. Every answer is on disk before the next question."""
    total = len(ratings.sheet.items)
    console.print(Text("Does the description align with the label?  y yes · n no · u undo the latest · q quit", style="dim"))
    while (item := ratings.current) is not None:
        console.print()
        console.print(Text(f"{len(ratings.answers) + 1} of {total}", style="dim"))
        console.print(Text.assemble("description  ", (plain(item.description), "bold")), soft_wrap=True)
        console.print(Text.assemble("label        ", (plain(item.label), "bold")), soft_wrap=True)
        console.print("y/n/u/q > ", end="", highlight=False)
        try:
            key = read().strip().casefold()
        except EOFError:
            console.print()
            break
        except UnicodeDecodeError:
            key = ""
        if key in ("q", "quit"):
            break
        if key in KEYS:
            ratings.answer(item.name, KEYS[key])
        elif key in ("u", "undo"):
            if ratings.undo() is None:
                console.print("There is no answer to undo.")
        else:
            console.print("Type y, n, u or q, then Enter.")
    print_state(ratings, console)


def print_state(ratings: Ratings, console: Console) -> None:
    """How far the rater is."""
    total, done = len(ratings.sheet.items), len(ratings.answers)
    rest = "All are answered." if done == total else "The same command goes on from here."
    console.print(Text(f"{done} of {total} answered, in {plain(ratings.path)}. {rest}"), soft_wrap=True)

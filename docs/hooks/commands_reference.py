"""Fills ``<!-- commands -->`` in a page: the ``--help`` of every command beside jobs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NoReturn
from unittest.mock import patch

from ccs_exp import __main__ as command_line

MARK = "<!-- commands -->"


class _Found(Exception):
    def __init__(self, parser: argparse.ArgumentParser):
        self.parser = parser


def on_page_markdown(markdown: str, **_: Any) -> str:
    return markdown.replace(MARK, page()) if MARK in markdown else markdown


def page() -> str:
    with patch.dict(os.environ, COLUMNS="100", NO_COLOR="1"):
        return "\n\n".join(f"## {name}\n\n{_helps(parser(name))}" for name in command_line._COMMANDS)


def parser(name: str) -> argparse.ArgumentParser:
    """The parser that a command's ``main()`` makes."""

    def stop(found: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise _Found(found)

    with patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            import_module(command_line._COMMANDS[name]).main([])
        except _Found as found:
            return found.parser
    raise AssertionError(f"ccs-exp {name} parsed no arguments")


def _helps(parser: argparse.ArgumentParser) -> str:
    return "\n\n".join(f"```text\n{it.format_help().strip()}\n```" for it in (parser, *_subcommands(parser)))


def _subcommands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()

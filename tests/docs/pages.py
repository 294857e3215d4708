"""Follows a page of documentation to the letter: writes its files, runs its commands, composes or parses what cannot run here.

A fenced block is a file (``title="FILE"``), commands (``bash``), Python to run (``python``), or output (``text``). A block runs, unless the
line above says ``<!-- not run: REASON -->``: then its jobs are composed, every cell, and its other commands are parsed.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from hydra import initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from ccs_exp import __main__ as command_line
from ccs_exp import notebook
from ccs_exp.config.schema import config_dir, configure, register

ROOT = Path(__file__).parents[2]
LANGUAGES = ("bash", "json", "python", "text", "yaml")
REASONS = ("needs", "asks")  # as in: needs the network, several GPUs, Slurm, a key; asks a person
FEWER = ("dataset.limit=42", "probe.num_images=100")
OTHERS = ("export", "chromium")  # programs that are given nothing of ours
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]*) -->\n)?^```(?P<language>\w*)(?: title=\"(?P<title>[^\"\n]+)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_INLINE = re.compile(r"(?<!`)`((?:ccs-exp|python -m ccs_exp|make) [^`]+)`(?!`)")
_FLAGS = {"-m", "--cfg", "job"}


class Block(NamedTuple):
    language: str
    title: str | None
    reason: str | None  # why it is not run
    text: str

    @property
    def runs(self) -> bool:
        return self.language in ("bash", "python") and not self.title and not self.reason

    def commands(self) -> Iterator[list[str]]:
        """The words of each command, comments left out."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [Block(it["language"], it["title"], it["reason"], it["text"]) for it in _BLOCK.finditer(text)]
    assert 2 * len(found) == text.count("```"), f"{page}: a block that the tests do not see: indented, or with other options"
    for block in found:
        assert block.language in LANGUAGES, f"{page}: say what this block is: {block.text}"
        assert block.reason is None or block.reason.startswith(REASONS), f"{page}: {block.reason}"
    return found


def inline_commands(page: Path) -> list[list[str]]:
    """Those in running text; a bare ``ccs-exp status`` names a command and is none."""
    found = [shlex.split(command) for command in _INLINE.findall(page.read_text(encoding="utf-8"))]
    return [words for words in found if words[0] != "ccs-exp" or words[1:] != [*set(words[1:]) & set(command_line._COMMANDS)]]


def follow(page: Path, folder: Path, monkeypatch, stand_ins: dict[str, str], more: Sequence[str] = ()) -> None:
    """Do what the page says, in `folder`, in this process; its jobs are given the settings `more` as well."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PWD", str(folder))
    for block in blocks(page):
        if block.title:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(_filled(block.text, stand_ins), encoding="utf-8")
        elif block.language == "python" and block.runs:
            with patch.object(notebook, "configure", lambda *asked: configure(*asked, *more)):
                exec(compile(_filled(block.text, stand_ins), str(page), "exec"), {})
        elif block.language == "bash":
            for words in block.commands():
                if block.runs:
                    _run([_filled(word, stand_ins) for word in words], monkeypatch, more)


def check(words: Sequence[str]) -> None:
    """Compose every cell of a job, parse another command of ours, look up what other programs are given of ours."""
    program = words[0]
    if program == "ccs-exp" and words[1:2] and words[1] in command_line._COMMANDS:
        _parse(words[1], words[2:])
    elif program == "ccs-exp":
        _compose(words[1:])
    elif "ccs_exp" in words:  # python -m ccs_exp, also behind srun and torchrun
        with patch.dict(os.environ, _of_the_first_process(words)):
            _compose(words[words.index("ccs_exp") + 1 :])
    elif program == "make":
        _recipe(words[1:])
    elif program == "pip":
        _extras(words)
    elif program == "python":
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        assert all(f'"{flag}"' in script for flag in words if flag.startswith("--")), words
    elif program == "wandb":
        assert words[1] in import_module("wandb.cli.cli").cli.commands, words
    else:
        assert program in OTHERS, f"neither run nor composed: {shlex.join(words)}"


def _run(words: list[str], monkeypatch, more: Sequence[str]) -> None:
    if words[0] == "make":
        words = [*_recipe(words[1:])[-1], *FEWER, "prune.matched.draws=2"]  # the default job is a long one
    elif words[0] == "ccs-exp" and any("=" in word for word in words):
        words = [*words, *more]
    if words[:3] == ["python", "-m", "ccs_exp"]:
        monkeypatch.syspath_prepend(os.getcwd())  # as Python itself does with -m
        words = ["ccs-exp", *words[3:]]
    if words[0] == "eval":  # what a shell must do
        _complete(words[1])
        return
    assert words[0] == "ccs-exp", f"neither run nor composed: {shlex.join(words)}"
    monkeypatch.setattr(sys, "argv", words)
    try:
        command_line.main()
    except SystemExit as ended:
        assert not ended.code, f"{shlex.join(words)}: {ended.code}"


def _filled(text: str, stand_ins: dict[str, str]) -> str:
    """`text` with what stands for folders; RUN and SWEEP are the latest that finished a job."""
    latest = {"RUN": "outputs/*/*/summary.json", "SWEEP": "multirun/*/*/*/summary.json"}
    for word in re.findall(r"\b[A-Z]{3,}\b", text):
        if word in latest:
            finished = max(Path().glob(latest[word]), key=lambda path: path.stat().st_mtime)
            text = text.replace(word, str(finished.parents[0 if word == "RUN" else 1]))
        elif word in stand_ins:
            text = text.replace(word, stand_ins[word])
    return text


def _compose(words: Sequence[str]) -> None:
    overrides = [word for word in words if (not word.startswith("-") and "=" in word) or word.startswith(("~", "+"))]
    flags = [word for word in words if word not in overrides]
    assert set(flags) <= _FLAGS, f"{shlex.join(words)}: {flags}"
    register()
    with initialize_config_dir(config_dir(), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(overrides)
        cells = BasicSweeper.split_arguments(parsed, None)[0] if "-m" in flags else [overrides]
    for cell in cells:
        configure(*cell)


def _complete(installing: str) -> None:
    """In bash, with the environment's own ``ccs-exp``: what the Tab key gives after an installation."""
    tab = "COMP_LINE='ccs-exp prune=hi'; COMP_POINT=${#COMP_LINE}; COMP_CWORD=1; hydra_bash_completion; echo ${COMPREPLY[@]}"
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-c", f'eval "{installing}" && {tab}'], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["prune=high_ccs"]


def _of_the_first_process(words: Sequence[str]) -> dict[str, str]:
    """What srun or torchrun tell the first of the processes that they start."""
    counts = re.findall(r"--(?:nodes|ntasks-per-node|nproc-per-node)=(\d+)", shlex.join(words))
    world = str(math.prod(map(int, counts)))
    if words[0] == "srun":
        return {"SLURM_STEP_NUM_TASKS": world, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    return {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": world, "RANK": "0", "LOCAL_RANK": "0"} if words[0] == "torchrun" else {}


def _parse(name: str, arguments: Sequence[str]) -> None:
    import commands_reference

    commands_reference.parser(name).parse_args(list(arguments))


def _recipe(targets: Sequence[str]) -> list[list[str]]:
    """What ``make`` would do, the set-up aside."""
    command = ["make", "--no-print-directory", "-n", "-o", ".venv/.ready", "BIN=BIN", *targets]
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=True)
    return [shlex.split(line.replace("BIN/", "")) for line in done.stdout.splitlines()]


def _extras(words: Sequence[str]) -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for extra in re.findall(r"\[(\w+)\]", " ".join(words)):
        assert extra in known, words

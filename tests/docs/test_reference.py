"""The generated reference: every setting, choice and command, each described."""

import re
from pathlib import Path

import commands_reference
import pytest
import settings_reference
import yaml
from omegaconf import OmegaConf

from ccs_exp.__main__ import _COMMANDS
from ccs_exp.config.schema import Config, config_dir

CONF = Path(config_dir())
FILES = [path for path in CONF.rglob("*/*.yaml") if not path.parent.name.endswith("_logging")]
# sbatch's own options have sbatch's own names
WITHOUT_WORDS = re.compile(r"hydra\.launcher\.|.*\._partial_$")


def all_settings() -> list[settings_reference.Setting]:
    of_groups = [setting for group in settings_reference.groups() for setting in settings_reference.group_settings(group)]
    return settings_reference.job_settings() + of_groups


def test_every_setting_and_choice_has_words_where_it_is_declared():
    assert not [it.key for it in all_settings() if not it.description and not WITHOUT_WORDS.match(it.key)]
    choices = {f"{group}={it.name}": it for group in settings_reference.groups() for it in settings_reference.choices(group)}
    assert len(choices) == len(FILES)
    assert not [name for name, choice in choices.items() if not choice.description]


def test_no_setting_is_missing():
    def keys(node, above=""):
        for key, value in node.items():
            yield above + key
            if isinstance(value, dict):
                yield from keys(value, f"{above}{key}.")

    found = {setting.key for setting in all_settings()}
    declared = set(keys(OmegaConf.to_container(OmegaConf.structured(Config))))
    groups = set(settings_reference.groups()) | {key.rpartition(".")[0] for key in declared}
    strategies = {f"prune.{path.stem}" for path in CONF.glob("prune/*.yaml")} | {"prune.own"}
    named = {f"{group}.name" for group in groups - {"model"}}
    assert declared - groups - strategies - named == found & declared


def test_descriptions_and_defaults_are_the_files_own():
    found = {setting.key: setting for setting in all_settings()}
    attempts = "of one request, its retries included, for outages and unusable replies alike"
    assert found["judge.attempts"] == ("judge.attempts", "8", attempts)
    assert found["prune.random.seeds"].default == "[0, 1, 2]"
    assert found["ccs.high"] == ("ccs.high", "5", "CCS from here on is high")
    assert found["trainer.devices"].description.startswith("that share each pass")
    page = settings_reference.page()
    for path in FILES:
        assert f'"conf/{path.relative_to(CONF).as_posix()}"' in page
    assert "?? abstract" in page and "test/&lt;ISO code>/" in page  # no tags, no emphasis from a path


def test_every_command_shows_its_help():
    page = commands_reference.page()
    for name in _COMMANDS:
        assert f"usage: ccs-exp {name}" in page
    for subcommand in ("store gc", "agreement draw", "dashboard upload"):
        assert f"usage: ccs-exp {subcommand} [-h]" in page


def test_the_help_lists_every_command_once():
    template = yaml.safe_load((CONF / "config.yaml").read_text(encoding="utf-8"))["hydra"]["help"]["template"]
    listed = re.findall(r"^  ([\w-]+) {2,}", template.partition("Commands\n")[2].partition("Examples")[0], re.MULTILINE)
    assert listed == list(_COMMANDS)


@pytest.mark.parametrize("text", ["a: 1 # first\n", "a: 1  # first\n", "# head\na: 1 # first\nb:\n  c: 'x # y' # second\n"])
def test_comments_behind_values_are_read(text):
    assert ("a", "1", "first") in list(settings_reference._yaml_settings(text))

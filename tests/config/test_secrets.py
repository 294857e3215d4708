"""Secrets: hidden in every form that a text may hold them in, and refused in a configuration before anything is written."""

import base64
import json
import time
import urllib.parse

import pytest
from command import ccs_exp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ccs_exp.config.secrets import HIDDEN, check_no_secrets, hide_secrets, names_a_secret, refuse_secrets, without_secrets
from ccs_exp.errors import CcsError

SECRET = "sk-canary/9876+543210"
WRITTEN = {
    "as it is": lambda s: s,
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON in JSON": lambda s: json.dumps(json.dumps(s))[1:-1],
    "JSON, every sign": lambda s: "".join(f"\\u{ord(sign):04X}" for sign in s),
    "URL": lambda s: urllib.parse.quote(s, safe=""),
    "URL, path": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "URL, every byte, twice": lambda s: "".join(f"%25{byte:02x}" for byte in s.encode()),
    "HTML": lambda s: "".join(f"&#{ord(sign)};" for sign in s),
    "HTML, hexadecimal": lambda s: "".join(f"&#x{ord(sign):x};" for sign in s),
    "base 64": lambda s: base64.b64encode(s.encode()).decode(),
    "base 64 after one": lambda s: base64.b64encode(f"a{s}".encode()).decode(),
    "base 64 after two": lambda s: base64.urlsafe_b64encode(f"ab{s}".encode()).decode(),
}


@pytest.mark.parametrize("written", WRITTEN)
@given(secret=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Cc", "Z")), min_size=10, max_size=40))
@settings(deadline=None)
@example(secret=SECRET)
@example(secret='hunter"22\\horse')
@example(secret="100%41%2f'<b>&amp;")
@example(secret="000000\xa1%00")
def test_no_way_of_writing_keeps_a_secret(written, secret):
    text = WRITTEN[written](secret)
    before, after = '{"before": "', '\\n", "after": \\"%20\\"}'
    hidden = hide_secrets(f"{before}{text}{after}", secret)
    assert hidden.startswith(before) and hidden.endswith(after)
    left = hidden.removeprefix(before).removesuffix(after)
    assert HIDDEN in left and text[4:-4] not in left.replace(HIDDEN, "")


@given(st.text(st.sampled_from('ab"\\u0041%2f&#x; /:@1')))
def test_a_text_without_a_secret_stays_as_it_is(text):
    if "://" not in text:
        assert hide_secrets(text, SECRET) == text


def test_a_flood_of_escapes_or_addresses_takes_no_time():
    started = time.monotonic()
    for part in ("\\", "://", ":", "http://", "&#0", "%25", "\\u0041", "@", "http://a:"):
        assert hide_secrets(part * (300_000 // len(part)), SECRET)
    assert time.monotonic() - started < 60  # of minutes, were it quadratic


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET", "PGPASSWORD", "DB_PASS", "apiKey", "api-key", "token"])
def test_what_is_a_secret_by_its_name(name, monkeypatch):
    assert names_a_secret(name)
    monkeypatch.setenv(name, SECRET)
    assert hide_secrets(f"a {SECRET} b") == f"a {HIDDEN} b"


@pytest.mark.parametrize("name", ["max_tokens", "tokenizer", "keys", "exclude_keys", "compass", "PATH", "PWD", "SSH_AUTH_SOCK", "author"])
def test_what_is_none(name):
    assert not names_a_secret(name)


def test_passwords_in_addresses_of_the_environment_are_secrets_and_paths_to_secrets_are_not(monkeypatch, tmp_path):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter%2F22@proxy:3128")
    monkeypatch.setenv("GATEWAY", "https://h/v1?api_key=abcdefgh12")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path))
    assert hide_secrets(f"hunter/22 hunter%2F22 abcdefgh12 {tmp_path}") == f"{HIDDEN} {HIDDEN} {HIDDEN} {tmp_path}"
    assert hide_secrets("https://you:x@h hf://name@main/a http://token@h") == f"https://{HIDDEN}@h hf://name@main/a http://{HIDDEN}@h"


def test_structures_lose_what_is_secret_by_name_or_by_value(monkeypatch):
    monkeypatch.setenv("X_TOKEN", SECRET)
    found = without_secrets({"api_key": "short", "list": [f"a{SECRET}", 3], "max_tokens": 5, "token": None})
    assert found == {"api_key": HIDDEN, "list": [f"a{HIDDEN}", 3], "max_tokens": 5, "token": None}


REFUSED = {
    "password": ({"judge": {"base_url": "https://me:hunter22@h/v1"}}, "judge.base_url has a user name or password"),
    "password without scheme": ({"judge": {"base_url": "me:hunter22@h/v1"}}, "judge.base_url has a user name"),
    "password elsewhere": ({"dataset": {"path": "s3://me:hunter22@h/x"}}, "dataset.path has a user name or password"),
    "in a list": ({"a": [{"b": "x"}, {"b": "https://hunter22@h"}]}, "a.1.b has a user name"),
    "query": ({"judge": {"base_url": "https://h/v1?key=hunter22"}}, "judge.base_url has a key in its query"),
    "query without scheme": ({"judge": {"base_url": "h/v1?key=hunter22"}}, "judge.base_url has more than an address"),
    "query of any name": ({"judge": {"base_url": "https://h/v1?code=hunter22"}}, "judge.base_url has more than an address"),
    "fragment": ({"judge": {"base_url": "https://h/v1#key=hunter22"}}, "judge.base_url has more than an address"),
    "signed query": ({"dataset": {"path": "https://h/x?se=1&sig=hunter22"}}, "dataset.path has a key in its query"),
    "interpolated query": ({"a": {"b": "https://h/v1?api-key=${oc.env:UNSUSPICIOUS}"}}, "a.b has a key in its query"),
    "by name": ({"judge": {"api_key": "hunter22"}}, "judge.api_key is a secret by its name"),
    "by name, a number": ({"judge": {"password": 31415926}}, "judge.password is a secret"),
    "Hydra's environment": ({"hydra": {"job": {"env_set": {"OPENAI_API_KEY": "hunter22"}}}}, "OPENAI_API_KEY is a secret by its name"),
    "a sweep's parameter": ({"hydra": {"sweeper": {"params": {"judge.base_url": "http://me:hunter22@a,http://b"}}}}, "has a user name"),
    "of the environment": ({"a": "x ${oc.env:CANARY_TOKEN} y"}, r"a holds a secret of the environment \(CANARY_TOKEN\)"),
    "literally": ({"a": f"x {SECRET}"}, "a holds a secret"),
    "encoded": ({"a": base64.b64encode(f"me:{SECRET}".encode()).decode()}, "a holds a secret of the environment,"),
    "as a key": ({SECRET: 1}, r"\[hidden\] holds a secret"),
    "beside what does not resolve": ({"a": "${nothing.there} https://me:hunter22@h"}, "a has a user name or password"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_configuration_with_a_secret_is_refused_and_the_secret_not_repeated(kind, monkeypatch):
    monkeypatch.setenv("CANARY_TOKEN", SECRET)
    monkeypatch.setenv("UNSUSPICIOUS", "hunter22")
    content, message = REFUSED[kind]
    with pytest.raises(CcsError, match=message) as caught:
        check_no_secrets(OmegaConf.create(content))
    assert not {part for part in ("hunter22", SECRET, "31415926") if part in str(caught.value)}


def test_what_holds_none_passes():
    plain = {"b": "???", "base_url": "???", "max_tokens": 5, "path": "hf://name@main/x", "token": None, "d": [1.5, True], "e": {}}
    check_no_secrets(OmegaConf.create(plain | {"a": "${not.there}", "c": "${b}"}))
    refuse_secrets(["-m", "dataset.path=hf://name@main/folder", "hydra.run.dir=/tmp/x@y", "judge.base_url=http://h/v1", "model.name=a"])


def everything_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


MINE = {
    "a password": "base_url: https://me:hunter22@127.0.0.1/v1",
    "an interpolated key in a query": "base_url: https://127.0.0.1/v1?key=${oc.env:UNSUSPICIOUS}",
    "an interpolated key of the environment": "prompt: /x/${oc.env:CANARY_TOKEN}.txt",
    "a key": "api_key: hunter22",
}


@pytest.mark.parametrize("kind", MINE)
def test_a_secret_in_a_file_of_ones_own_is_refused_before_the_first_write(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("CANARY_TOKEN", SECRET)
    monkeypatch.setenv("UNSUSPICIOUS", "hunter22")
    (tmp_path / "conf" / "judge").mkdir(parents=True)
    (tmp_path / "conf" / "judge" / "mine.yaml").write_text(f"defaults: [openai, _self_]\n{MINE[kind]}\n")
    (tmp_path / "work").mkdir()
    mine, store = ("--config-dir", str(tmp_path / "conf")), str(tmp_path / "cache")
    done = ccs_exp(*mine, "judge=mine", "labeler=openai", cwd=tmp_path / "work", CCS_EXP_CACHE=store)
    assert done.returncode == 1 and done.stderr.startswith("Error: ") and "Traceback" not in done.stderr
    assert "hunter22" not in done.stdout + done.stderr and SECRET not in done.stdout + done.stderr
    assert everything_below(tmp_path / "work") == [] and not (tmp_path / "cache").exists()


def test_a_secret_in_one_cell_of_a_sweep_is_written_nowhere(tmp_path):
    (tmp_path / "conf" / "judge").mkdir(parents=True)
    (tmp_path / "conf" / "judge" / "mine.yaml").write_text(f"defaults: [openai, _self_]\n{MINE['a password']}\n")
    (tmp_path / "work").mkdir()
    (tmp_path / "heads.json").write_text(json.dumps([{"head": "L11.H0", "top5": ["a red star", "a", "b", "c", "d"]}]))
    options = ["--config-dir", str(tmp_path / "conf"), "-m", "judge=taxonomy,mine", "spans=file"]
    options += [f"spans.path={tmp_path}/heads.json", "tracker=none", "hydra.sweep.dir=sweep"]
    done = ccs_exp(*options, cwd=tmp_path / "work")
    assert done.returncode == 1 and "judge.base_url has a user name or password" in done.stderr
    written = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
    assert (tmp_path / "work" / "sweep" / "0" / "summary.json") in written
    assert not [str(path) for path in written if b"hunter22" in path.read_bytes()]
    assert "hunter22" not in done.stdout + done.stderr


def test_a_job_leaves_its_configuration_as_hydra_would(tmp_path):
    (tmp_path / "heads.json").write_text(json.dumps([{"head": "L11.H0", "top5": ["a red star", "a", "b", "c", "d"]}]))
    options = ["spans=file", f"spans.path={tmp_path}/heads.json", "tracker=none", f"hydra.run.dir={tmp_path}/run"]
    done = ccs_exp(*options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {path.stem: OmegaConf.load(path) for path in (tmp_path / "run" / ".hydra").iterdir()}
    assert sorted(found) == ["config", "hydra", "overrides"]
    assert list(found["overrides"]) == options[:-1] and found["config"].spans.path == f"{tmp_path}/heads.json"
    assert found["hydra"].hydra.run.dir == f"{tmp_path}/run"

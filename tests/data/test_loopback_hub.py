"""The real clients against a hub on loopback: what they ask for, what a user reads where that fails, and what is there afterwards."""

import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import open_clip
import pytest
import safetensors.torch
from huggingface_hub import file_download
from local_copies import pairs, parquet, small, webdataset
from loopback_hub import TOKEN, cut_after, damaged, offline, serving, status, use
from PIL import Image
from small_models import SMALL_TEXT, SMALL_VISION, small_open_clip

from ccs_exp.clip.loading import load_clip
from ccs_exp.config.schema import configure
from ccs_exp.data.published import verify_hub
from ccs_exp.data.published.classes import class_table
from ccs_exp.errors import CcsError, NotHere
from ccs_exp.files.hub import Wanted, fetch, full_commit, missing
from ccs_exp.jobs.assemble import build
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.jobs.fetching import needs_of_job, said
from ccs_exp.sweeps import prefetch

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


@pytest.fixture
def hub(socket_enabled, tmp_path, monkeypatch):
    with serving() as running:
        use(running, tmp_path / "cache", monkeypatch)
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        monkeypatch.setattr(file_download.constants, "DOWNLOAD_CHUNK_SIZE", 500)  # what a broken download keeps is whole chunks
        yield running


def held(hub, name, make, gated=False):
    """The hub as `conf` records the data set or probe `name`, with the files that `make` puts into a folder."""
    node = configure(name)[name.partition("=")[0]].source.hub
    hub.holds(node.repository, make, node.revision.ljust(40, "0"), gated=gated)
    return node


def source_of(name, *overrides):
    group = name.partition("=")[0]
    return build(configure(name, *overrides)[group].source)


@pytest.fixture
def cifar10(hub, tmp_path):
    names = datasets.ClassLabel(names=list(class_table("cifar10").folders))
    parquet(tmp_path / "cifar/plain_text/test-00000-of-00001.parquet", "img", "label", list(range(10)), names)
    held(hub, "dataset=cifar10", tmp_path / "cifar")
    return ["dataset=cifar10", *small(10, 1)]


@pytest.fixture
def pets(hub, tmp_path):
    webdataset(tmp_path / "pets", list(class_table("oxford_pets").names), list(range(37)), shards=2)
    held(hub, "dataset=oxford_pets", tmp_path / "pets")
    return ["dataset=oxford_pets", *small(37)]


def test_parquet_and_tars_are_fetched_once_and_are_there_offline(hub, cifar10, pets, monkeypatch):
    for asked, classes in ((cifar10, 10), (pets, 37)):
        assert [target for target, _ in pairs(source_of(*asked))] == list(range(classes))
    fetched = len([path for method, path, _ in hub.asked if method == "GET" and path.startswith("/cdn/")])
    assert fetched == 3
    offline(monkeypatch)
    before = len(hub.asked)
    for asked, classes in ((cifar10, 10), (pets, 37)):
        assert [target for target, _ in pairs(source_of(*asked))] == list(range(classes))
    assert len(hub.asked) == before


def test_an_abbreviated_commit_is_spelt_out_once(hub, tmp_path, monkeypatch):
    webdataset(tmp_path / "a", list(class_table("imagenet_a").names), list(range(200)), shards=4, kind="jpg")
    node = held(hub, "dataset=imagenet_a", tmp_path / "a")
    assert len(source_of("dataset=imagenet_a", *small(200))) == 200 and len(node.revision) == 7
    offline(monkeypatch)
    assert len(source_of("dataset=imagenet_a", *small(200))) == 200


@pytest.mark.parametrize("streamed", ["cifar10", "oxford_pets"])
def test_streams_keep_no_copy(hub, cifar10, pets, streamed, tmp_path):
    asked, classes = {"cifar10": (cifar10, 10), "oxford_pets": (pets, 37)}[streamed]
    source = source_of(*asked, "dataset.streaming=true")
    assert [target for target, _ in pairs(source)] == list(range(classes))
    assert not list((tmp_path / "cache/hub").rglob("*.tar")) + list((tmp_path / "cache/hub").rglob("*.parquet"))


# what a user reads


def one_paragraph(error, *parts):
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text and all(part in text for part in parts), text


@pytest.fixture
def probe(hub, tmp_path):
    """ImageNet's validation images, gated as they are."""
    names = datasets.ClassLabel(names=["tench, Tinca tinca", "goldfish"])
    parquet(tmp_path / "val/data/validation-00000-of-00001.parquet", "image", "label", [0, 1, 0, 1], names)
    held(hub, "probe=imagenet_val", tmp_path / "val", gated=True)


def test_a_gated_set_opens_for_those_who_were_let_in(hub, probe, monkeypatch):
    with pytest.raises(CcsError) as without_token:
        source_of("probe=imagenet_val")
    one_paragraph(without_token, "ILSVRC/imagenet-1k", "it is gated", "huggingface.co/datasets/ILSVRC/imagenet-1k", "hf auth login")
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    with pytest.raises(CcsError) as not_let_in:
        source_of("probe=imagenet_val")
    one_paragraph(not_let_in, "your account has not been let in", "Accept its terms")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(source_of("probe=imagenet_val", "probe.num_images=2")) == 2


def test_what_is_not_there_is_named(hub, cifar10):
    with pytest.raises(CcsError) as repository:
        source_of(*cifar10, "dataset.source.hub.repository=nobody/nothing")
    one_paragraph(repository, "nobody/nothing", "there is none of that name, or it is private", "huggingface.co/datasets/nobody/nothing")
    with pytest.raises(CcsError) as revision:
        source_of(*cifar10, f"dataset.source.hub.revision={'f' * 40}")
    one_paragraph(revision, "no such revision", "huggingface.co/datasets/uoft-cs/cifar10/commits/main")
    with pytest.raises(CcsError, match="no commit that begins with fffffff"):
        source_of(*cifar10, "dataset.source.hub.revision=fffffff")
    with pytest.raises(CcsError, match=r"none of its files plain_text/train-\*\.parquet"):
        source_of(*cifar10, "dataset.source.hub.files=plain_text/train-*.parquet")


def test_too_many_requests_are_waited_out_or_told(hub, cifar10, monkeypatch):
    waited = []
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waited.append)
    busy = status(429, None, "Too many requests", **{"Retry-After": "7"})
    hub.fail = lambda path, seen: busy if seen < 2 else None
    assert len(source_of(*cifar10)) == 10 and waited
    hub.fail = lambda path, seen: busy
    with pytest.raises(NotHere) as told:
        fetch(Wanted("uoft-cs/cifar10", "dataset", "0" * 40, ("*",)))
    one_paragraph(told, "too many requests", "Try again in 7 s")


def test_a_broken_download_goes_on_where_it_stopped(hub, cifar10):
    hub.fail = lambda path, seen: cut_after(1000) if path.startswith("/cdn/") and seen < 2 else None
    assert len(source_of(*cifar10)) == 10
    ranges = [asked for method, path, asked in hub.asked if method == "GET" and path.startswith("/cdn/")]
    assert ranges == [None, "bytes=1000-", "bytes=2000-"]


def test_a_download_that_was_given_up_goes_on_in_the_next_job(hub, cifar10):
    hub.fail = lambda path, seen: (cut_after(1000) if seen == 0 else cut_after(0)) if path.startswith("/cdn/") else None
    with pytest.raises(NotHere, match="The same command goes on where this one stopped"):
        source_of(*cifar10)
    hub.fail, already = lambda path, seen: None, len(hub.asked)
    assert len(source_of(*cifar10)) == 10
    assert [asked for _, path, asked in hub.asked[already:] if path.startswith("/cdn/")] == ["bytes=1000-"]


def test_a_damaged_file_is_removed_and_fetched_again(hub, cifar10):
    hub.fail = lambda path, seen: damaged if path.startswith("/cdn/") and seen == 0 else None
    with pytest.raises(CcsError, match="test-00000-of-00001.parquet .* came damaged: its checksum is not the hub's"):
        source_of(*cifar10)
    assert len(source_of(*cifar10)) == 10


def test_what_is_missing_is_known_before_it_is_fetched(hub, tmp_path, monkeypatch):
    hub.repository("some/set").commit({"a/1.parquet": bytes(1000), "a/2.parquet": bytes(500), "README.md": b"x"})
    wanted = Wanted("some/set", "dataset", "main", ("a/*.parquet",))
    assert missing(wanted) == (2, 1500) and not hub.fetched(".parquet")
    fetch(wanted)
    assert missing(wanted) == (0, 0)
    monkeypatch.setattr("shutil.disk_usage", lambda place: (0, 0, 100))
    hub.repository("some/set").commit({"a/3.parquet": bytes(2000)})
    with pytest.raises(CcsError, match=r"needs 0\.00 GB in .*, and 0\.00 GB are free"):
        fetch(wanted)
    offline(monkeypatch)
    assert missing(Wanted("another/set", "dataset", "main", ("*",))) is None


def test_a_branch_that_has_moved_is_followed_and_a_commit_is_not(hub):
    repository = hub.repository("some/set")
    first = repository.commit({"a.parquet": b"first"})
    followed, pinned = (Wanted("some/set", "dataset", revision, ("*",)) for revision in ("main", first[:9]))
    assert (fetch(followed) / "a.parquet").read_bytes() == (fetch(pinned) / "a.parquet").read_bytes() == b"first"
    repository.commit({"a.parquet": b"second"})
    assert (fetch(followed) / "a.parquet").read_bytes() == b"second"
    assert (fetch(pinned) / "a.parquet").read_bytes() == b"first" and full_commit(pinned) == first


# weights


@pytest.fixture
def small_tag(hub, tmp_path, monkeypatch):
    """An architecture of open_clip's with a published checkpoint."""
    name, clip = "ViT-small-test", small_open_clip(3)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, {"embed_dim": 48, "vision_cfg": SMALL_VISION, "text_cfg": SMALL_TEXT})
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, {"some_tag": open_clip.pretrained._slpcfg(hf_hub="some/model/")})
    safetensors.torch.save_file(clip.state_dict(), tmp_path / "weights")
    return name, "some_tag", clip, (tmp_path / "weights").read_bytes()


def test_weights_come_from_the_hub_once_as_safetensors(hub, small_tag, monkeypatch):
    name, tag, clip, content = small_tag
    hub.repository("some/model", "models").commit({"open_clip_model.safetensors": content, "open_clip_pytorch_model.bin": b"pickled"})
    loaded = load_clip(name, tag)
    assert all((loaded.clip.state_dict()[key] == value).all() for key, value in clip.state_dict().items())
    offline(monkeypatch)
    assert load_clip(name, tag).origin == loaded.origin and not hub.fetched(".bin")


def test_weights_that_cannot_be_had_say_why(hub, small_tag, monkeypatch):
    name, tag, _, content = small_tag
    hub.repository("some/model", "models", gated=True).commit({"open_clip_model.safetensors": content})
    with pytest.raises(CcsError) as gated:
        load_clip(name, tag)
    one_paragraph(gated, "'some_tag' of ViT-small-test", "it is gated", "huggingface.co/some/model", "model.weights=FILE")
    hub.repository("some/model", "models").gated = False
    hub.repository("some/model", "models").commit({"README.md": b""})
    with pytest.raises(CcsError, match=r"has neither open_clip_model\.safetensors nor open_clip_pytorch_model\.bin"):
        load_clip(name, tag)
    offline(monkeypatch)
    with pytest.raises(NotHere, match="HF_HUB_OFFLINE is set"):
        load_clip(name, tag)


# prefetch, the plan, and the run without network after it


@pytest.fixture
def whole_hub(hub, pets, small_tag, tmp_path):
    """All that a small job with its own scores needs."""
    name, tag, _, content = small_tag
    hub.repository("some/model", "models").commit({"open_clip_model.safetensors": content})
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    (tmp_path / "mini/data").mkdir(parents=True)
    rows = {"image": [Image.fromarray(pixels) for pixels in noise], "label": [0, 1] * 12}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "mini/data/test-00000-of-00001.parquet")
    held(hub, "probe=mini_imagenet", tmp_path / "mini")
    model = ["model=open_clip", f"model.name={name}", f"model.pretrained={tag}", "pool=scenes", "tracker=none"]
    return [*model, *pets, "prune=high_ccs", "probe.num_images=20"]


def test_prefetch_brings_all_that_the_job_then_needs_without_network(hub, whole_hub, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path / "store"))
    job = Job(str(tmp_path / "run"), frozenset({"model", "dataset"}))
    offline(monkeypatch)
    with pytest.raises(NotHere):
        run(configure(*whole_hub), job)
    offline(monkeypatch, False)
    assert prefetch.main(whole_hub) == 0
    printed = capsys.readouterr().out
    assert "weights of ViT-small-test/some_tag: " in printed and "MB from huggingface.co/some/model" in printed
    assert "data set oxford_pets: " in printed and "probe mini_imagenet: " in printed and f"to {tmp_path}/cache/hub; HF_HOME" in printed
    assert f"export HF_HUB_OFFLINE=1 HF_HOME={tmp_path}/cache CCS_EXP_CACHE={tmp_path}/store" in printed
    offline(monkeypatch)
    asked = len(hub.asked)
    run(configure(*whole_hub), job)
    assert len(hub.asked) == asked and "original" in (tmp_path / "run/accuracy.csv").read_text()


def test_what_a_first_run_fetches_is_said_before_it_is(hub, whole_hub, capsys, monkeypatch):
    cfg = configure(*whole_hub, "plan=true")
    texts = list(said(needs_of_job(cfg, evaluates=True)))
    wanted = ["data set oxford_pets", "weights of ViT-small-test/some_tag", "probe mini_imagenet"]
    assert [text.partition(":")[0] for text in texts[:3]] == wanted
    assert texts[3].startswith("together ") and not [path for _, path, _ in hub.asked if path.startswith("/cdn/")]
    assert prefetch.main(whole_hub) == 0 and not list(said(needs_of_job(cfg, evaluates=True)))


def test_prefetch_of_a_sweep_fetches_each_thing_once_and_names_what_fails(hub, whole_hub, capsys):
    assert len(prefetch.needs_of_sweep([*whole_hub, "prune=high_ccs,low_ccs"])) == 3
    crossed = prefetch.needs_of_sweep(["model=vitb32_openai,vitb16_laion", "dataset=food101", "ccs=published"])
    assert sorted(need.what for need in crossed) == ["data set food101", "weights of vitb16_laion", "weights of vitb32_openai"]
    assert prefetch.main([*whole_hub, "dataset=oxford_pets,food101"]) == 1
    assert "Error: data set food101: clip-benchmark/wds_food101 cannot be loaded from the hub" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="dataset=nothing is not known"):
        prefetch.main(["dataset=nothing"])


# the hub as it is recorded


def test_verify_hub_against_a_hub_as_recorded_and_one_that_is_not(hub, cifar10, pets, monkeypatch, capsys):
    """`make verify-hub` in short: rows that this hub has, read as they are there."""
    kept = [verify_hub._row("dataset", name) for name in ("cifar10", "oxford_pets")]
    monkeypatch.setattr(verify_hub, "recorded", lambda: kept)
    assert verify_hub.main() == 1
    printed = capsys.readouterr().out
    assert "10 samples, recorded are 10,000" in printed and "2 files match" not in printed
    assert "DIFFERS oxford_pets" in printed and "zeroshot_classification_templates.txt" in printed  # which is not there
    repository = hub.repository("clip-benchmark/wds_vtab-pets")
    (sha,) = repository.commits
    lines = "\n".join(kept[1].templates).replace("{}", "{c}").encode()
    repository.commit(repository.commits[sha] | {"zeroshot_classification_templates.txt": lines}, sha)
    monkeypatch.setattr(verify_hub, "recorded", lambda: kept[1:])
    assert verify_hub.main() == 0 and capsys.readouterr().out.startswith("ok      oxford_pets")


def test_any_set_of_the_hub_and_of_the_collection(hub, tmp_path):
    named = datasets.ClassLabel(names=["cat", "dog"])
    parquet(tmp_path / "set/data/test-00000-of-00001.parquet", "image", "label", [1, 0, 1], named)
    parquet(tmp_path / "set/data/train-00000-of-00001.parquet", "image", "label", [0] * 9, named)
    sha = next(iter(hub.holds("some/set", tmp_path / "set").commits))
    source = source_of("dataset=hub", "dataset.id=some/set")
    assert [target for target, _ in pairs(source)] == [1, 0, 1] and source.class_names == ("cat", "dog")
    assert any(f"some/set at main is the commit {sha}" in note for note in source.notes)
    assert not any("train" in path for _, path, _ in hub.asked)
    webdataset(tmp_path / "wds", ["crop", "forest"], [1, 0])
    (tmp_path / "wds/zeroshot_classification_templates.txt").write_text("{c} from above\n")
    hub.holds("clip-benchmark/wds_some", tmp_path / "wds")
    source = source_of("dataset=wds", "dataset.id=clip-benchmark/wds_some")
    assert source.templates == ("{} from above",) and [target for target, _ in pairs(source)] == [1, 0]
    with pytest.raises(CcsError, match=r"holds no Parquet files.*dataset=wds dataset\.id=clip-benchmark/wds_some"):
        source_of("dataset=hub", "dataset.id=clip-benchmark/wds_some")


# the commands themselves, as a user types them


def command(*words, cwd):
    found = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    return found.returncode, found.stdout + found.stderr


@pytest.mark.full
def test_make_verify_hub_and_verify_paper_and_prefetch_through_hf_endpoint(hub, pets, tmp_path):
    """The real recipes in processes of their own, which know the hub by ``HF_ENDPOINT`` alone."""
    root, tools = Path(__file__).parents[2], str(Path(sys.executable).parent)
    code, printed = command("make", "-o", ".venv/.ready", "verify-hub", f"BIN={tools}", cwd=root)
    assert code == 2 and "DIFFERS oxford_pets" in printed and "nobody" not in printed and "Traceback" not in printed
    code, printed = command(sys.executable, "-m", "ccs_exp", "prefetch", *pets, "ccs=published", cwd=tmp_path)
    assert code == 0 and "HF_HUB_OFFLINE=1" in printed, printed
    short = ["dataset=oxford_pets", "model=vitb32_openai", "model.pretrained=null", "tracker=none", *small(37), "dataset.limit=4"]
    code, printed = command(sys.executable, str(root / "benchmarks/verify_paper.py"), *short, cwd=tmp_path)
    assert "Traceback" not in printed and (tmp_path / "multirun/verify_paper/standard").is_dir(), printed
    assert "oxford_pets" in printed, printed

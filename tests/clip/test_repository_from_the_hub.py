"""A checkpoint of transformers' CLIP named by its repository, fetched from a hub on loopback by the real client."""

import pytest
import torch
from loopback_hub import offline, serving, use
from test_transformers_clip import SHAPES, save_checkpoint

from ccs_exp.clip.loading import load_clip
from ccs_exp.clip.repository import at_hand, repository_sha256
from ccs_exp.errors import CcsError

pytestmark = pytest.mark.allow_hosts(["127.0.0.1", "localhost"])


def test_a_sharded_checkpoint_is_fetched_once_whole_and_is_there_offline(socket_enabled, tmp_path, monkeypatch):
    (tmp_path / "made").mkdir()
    save_checkpoint(tmp_path / "made", *SHAPES["plain"], shards="200KB")
    (tmp_path / "made" / "pytorch_model.bin").write_bytes(b"pickled, and never asked for")
    with serving() as hub:
        use(hub, tmp_path / "cache", monkeypatch)
        hub.holds("org/clip", tmp_path / "made", "c" * 40, kind="models")
        fetched = load_clip("org/clip", repository=True)
        assert not any("pytorch_model" in path for _, path, _ in hub.asked)
        with pytest.raises(CcsError, match=r"org/none cannot be loaded from the hub .there is none of that name, or it is private"):
            load_clip("org/none", repository=True)
        offline(monkeypatch)
        before = len(hub.asked)
        again = load_clip("org/clip", repository=True)
        assert len(hub.asked) == before
    own = load_clip(str(tmp_path / "made"), repository=True)
    for ours, theirs in zip(own.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert repository_sha256(at_hand("org/clip"), "org/clip") == own.origin.sha256 == fetched.origin.sha256

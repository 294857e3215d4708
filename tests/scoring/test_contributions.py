"""What is kept of contributions: 16 bits a number, and what is looked up from it is what double precision gives."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.transforms import ToTensor

from ccs_exp.clip.readout import SHARED_COEFFICIENTS, contribution_maps, read_heads
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import ImageSource, Sample, UnreadableImage
from ccs_exp.heads import Head
from ccs_exp.scoring.contributions import Seen, contributions_bytes, contributions_of, pack_contributions, unpack_contributions
from ccs_exp.scoring.decompose import ProbePass, decompose_images
from ccs_exp.store import key_digest, mapped_entry, write_entry

CPU = Compute("cpu", progress=False)
LAYERS = range(2, 6)


class Noise(ImageSource):
    """Random pictures, one of which cannot be decoded."""

    class_names = ("noise",)
    one_process = True

    def __len__(self):
        return 41

    def __getitem__(self, index):
        if index == 7:
            raise UnreadableImage("noise-7 is broken.")
        pixels = np.random.default_rng(index).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        return Sample(f"noise-{index}", Image.fromarray(pixels), 0)


def images(batch_size=16):
    return ImageData(Noise(), ToTensor(), batch_size=batch_size, on_error="skip")


@torch.no_grad()
def test_lookups_are_within_a_thousandth_of_a_standard_deviation(model):
    """Skewed coefficients whose mean is large beside what varies, a head that hardly varies, and one that does not."""
    maps = contribution_maps(model, LAYERS, "direct")[:, :-SHARED_COEFFICIENTS]
    generator = torch.Generator().manual_seed(0)
    scale = torch.logspace(0, -3, 16)
    u = 5 + torch.randn(3000, 16, 16, generator=generator) ** 3 * scale
    u[:, 3] = 1 + 1e-5 * u[:, 3]
    u[:, 5] = 2.0
    u = u.float()
    embeddings = F.normalize(0.3 + torch.randn(3000, 48, generator=generator), dim=-1)
    names = [f"image-{number}" for number in range(3000)]
    kept = contributions_of(model.scored_heads, [Seen(names, [b"x"] * 3000, u, embeddings)], maps)
    texts = F.normalize(torch.randn(20, 48, dtype=torch.float64, generator=generator), dim=-1)
    for head in range(16):
        for text in texts:
            exact = (u[:, head].double() @ maps[head] @ text).numpy()
            error = np.abs(kept.along(head, text) - exact).max()
            assert error <= 1e-3 * exact.std() or (head == 5 and error < 1e-5)
    for text in texts:
        exact = (embeddings.double() @ text).numpy()
        assert np.abs(kept.whole_along(text) - exact).max() <= 1e-3 * exact.std()


@torch.no_grad()
def test_the_pass_keeps_every_image_that_could_be_decoded_once(model):
    data = images()
    found = ProbePass(model, data, CPU).contributions()
    expected = [f"noise-{number}" for number in range(41) if number != 7]
    assert found.sample_ids == expected and len(set(found.digests)) == 40 and data.skipped
    pixels = torch.stack([ToTensor()(Noise()[number].image) for number in (0, 8, 40)])
    maps = contribution_maps(model, LAYERS, "direct")
    exact = torch.einsum("bhk,hkd->bhd", read_heads(model, pixels, LAYERS).coefficients, maps)
    text = F.normalize(torch.arange(48.0).double(), dim=0)
    places = [expected.index(f"noise-{number}") for number in (0, 8, 40)]
    for head in range(16):
        spread = found.along(head, text).std()
        np.testing.assert_allclose(found.along(head, text)[places], (exact[:, head] @ text).numpy(), atol=1e-3 * spread)


def test_moments_do_not_change_by_what_is_kept_beside(model):
    with_images, plain = decompose_images(model, images(), CPU, sums=True, images=True), decompose_images(model, images(), CPU).moments
    assert torch.equal(with_images.moments.first, plain.first) and torch.equal(with_images.moments.second, plain.second)
    assert sum(len(batch.sample_ids) for batch in with_images.seen) == 40 == plain.num_images


def test_the_basis_is_orthonormal_and_principal(model):
    kept = ProbePass(model, images(), CPU).contributions()
    eye = torch.eye(kept.basis.shape[-1], dtype=torch.float64)
    torch.testing.assert_close(kept.basis.transpose(1, 2) @ kept.basis, eye.expand(16, -1, -1))
    shares = kept.shares(4)
    assert (np.diff(shares) <= 1e-6).all() and shares.sum() == pytest.approx(1)
    assert (kept.coordinates.mean >= 0).all()


def test_a_mapped_file_gives_the_same_and_a_damaged_one_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CCS_EXP_CACHE", str(tmp_path))
    kept, key = ProbePass(model, images(), CPU).contributions(), {"of": "a test"}
    packed = pack_contributions(kept)
    write_entry("contributions", key, packed)
    mapped = mapped_entry("contributions", key_digest(key))
    found = unpack_contributions(mapped.members)
    assert found.heads == kept.heads == tuple(Head(layer, index) for layer in LAYERS for index in range(4))
    assert not found.coordinates.counts.flags.owndata
    for name in ("coordinates", "embeddings"):
        assert np.array_equal(getattr(found, name).counts, getattr(kept, name).counts)
    text = F.normalize(torch.randn(48, dtype=torch.float64), dim=0)
    np.testing.assert_allclose(found.along(3, text), kept.along(3, text), atol=1e-6)
    np.testing.assert_allclose(found.whole_along(text), kept.whole_along(text), atol=1e-6)
    said = contributions_bytes(len(kept), 16, 16, 48)
    assert abs(sum(map(len, packed.values())) - len(packed["about"]) - said) < 1000  # the head of a safetensors file

    path = tmp_path / "contributions" / f"{key_digest(key)}.entry"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert mapped_entry("contributions", key_digest(key)) is None and not path.exists()
    path.write_bytes(b"")
    assert mapped_entry("contributions", key_digest(key)) is None
    path.write_bytes(hashlib.sha256(b"[]").hexdigest().encode() + b"\n[]")
    assert mapped_entry("contributions", key_digest(key)) is None

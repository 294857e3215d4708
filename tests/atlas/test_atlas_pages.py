"""The pages of an atlas: what they show, what they escape, what they say where something is not there."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from example_run import write_run
from PIL import Image
from small_kinds import small_kind
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from ccs_exp.atlas.facts import read_facts
from ccs_exp.atlas.looks import ends
from ccs_exp.atlas.pages import Viewed, make_atlas, write_pages
from ccs_exp.atlas.pictures import overlay
from ccs_exp.atlas.questions import Questions
from ccs_exp.clip.model import ClipModel
from ccs_exp.clip.preprocessing import pictured
from ccs_exp.clip.readout import SHARED_COEFFICIENTS, contribution_maps
from ccs_exp.clip.tokens import tokens_along
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.bundled.scenes import SceneProbe
from ccs_exp.data.images.batches import ImageData
from ccs_exp.data.images.source import ImageSource, Sample, UnreadableImage
from ccs_exp.errors import CcsError
from ccs_exp.evidence.heads_table import COLUMNS
from ccs_exp.heads import Head
from ccs_exp.run_folder.folder import RunFolder
from ccs_exp.scoring.decompose import ProbePass

CPU = Compute("cpu", progress=False)
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
TRANSFORM = Compose([ToTensor(), Normalize((0.5,) * 3, (0.25,) * 3)])


def heads_of(model, **first):
    texts = {f"description_{number}": text for number, text in enumerate(("red", "a star", "sand", "two rings", HOSTILE), 1)}
    verdicts = {f"verdict_{number}": "aligned" for number in range(1, 6)}
    row = {"label": "colors", "ccs": 5, "ccs_class": "high", **texts, **verdicts, "explained_variance": 0.5, "model": "small"}
    rows = [{"layer": head.layer, "head": str(head), **row} for head in model.scored_heads]
    rows[0] |= first
    rows[1] |= {"ccs": None, "ccs_class": None, "label": None, "verdict_2": "unjudged"}
    return rows


class Changed(ImageSource):
    """Scenes, some of which are not what they were."""

    class_names = ("scene",)
    one_process = True

    def __init__(self, source, broken=(), renamed=(), repainted=()):
        self.source, self.broken, self.renamed, self.repainted = source, broken, renamed, repainted

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        sample = self.source[index]
        if index in self.broken:
            raise UnreadableImage(f"{sample.sample_id} is broken.")
        if index in self.renamed:
            return sample._replace(sample_id="another")
        return Sample(sample.sample_id, Image.new("RGB", (32, 32), "red"), 0) if index in self.repainted else sample


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def scenes():
    return SceneProbe(60, 1)


@pytest.fixture(scope="module")
def kept(model, scenes):
    with_transform(model)
    return ProbePass(model, probe_of(model, scenes), CPU).contributions()


def with_transform(model):
    model.transform = TRANSFORM


def probe_of(model, source):
    return ImageData(source, TRANSFORM, batch_size=16, on_error="skip")


@pytest.fixture(scope="module")
def run(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, heads_of(model, label=HOSTILE), samples=20)
    row = dict.fromkeys(COLUMNS) | {"head": "L2.H0", "most_affected": "scenes/colour", "standardised": 0.62, "specificity": 0.5}
    row |= {"represents": "scenes/background", "label_represents": False, "detection": 0.91, "intruder_found": 0.4}
    RunFolder(folder).write("evidence.csv", [row], COLUMNS)
    return folder


@pytest.fixture(scope="module")
def atlas(run, model, kept, scenes):
    return make_atlas(Viewed(run, f"small {HOSTILE}", model, kept, probe_of(model, scenes), CPU, thumbnails=True))


@pytest.fixture(scope="module")
def pages(atlas, tmp_path_factory):
    written = write_pages(atlas, tmp_path_factory.mktemp("pages"))
    return {path.name: path for path in written}


def test_there_is_a_page_for_every_head_and_an_index(pages, model):
    assert set(pages) == {"index.html"} | {f"{head}.html" for head in model.scored_heads}
    assert pages["index.html"].stat().st_size < 1e6 and all(path.stat().st_size < 3e6 for path in pages.values())
    cards = [attributes for attributes in Page(pages["index.html"].read_text()).of("a") if attributes.get("class") == "card"]
    assert [card["href"] for card in cards] == [f"{head}.html" for head in model.scored_heads]
    assert cards[0]["data-cost"] == "0.62" and cards[1]["data-ccs"] == "" and HOSTILE.lower() in cards[0]["data-text"]


def test_nothing_comes_from_elsewhere_and_hostile_text_stays_text(pages):
    for path in pages.values():
        text = path.read_text()
        page = Page(text)
        assert len(page.of("script")) == 1 and not any("onerror" in attributes for _, attributes in page.tags)
        for _, attributes in page.tags:
            for name in ("src", "href"):
                address = attributes.get(name)
                assert address is None or address.startswith("data:") or (path.parent / address).exists()
        policies = [attributes["content"] for attributes in page.of("meta") if attributes.get("http-equiv")]
        assert "default-src 'none'" in policies[0] and "img-src data:" in policies[0]
        assert HOSTILE not in text and "style=" not in text


def test_every_picture_says_what_it_is(pages):
    page = Page(pages["L3.H1.html"].read_text())
    crops = [attributes for attributes in page.of("img") if attributes["class"] == "crop"]
    heats = [attributes for attributes in page.of("img") if attributes["class"] == "heat"]
    assert len(crops) == len(heats) == 8 * 12  # a label, five descriptions, two directions; six at each end
    assert all("sd along" in crop["alt"] and "looks most at row" in crop["alt"] for crop in crops)


def test_evidence_stands_on_the_page(pages):
    text = pages["L2.H0.html"].read_text()
    for words in ("0.62 sd of the margins of colour", "background", "0.91", "Its label names what it represents</dt><dd>no"):
        assert words in text
    assert "Silencing it costs" not in pages["L2.H2.html"].read_text()


def test_a_head_without_a_label_shows_its_descriptions(pages):
    text = pages["L2.H1.html"].read_text()
    assert "no label" in text and "Label:" not in text and "1. red" in text and "? unjudged" in text


def test_strips_are_the_ends_in_double_precision(atlas, model, kept, scenes):
    look = next(item for item in atlas.looks if item.facts.head == Head(4, 2))
    maps = contribution_maps(model, range(4, 5), "direct")[2, :-SHARED_COEFFICIENTS]
    pixels = torch.stack([TRANSFORM(scenes[index].image) for index in range(60)])
    with torch.no_grad():
        whole = tokens_along(model, pixels, range(4, 5), (maps @ look.strips[1].direction)[None, :, None].expand(4, -1, -1))
    values = whole[:, 2, :, 0].sum(dim=1).numpy()
    assert [item.image for item in look.strips[1].most] == np.argsort(-values)[:6].tolist()
    item = look.strips[1].least[0]
    assert item.image == values.argmin() and item.sd == pytest.approx((values.min() - values.mean()) / values.std(), abs=2e-3)
    heat = atlas.seen.heat[item.image, kept.heads.index(Head(4, 2)), 1]
    np.testing.assert_allclose(heat.ravel(), whole[item.image, 2, 1:, 0].numpy(), atol=1e-6)


def test_the_crop_is_the_one_that_the_model_saw(scenes):
    image = scenes[3].image
    assert np.array_equal(np.asarray(pictured(TRANSFORM(image), TRANSFORM)), np.asarray(image))
    wide = np.zeros((32, 64, 3), dtype=np.uint8)
    wide[:, 16:48] = np.asarray(image)  # what a crop of the middle leaves
    cropping = Compose([Resize(32), CenterCrop(32), *TRANSFORM.transforms])
    assert np.array_equal(np.asarray(pictured(cropping(Image.fromarray(wide)), cropping)), np.asarray(image))


def test_colours_say_along_and_against_where_they_are():
    heat = np.array([[2.0, 0.0, -1.0], [0.0, 0.5, 0.0]])
    content = base64.b64decode(overlay(heat, 2.0).partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(content)))
    assert pixels.shape == (2, 3, 4) and pixels[0, 0, 0] > pixels[0, 0, 2] and pixels[0, 2, 2] > pixels[0, 2, 0]
    assert pixels[..., 3].tolist() == [[184, 0, 92], [0, 46, 0]]


def test_few_images_stand_at_one_end_alone():
    most, least = ends(np.array([3.0, 1.0, 2.0]), 6)
    assert [item.image for item in most] == [0] and [item.image for item in least] == [1]
    assert all(item.sd == 0 for end in ends(np.ones(4), 1) for item in end)


@pytest.mark.parametrize("how", ["broken", "renamed", "repainted"])
def test_images_that_are_not_what_they_were_are_left_out_and_counted(how, run, model, kept, scenes):
    source = Changed(scenes, **{how: range(10, 30)})
    atlas = make_atlas(Viewed(run, "small", model, kept, probe_of(model, source), CPU, thumbnails=True))
    shown = {image for item in atlas.looks for image, _ in item.shown()}
    gone = {image for image in shown if 10 <= image < 30}
    assert gone and set(atlas.seen.thumbnails) == shown - gone
    assert sorted(atlas.seen.gone) == sorted(kept.sample_ids[image] for image in gone)
    assert "have changed" in atlas.told[0]


def test_images_behind_one_that_could_not_be_decoded_are_found(run, model, scenes):
    source = Changed(scenes, broken=[5, 20])
    kept = ProbePass(model, probe_of(model, source), CPU).contributions()
    atlas = make_atlas(Viewed(run, "small", model, kept, probe_of(model, source), CPU, thumbnails=True))
    assert len(kept) == 58 and not atlas.seen.gone and len(atlas.seen.thumbnails) == len({i for x in atlas.looks for i, _ in x.shown()})


def test_without_a_probe_or_thumbnails_pages_still_stand(run, model, kept, scenes, tmp_path):
    atlas = make_atlas(Viewed(run, "small", model, kept, None, CPU, thumbnails=True))
    text = write_pages(atlas, tmp_path)[1].read_text()
    assert "cannot be seen" in text and not Page(text).of("img") and "probe-1-000" in text
    atlas = make_atlas(Viewed(run, "small", model, kept, probe_of(model, scenes), CPU, thumbnails=False))
    page = Page(write_pages(atlas, tmp_path)[1].read_text())
    assert {attributes["class"] for attributes in page.of("img")} == {"heat"} and page.of("img")[0]["alt"]


def test_a_head_without_contributions_says_so(run, model, kept, scenes, tmp_path):
    few = type(kept)(kept.heads[:8], kept.sample_ids, kept.digests, kept.basis[:8], kept.coordinates, kept.embeddings)
    atlas = make_atlas(Viewed(run, "small", model, few, probe_of(model, scenes), CPU, thumbnails=True))
    write_pages(atlas, tmp_path)
    assert "was not kept" in (tmp_path / "L5.H0.html").read_text()


@pytest.mark.parametrize("kind", ["SigLIP", "average"])
def test_encoders_that_are_read_otherwise_have_images_without_maps(kind, scenes, tmp_path, monkeypatch):
    other = small_kind(kind)[0]
    other.transform = TRANSFORM
    texts = torch.nn.functional.normalize(torch.randn(50, other.embedding_dim, generator=torch.Generator().manual_seed(0)), dim=-1)
    monkeypatch.setattr(ClipModel, "encode_texts", lambda _model, asked, progress: texts[: len(asked)])  # these models read none
    write_run(tmp_path, heads_of(other), samples=20)
    kept = ProbePass(other, probe_of(other, scenes), CPU).contributions()
    atlas = make_atlas(Viewed(tmp_path, kind, other, kept, probe_of(other, scenes), CPU, thumbnails=True))
    text = write_pages(atlas, tmp_path / "atlas")[1].read_text()
    assert "not drawn" in text and {attributes["class"] for attributes in Page(text).of("img")} == {"crop"}
    ask = Questions(other, kept, probe_of(other, scenes), {})
    assert ask.nearest_to_image(7, {"head": kept.heads[:1]})["head"][0]["place"] == 7
    with pytest.raises(CcsError, match="not drawn"):
        ask.heat(7, kept.heads[0], "red")


def test_facts_of_a_run_without_evidence(tmp_path, model):
    write_run(tmp_path, heads_of(model), samples=20)
    facts = read_facts(tmp_path)
    assert facts[0].cost is None and not facts[0].evidence and facts[0].texts == ("colors", "red", "a star", "sand", "two rings", HOSTILE)

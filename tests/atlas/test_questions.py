"""Answers of the app: what is nearest, where heads look, what silencing them changes; and what the server refuses."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient
from torch.nn import functional as F
from torchvision.transforms import Compose, Normalize, Resize, ToTensor

from ccs_exp.atlas.app import LARGEST_UPLOAD, application, bound
from ccs_exp.atlas.beside import same_heads, same_labels
from ccs_exp.atlas.facts import HeadFacts
from ccs_exp.atlas.figures import HeadView
from ccs_exp.atlas.looks import Look
from ccs_exp.atlas.questions import Questions, class_set
from ccs_exp.clip.hooks import masked
from ccs_exp.clip.readout import contribution_maps, read_heads
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.compute.trainer import Compute
from ccs_exp.data.bundled.scenes import SceneProbe
from ccs_exp.data.images.batches import ImageData
from ccs_exp.errors import CcsError
from ccs_exp.heads import Head
from ccs_exp.scoring.ccs import HeadScore
from ccs_exp.scoring.decompose import ProbePass
from ccs_exp.scoring.judges.judge import Verdict

HOSTILE = '"><script>alert(1)</script>'
TRANSFORM = Compose([Resize((32, 32)), ToTensor(), Normalize((0.5,) * 3, (0.25,) * 3)])
HEADS = [Head(5, 1), Head(4, 0)]
NAMES = ("red", "blue", "a star", "a ring", "sand", "snow", HOSTILE)


@pytest.fixture(scope="module")
def scenes():
    return SceneProbe(40, 2)


@pytest.fixture(scope="module")
def questions(model, scenes):
    model.transform = TRANSFORM
    probe = ImageData(scenes, TRANSFORM, batch_size=16)
    kept = ProbePass(model, probe, Compute("cpu", progress=False)).contributions()
    classes = class_set(model, NAMES, model.encode_texts(NAMES))
    return Questions(model, kept, probe, {"things": classes}, SharedPrefixEngine())


@pytest.fixture(scope="module")
def exact(model, scenes):
    """Contributions of the 40 images in double precision, ``[images, heads, dim]``, and embeddings."""
    pixels = torch.stack([TRANSFORM(scenes[index].image) for index in range(40)])
    with torch.no_grad():
        found = read_heads(model, pixels, range(2, 6))
    return torch.einsum("bhk,hkd->bhd", found.coefficients, contribution_maps(model, range(2, 6), "direct")), found.embedding.double()


@pytest.fixture(scope="module")
def client(questions):
    facts = [HeadFacts(head, "colors" if head.index else HOSTILE, 5, "high") for head in questions.kept.heads]
    app = application(questions, facts, f"small {HOSTILE}", "secret", ["127.0.0.1:80"])
    return TestClient(app, base_url="http://127.0.0.1:80", headers={"host": "127.0.0.1:80"})


def png(image):
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def ask(client, what, status=200, **asked):
    reply = client.post(f"/secret/{what}", content=json.dumps({"heads": ["L5.H1"], **asked}))
    assert reply.status_code == status, reply.text
    return reply.json()


def test_images_nearest_to_a_text(questions, exact, model):
    text = model.encode_texts(["a red star"])[0].double()
    found = questions.nearest_to_text("a red star", {"head": HEADS[:1], "concept": HEADS}, count=5)
    places = [questions.kept.heads.index(head) for head in HEADS]
    along = exact[0] @ text
    expected = {"head": along[:, places[0]], "concept": along[:, places].sum(dim=1), "whole": exact[1] @ text}
    for name, values in expected.items():
        assert [item["place"] for item in found[name]] == values.argsort(descending=True)[:5].tolist()
        np.testing.assert_allclose([item["value"] for item in found[name]], values.sort(descending=True).values[:5], atol=1e-4)
    assert all(item["crop"].startswith("data:image/webp") for item in found["head"])


def test_images_nearest_to_an_image(questions, exact, scenes):
    """By a picture that is in the probe, that picture is nearest, however it is given; cosines are those of what varies."""
    centred = exact[0] - exact[0].mean(dim=0)
    places = [questions.kept.heads.index(head) for head in HEADS]
    expected = {"head": centred[:, places[0]], "concept": centred[:, places].flatten(1)}
    for image in (17, scenes[17].image, png(scenes[17].image)):
        found = questions.nearest_to_image(image, {"head": HEADS[:1], "concept": HEADS}, count=40)
        for name, values in expected.items():
            cosines = F.cosine_similarity(values, values[17], dim=-1)
            assert found[name][0]["place"] == 17 and found[name][0]["value"] == pytest.approx(1, abs=1e-4)
            np.testing.assert_allclose([item["value"] for item in found[name]], cosines.sort(descending=True).values, atol=1e-3)
        assert found["whole"][0]["place"] == 17


def test_where_a_head_looks_adds_up(questions, exact, model):
    texts = model.encode_texts(["red", "blue"]).double()
    place = questions.kept.heads.index(Head(5, 1))
    _, heat, own = questions.heat(3, Head(5, 1), "red")
    assert heat.sum() + own == pytest.approx(float(exact[0][3, place] @ texts[0]), rel=1e-5)
    _, contrast, own = questions.heat(3, Head(5, 1), "red", against="blue")
    assert contrast.sum() + own == pytest.approx(float(exact[0][3, place] @ (texts[0] - texts[1])), rel=1e-5)
    np.testing.assert_allclose(heat - questions.heat(3, Head(5, 1), "blue")[1], contrast, atol=1e-9)


def test_silenced_heads_change_classes_as_masks_do(questions, model, scenes):
    pixels = TRANSFORM(scenes[9].image)[None]
    found = questions.without(scenes[9].image, HEADS, "things")
    with torch.no_grad(), masked(model, HEADS):
        logits = model.logit_scale * (model.encode_images(pixels) @ F.normalize(model.encode_texts(NAMES), dim=-1).T)[0]
    values, places = logits.topk(5)
    assert [row["class"] for row in found["silenced"]["top"]] == [NAMES[place] for place in places]
    np.testing.assert_allclose([row["logit"] for row in found["silenced"]["top"]], values, atol=1e-4)
    assert found["silenced"]["margin"] == pytest.approx(float(values[0] - values[1]), abs=1e-4)
    assert found["all"] == questions.without(scenes[9].image, [], "things")["silenced"] != found["silenced"]


@pytest.mark.parametrize(
    "act, words",
    [
        (lambda q: q.embedding_of("  "), "at most 300"),
        (lambda q: q.embedding_of("x" * 301), "at most 300"),
        (lambda q: q.nearest_to_text("red", {"head": [Head(0, 0)]}), "L0.H0: choose among"),
        (lambda q: q.without(3, HEADS, "nothing"), "no task"),
        (lambda q: q.without(3, [Head(9, 9)], "things"), "L9.H9"),
        (lambda q: q.heat(400, Head(5, 1), "red"), "not where it was"),
        (lambda q: q.heat(-1, Head(5, 1), "red"), "not where it was"),
        (lambda q: q.heat(b"no image", Head(5, 1), "red"), "cannot be decoded"),
        (lambda q: q.heat(b"x" * (LARGEST_UPLOAD + 1), Head(5, 1), "red"), "16 are taken"),
    ],
)
def test_what_cannot_be_answered_says_why(questions, act, words):
    with pytest.raises(CcsError, match=words):
        act(questions)


def test_an_image_of_200_megapixels_is_refused_before_it_is_decoded(questions):
    picture = png(Image.new("1", (20000, 10000)))
    assert len(picture) < 1e6
    with pytest.raises(CcsError, match="200,000,000|20,000|exceeds"):
        questions.heat(picture, Head(5, 1), "red")


def test_images_that_have_changed_are_refused(model, questions):
    others = Questions(model, questions.kept, ImageData(SceneProbe(40, 5), TRANSFORM), questions.tasks)
    with pytest.raises(CcsError, match="not where it was"):
        others.heat(3, Head(5, 1), "red")
    assert all(item["crop"] is None for item in others.nearest_to_text("red", {"head": HEADS})["head"])


def test_the_page_shows_hostile_names_as_text_and_needs_nothing_else(client):
    reply = client.get("/secret/")
    assert reply.status_code == 200 and HOSTILE not in reply.text and "http" not in reply.text.replace("http-equiv", "")
    allowed = reply.headers["content-security-policy"]
    assert "default-src 'none'" in allowed and "unsafe" not in allowed and reply.headers["cache-control"] == "no-store"


def test_the_server_answers_what_its_page_asks(client, questions):
    found = ask(client, "nearest", text="red", heads=["L5.H1"])
    assert set(found) == {"head", "concept", "whole"} and len(found["head"]) == 12
    upload = base64.b64encode(png(Image.new("RGB", (80, 30), "red"))).decode()
    assert ask(client, "nearest", upload=upload)["whole"]
    assert ask(client, "looks", place=3, text=HOSTILE)["crop"].startswith("data:image/webp")
    found = ask(client, "without", place=3, heads=["L5.H1"], task="things")
    assert found == questions.without(3, [Head(5, 1)], "things")


@pytest.mark.parametrize("asked", [{"heads": []}, {"heads": None}, {"heads": "L5"}, {"place": "x"}, {"heads": ["L5.H1"], "place": None}])
def test_questions_that_the_page_never_asks_are_refused(client, asked):
    assert "error" in ask(client, "looks", status=400, text="red", **asked)


def test_other_refusals_of_the_server(client):
    assert "Choose an image" in ask(client, "looks", status=400, text="red")["error"]
    assert "no image" in ask(client, "looks", status=400, text="red", upload="?")["error"]
    assert ask(client, "anything", status=400)
    assert client.post("/secret/looks", content=b"[" * 10_000).status_code == 400
    assert client.post("/secret/looks", content=b"x" * (LARGEST_UPLOAD * 2)).status_code == 413
    assert client.get("/wrong/").status_code == client.get("/").status_code == client.post("/wrong/looks").status_code == 404
    assert client.get("/secret/", headers={"host": "evil.example"}).status_code == 404
    assert client.post("/secret/looks", headers={"origin": "http://evil.example"}).status_code == 404


@pytest.mark.enable_socket
def test_a_port_that_is_taken_is_said():
    with bound("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(CcsError, match="Leave --port out"):
            bound("127.0.0.1", first.getsockname()[1])
    for port in (70000, -1):
        with pytest.raises(CcsError, match="--port"):
            bound("127.0.0.1", port)


def test_figures_of_a_head(questions, tmp_path):
    score = HeadScore(Head(5, 1), "a $5 star", 5, "high", NAMES[:5], (Verdict.ALIGNED,) * 5, 0.5)
    view = HeadView(score, lambda: questions)
    figure = view.images(count=3)
    assert len(figure.subfigs) == 8 and all(len(part.axes) == 6 for part in figure.subfigs)
    assert view.images("red", count=2).subfigs[0].axes[0].get_title().startswith("+")
    Image.new("RGB", (64, 40), "red").save(tmp_path / "red.png")
    for image in (3, Image.new("RGB", (40, 90)), tmp_path / "red.png"):
        drawn = view.heatmap(image, against="red")
        assert "rather than red" in drawn.axes[0].get_title() and len(drawn.axes[0].images) == 2
        drawn.savefig(io.BytesIO())
    with pytest.raises(CcsError, match="no label"):
        HeadView(HeadScore(Head(5, 1), None, None, None), lambda: questions).heatmap(3)
    with pytest.raises(CcsError, match="cannot be read"):
        view.heatmap("nowhere.png")
    for wrong, said in (({"image": None}, "a picture"), ({"image": 1.5}, "a picture"), ({"text": 5}, "=5"), ({"against": None}, "=None")):
        with pytest.raises(CcsError, match=said):
            view.heatmap(**{"image": 3} | wrong)
    for wrong, said in (({"count": "a"}, "count='a'"), ({"count": 0}, "at least 1"), ({"text": 5}, "text=5"), ({"text": " "}, "a text")):
        with pytest.raises(CcsError, match=said):
            view.images(**wrong)


def test_heads_are_paired_by_name_or_by_label():
    def looks(*heads):
        return [Look(HeadFacts(Head.parse(name), label, ccs, None)) for name, label, ccs in heads]

    one = looks(("L2.H0", "colors", 3), ("L2.H1", "colors", 5), ("L3.H0", None, 1), ("L3.H1", "shapes", 2))
    other = looks(("L2.H0", "colors", 4), ("L9.H1", "places", None))
    named = [[item and str(item.facts.head) for item in pair] for pair in same_heads(one, other)]
    assert named == [["L2.H0", "L2.H0"], ["L2.H1", None], ["L3.H0", None], ["L3.H1", None], [None, "L9.H1"]]
    labelled = [[item and str(item.facts.head) for item in pair] for pair in same_labels(one, other)]
    assert labelled == [["L2.H1", "L2.H0"], ["L2.H0", None], [None, "L9.H1"], ["L3.H1", None]]

"""The pages and the app in a browser: as a person would use them, without a mouse too, and checked by axe."""

import shutil
import threading

import numpy as np
import pytest
import uvicorn
from PIL import Image

from ccs_exp.atlas.app import application, bound
from ccs_exp.atlas.facts import read_facts
from ccs_exp.atlas.questions import Questions
from ccs_exp.clip.shared_prefix import SharedPrefixEngine
from ccs_exp.config.schema import configure
from ccs_exp.heads import Head
from ccs_exp.jobs.atlas_app import classes_of
from ccs_exp.jobs.experiment import Job, run
from ccs_exp.jobs.open_run import open_run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.full, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")]
HOSTILE = '"><img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    small = ("dataset.source.num_images=30", "probe.num_images=200")
    run(configure("tracker=none", "atlas=true", "prune=each_head", *small), Job(str(folder)))
    return folder


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, "light"), (400, "dark")], ids=["wide", "narrow and dark"])
def page(chromium, request):
    """A page that must not say anything in the console, nor load anything from elsewhere."""
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened, said, asked = context.new_page(), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda made: asked.append(made.url))
    yield opened
    context.close()
    assert not said
    assert not [url for url in asked if not url.startswith(("file:", "data:", "http://127.0.0.1:"))]


def serious(page):
    found = axe.Axe().run(page).response["violations"]
    return [(item["id"], [node["html"][:120] for node in item["nodes"][:3]]) for item in found if item["impact"] in ("serious", "critical")]


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_every_head_is_reached_from_the_index(page, finished):
    page.goto((finished / "atlas" / "index.html").as_uri())
    assert page.locator(".card").count() == 32 and fits(page) and not serious(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    heads = []
    while True:
        page.wait_for_selector("h1")
        heads.append(page.locator("h1").inner_text().partition(":")[0])
        assert page.locator("img.crop").count() > 50
        assert page.evaluate("Array.from(document.images).every((image) => image.complete && image.naturalWidth > 0)")
        if not page.locator("a[rel=next]").count():
            break
        page.keyboard.press("ArrowRight")
        page.wait_for_url(lambda url, last=heads[-1]: last not in url)
    assert heads == [f"L{layer}.H{index}" for layer in range(2, 6) for index in range(8)]
    assert fits(page) and not serious(page)
    page.keyboard.press("h")
    assert not page.locator("img.heat").first.is_visible() and page.locator("img.crop").first.is_visible()
    page.keyboard.press("u")
    page.wait_for_selector("#filters")


def test_filters_and_search(page, finished):
    page.goto((finished / "atlas" / "index.html").as_uri())
    facts = read_facts(finished)
    page.keyboard.press("/")
    page.keyboard.type("red")
    assert page.locator(".card:visible").count() == sum("red" in " ".join(item.texts).lower() for item in facts)
    page.get_by_label("Layer").select_option("5")
    page.get_by_label("CCS").select_option("5")
    expected = {str(item.head) for item in facts if item.head.layer == 5 and item.ccs == 5 and "red" in " ".join(item.texts).lower()}
    assert {card.get_attribute("href").removesuffix(".html") for card in page.locator(".card:visible").all()} == expected
    page.reload()
    assert page.locator(".card:visible").count() == len(expected)
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function("document.getElementById('count').textContent.startsWith('32 of')")
    page.get_by_label("Effect").select_option("0.5")
    assert page.locator(".card:visible").count() == sum((item.cost or 0) >= 0.5 for item in facts)


@pytest.fixture(scope="module")
def questions(finished):
    opened = open_run(finished)
    return Questions(opened.model, opened.kept, opened.probe, classes_of(opened)[0], SharedPrefixEngine())


@pytest.fixture
def address(questions, finished):
    with bound("127.0.0.1", 0) as listening:
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        app = application(questions, read_facts(finished), "tiny", "secret", [host])
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://{host}/secret/"
        server.should_exit = True
        thread.join()


@pytest.mark.enable_socket
def test_the_app_answers_and_silences(page, address, questions, tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    page.goto(address)
    assert fits(page) and not serious(page)
    page.locator("#head").select_option("L5.H6")
    page.locator("#text").fill(HOSTILE)
    page.locator('[data-ask=nearest][data-by=text]').click()
    page.wait_for_selector(".found")
    assert page.locator(".found").count() == 3 and page.locator(".found li").count() == 36 and page.title() == "Ask tiny"
    page.locator("#file").set_input_files(tmp_path / "own.png")
    page.locator("#against").fill("snow")
    page.get_by_role("button", name="Where it looks").click()
    page.wait_for_selector(".large .heat")
    page.locator('#heads input[value="L5.H0"]').check()
    page.wait_for_selector("#top-silenced td")
    found = questions.without(Image.fromarray(pixels), [Head(5, 0)], "scenes_shape")
    for name, expected in found.items():
        cells = page.locator(f"#top-{name} td").all_inner_texts()
        assert cells == [text for row in expected["top"] for text in (row["class"], f"{row['logit']:.2f}")]
    assert found["all"] != found["silenced"] and not serious(page) and fits(page)
    page.locator("#file").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"no image"})
    page.get_by_role("button", name="Where it looks").click()
    page.wait_for_function("document.getElementById('wrong').textContent.includes('cannot be decoded')")

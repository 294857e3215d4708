"""Every public function with wrong arguments: a `CcsError` that names right ones, never another library's traceback."""

import inspect
import warnings

import pytest

import ccs_exp
from ccs_exp import notebook
from ccs_exp.errors import CcsError
from ccs_exp.scoring.ccs import HeadScore, Scores

tried: dict[str, int] = {}


@pytest.fixture(scope="module")
def tiny():
    return ccs_exp.load_model("tiny")


def refused(function, *arguments, **options):
    """What is said."""
    tried[function.__name__] = tried.get(function.__name__, 0) + 1
    with warnings.catch_warnings(), pytest.raises(CcsError) as caught:
        warnings.simplefilter("ignore")
        function(*arguments, **options)
    said = str(caught.value)
    assert len(said) > 20 and "\n" not in said and "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ((5,), {}, "vitb32_openai"),
        ((None,), {}, "vitb32_openai"),
        (("",), {}, "vitb32_openai"),
        (("vitb99_openai",), {}, "vitb32_openai"),
        (("tiny",), {"pretraned": "openai"}, "Its options: pretrained"),
        (("tiny",), {"seed": "a"}, "load_model(seed='a'): give a whole number"),
        (("tiny",), {"seed": -1}, "load_model(seed=-1): give a whole number of at least 0"),
        (("tiny",), {"weights": "missing.pt"}, "missing.pt"),
        (("tiny",), {"weights": 5}, "load_model(weights=5): give text"),
        (("ViT-B-32",), {"pretrained": "nobody"}, "nobody"),
    ],
)
def test_load_model(arguments, options, said):
    assert said in refused(ccs_exp.load_model, *arguments, **options)


def test_score_heads(tiny):
    for model in (None, "tiny", 5):
        assert "load_model()" in refused(ccs_exp.score_heads, model)
    for override, said in (
        (5, "as on the command line"),
        ("probe=nowhere", "Choose one of: folder"),
        ("probe=folder", "Still needed: probe.path"),
        ("pool=five", "Choose one of: clip_text_span"),
        ("textspan=quick", "direct, reference"),
        ("judge=nobody", "Choose one of: claude"),
        ("judge.tresh=1", "There is no setting judge.tresh"),
        ("labeler=given", "spans=file"),
        ("ccs.high=9", "do not separate classes"),
        ("dataset=digits", "has no effect on score_heads()"),
        ("prune=random", "has no effect on score_heads()"),
        ("batch_size=0", "at least 1"),
        ("no equals sign", ""),
    ):
        assert said in refused(ccs_exp.score_heads, tiny, override)


def test_evaluate(tiny, tmp_path):
    for model in (None, "tiny"):
        assert "load_model()" in refused(ccs_exp.evaluate, model, "digits")
    for dataset in (5, None, "none"):
        assert "name a data set" in refused(ccs_exp.evaluate, tiny, dataset)
    for dataset in ("digit", ""):
        assert "digits" in refused(ccs_exp.evaluate, tiny, dataset)
    assert "fairface_label_val.csv" in refused(ccs_exp.evaluate, tiny, "fairface", None, f"dataset.path={tmp_path}")
    for heads, said in (
        (["L2.H0"], "sets of heads by name"),
        ("L2.H0", "sets of heads by name"),
        ({"mine": ["L99.H0"]}, "layers 0-"),
        ({"mine": ["2.0"]}, "L<layer>.H<index>"),
        ({"mine": [ccs_exp.Head(2, 99)]}, "heads each"),
        ({"mine": [ccs_exp.Head("a", 0)]}, "Head(layer, index)"),
        ({"mine": [(2, 0)]}, ""),
        ({"mine": 5}, "Give several"),
        ({"original": ["L2.H0"]}, "another name"),
    ):
        assert said in refused(ccs_exp.evaluate, tiny, "digits", heads)
    for override, said in (
        (7, "as on the command line"),
        ("prune=random", "has no effect on evaluate()"),
        ("dataset.limit=abc", "whole number"),
        ("dataset.limit=0", "at least 1"),
        ("ablation=half", "zero, mean"),
        ("dataset.templates=[a photo]", "has no {}"),
        ("dataset.top_k=5", "dataset.task=skew"),
        ("device=tpu", "auto, cpu"),
        ("precision=8", "32, "),
    ):
        assert said in refused(ccs_exp.evaluate, tiny, "digits", None, override)


def test_evidence(tiny):
    for model in (None, "tiny"):
        assert "load_model()" in refused(ccs_exp.evidence, model, "scenes")
    for dataset in (5, None, "none"):
        assert "name a data set" in refused(ccs_exp.evidence, tiny, dataset)
    for override, said in (
        (7, "as on the command line"),
        ("tracker=none", "has no effect on evidence()"),
        ("prune=nothing", "Choose one of: concept"),
        ("prune.random.seeds=[1]", "random, which is not chosen here"),
        ("evidence.split=true", "about an order by cost"),
        ("evidence.raeding=true", "Did you mean evidence.reading?"),
    ):
        assert said in refused(ccs_exp.evidence, tiny, "scenes", override)


def entered(manager):
    """`masked` and `recorded` say what is wrong when their block begins."""

    def enter(*arguments):
        with manager(*arguments):
            pass

    enter.__name__ = manager.__name__
    return enter


def test_masked_and_recorded(tiny):
    masked, recorded = entered(ccs_exp.masked), entered(ccs_exp.recorded)
    for heads, said in (("L99.H0", "layers 0-"), (5, "Give several"), (["2.0"], "L<layer>.H<index>"), (["L2.H0"], "nothing was silenced")):
        assert said in refused(masked, tiny, heads)
    for layers, said in ((99, "layers 0-"), ([0, -1], "layers 0-"), ("a", "layers 0-"), (None, "layers 0-"), ([1.5], "layers 0-")):
        assert said in refused(recorded, tiny, layers)
    for model in (None, "tiny"):
        assert "load_model()" in refused(masked, model, ["L2.H0"])
        assert "load_model()" in refused(recorded, model, [0])


def test_heads_and_scores():
    for name in ("2.0", "L2H0", "", "l2.h0", None, 5, "L-1.H0"):
        assert "L<layer>.H<index>" in refused(ccs_exp.Head.parse, name)
    scores = Scores((HeadScore(ccs_exp.Head(2, 0), "colors", 5, "high", (), (), None),))
    for name in ("hihg", None, 5, "HIGH"):
        assert "high, moderate, low" in refused(scores.of_class, name)


def test_every_public_function_was_tried():
    public = {name for name in ccs_exp.__all__ if name not in ("CcsError", "Head")}
    functions = inspect.getmembers(notebook, inspect.isfunction)
    own = {name for name, item in functions if item.__module__ == notebook.__name__ and name[0] != "_"}
    assert own <= public | {"model_choices"}  # which takes nothing
    print(dict(sorted(tried.items())), sum(tried.values()))
    assert public <= set(tried)

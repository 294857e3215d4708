"""Similarities become verdicts, thresholds are chosen without the heads that they are tried on; the model where it is installed."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from ccs_exp.config.schema import configure
from ccs_exp.errors import CcsError
from ccs_exp.jobs.assemble import build
from ccs_exp.scoring.judges.embedding import EmbeddingJudge, verdicts
from ccs_exp.scoring.judges.judge import Question, Verdict

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from similarity_threshold import choose_threshold, counts_at, left_out_pairs

INSTALLED = importlib.util.find_spec("sentence_transformers") is not None
needs_the_extra = pytest.mark.skipif(
    not INSTALLED, reason="the optional extra `embedding` (sentence-transformers) is not installed"
)
CANDIDATES = np.arange(0.05, 0.95, 0.05)

similarities = arrays(np.float64, (8, 5), elements=st.floats(-1, 1, width=32))
classes = arrays(np.bool_, 8).filter(lambda high: 2 <= high.sum() <= 6)


def test_the_threshold_itself_is_aligned_and_no_similarity_is_unjudged():
    assert verdicts(np.array([0.2, 0.1999, -1, 1, np.nan]), 0.2) == [
        "aligned",
        "not_aligned",
        "not_aligned",
        "aligned",
        "unjudged",
    ]
    assert verdicts(np.array([]), 0.2) == []


@given(arrays(np.float64, 10, elements=st.floats(-1, 1)), st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_threshold_aligns_no_more(values, one, other):
    loose, strict = (set(np.flatnonzero([v is Verdict.ALIGNED for v in verdicts(values, t)])) for t in sorted((one, other)))
    assert strict <= loose


@settings(max_examples=25, deadline=None)
@given(similarities, classes)
def test_the_chosen_threshold_separates_best(values, high):
    chosen = choose_threshold(values, high, CANDIDATES)
    areas = {at: roc_auc_score(high, counts_at(values, at)) for at in CANDIDATES}
    assert areas[chosen] == pytest.approx(max(areas.values()))


def test_of_equally_good_thresholds_the_middle_one_is_chosen():
    values = np.array([[0.7] * 5, [0.7] * 5, [0.3] * 5])
    assert choose_threshold(values, np.array([True, True, False]), [0.1, 0.35, 0.45, 0.55, 0.65, 0.9]) == 0.45
    with pytest.raises(ValueError, match="only one"):
        choose_threshold(values, np.array([True] * 3), CANDIDATES)


def test_the_pair_left_out_has_no_say_in_its_threshold():
    rng = np.random.default_rng(0)
    high = np.array([True] * 6 + [False] * 5)
    values = rng.uniform(0, 1, (11, 5))
    won = left_out_pairs(values, high, CANDIDATES)
    for up, down in ((0, 6), (5, 10), (3, 8)):
        others = [index for index in range(11) if index not in (up, down)]
        counts = counts_at(values, choose_threshold(values[others], high[others], CANDIDATES))
        assert won[up, down - 6] == (1.0 if counts[up] > counts[down] else 0.5 if counts[up] == counts[down] else 0.0)


def test_without_a_signal_left_out_pairs_show_none_where_choosing_on_all_heads_does():
    rng = np.random.default_rng(1)
    high = np.array([True] * 8 + [False] * 8)
    honest, flattered = [], []
    for _ in range(12):
        values = rng.uniform(0, 1, (16, 5))
        honest.append(left_out_pairs(values, high, CANDIDATES).mean())
        flattered.append(roc_auc_score(high, counts_at(values, choose_threshold(values, high, CANDIDATES))))
    assert abs(np.mean(honest) - 0.5) < 0.1 < np.mean(flattered) - 0.5


def test_a_signal_is_found_in_pairs_left_out():
    rng = np.random.default_rng(2)
    high = np.array([True] * 8 + [False] * 8)
    values = np.clip(rng.normal(np.where(high, 0.6, 0.3)[:, None], 0.1, (16, 5)), -1, 1)
    assert left_out_pairs(values, high, CANDIDATES).mean() > 0.95


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("judge.threshold=1.5", "a cosine similarity lies between -1 and 1"),
        ("judge.label_wording=photo", "has no {} where the label belongs"),
    ],
)
def test_settings_out_of_range_are_errors(override, message):
    with pytest.raises(CcsError, match=message):
        build(configure("judge=embedding", override).judge)


@pytest.mark.skipif(INSTALLED, reason="the optional extra is installed")
def test_without_the_extra_the_error_names_it():
    with pytest.raises(CcsError, match=r"pip install 'ccs_exp\[embedding\]'"):
        build(configure("judge=embedding").judge)


@pytest.fixture(scope="module")
def local_model(tmp_path_factory):
    """A model folder as sentence-transformers saves it: the mean of its words, each a direction of its own."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    words = ["a", "photo", "of", "red", "star", "square", "places", "art", "styles"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.eye(len(words) + 1, dtype=np.float32)
    folder = tmp_path_factory.mktemp("model")
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").save(str(folder))
    return folder


@needs_the_extra
def test_a_local_model_judges_without_network(local_model):
    judge = EmbeddingJudge(str(local_model), threshold=0.5)
    questions = [Question("red", "Red"), Question("a red star", "red"), Question("square", "places"), Question("?!", "red"),
                 Question("red", " "), Question("art styles", "art_styles"), Question("red", "red")]  # fmt: skip
    found = judge.judge(questions)
    assert found == ["aligned", "aligned", "not_aligned", "unjudged", "unjudged", "aligned", "aligned"]
    assert judge.judge(questions[::-1]) == found[::-1]
    values = judge.similarities(questions)
    assert values[0] == pytest.approx(1) and np.isnan(values[3]) and judge.judge([]) == []
    assert (np.abs(values[~np.isnan(values)]) <= 1 + 1e-6).all()


@needs_the_extra
def test_the_wording_is_around_the_label_only(local_model):
    bare, worded = (EmbeddingJudge(str(local_model), 0.5, label_wording=wording) for wording in ("{}", "a photo of {}"))
    question = [Question("a photo of red", "red")]
    assert worded.similarities(question)[0] == pytest.approx(1) and bare.similarities(question)[0] < 0.95


@needs_the_extra
@pytest.mark.parametrize("model", ["./nowhere", "{tmp}", "no-such/model"])
def test_a_model_that_cannot_be_loaded_is_a_paragraph(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(CcsError, match=r"judge\.model=") as caught:
        EmbeddingJudge(model.format(tmp=tmp_path), 0.2)
    assert "\n" not in str(caught.value)


@needs_the_extra
def test_damaged_weights_are_a_paragraph(local_model, tmp_path):
    import shutil

    shutil.copytree(local_model, tmp_path / "model")
    for path in (tmp_path / "model").rglob("*.safetensors"):
        path.write_bytes(b"junk")
    with pytest.raises(CcsError, match="could not be loaded"):
        EmbeddingJudge(str(tmp_path / "model"), 0.2)

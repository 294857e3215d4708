import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs_exp.errors import CcsError
from ccs_exp.heads import Head, check_heads, scored_heads


@given(st.integers(0, 99), st.integers(0, 99))
def test_names_read_back(layer, index):
    assert Head.parse(str(Head(layer, index))) == Head(layer, index)


@pytest.mark.parametrize("name", ["", "L1", "H3.L1", "L1.H-2", "L1.H2.5", "l1.h2"])
def test_other_names_are_refused(name):
    with pytest.raises(CcsError, match=r"L<layer>\.H<index>"):
        Head.parse(name)


def test_the_paper_scores_48_and_64_heads():
    assert len(scored_heads(12, 12)) == 48 and scored_heads(12, 12)[0] == Head(8, 0)
    assert len(scored_heads(24, 16)) == 64 and scored_heads(24, 16)[-1] == Head(23, 15)


def test_heads_outside_the_model_are_named():
    with pytest.raises(CcsError, match=r"L3\.H4, L9\.H0: tiny has layers 0-8 of 4 heads each"):
        check_heads([Head(3, 4), Head(9, 0), Head(0, 0)], 9, 4, "tiny")

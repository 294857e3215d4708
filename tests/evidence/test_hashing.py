"""Parts of a set of samples by the samples' names."""

import numpy as np
import pytest

from ccs_exp.evidence.hashing import chosen_half, hashed_parts


def test_hashed_parts_depend_on_the_names_alone():
    names = [f"image-{place}" for place in range(4000)]
    parts = hashed_parts(names, 8)
    np.testing.assert_array_equal(hashed_parts(names[::-1], 8), parts[::-1])
    np.testing.assert_allclose(np.bincount(parts, minlength=8), 500, atol=90)
    assert (hashed_parts(names, 8, seed=1) != parts).mean() > 0.8
    assert chosen_half(names).mean() == pytest.approx(0.5, abs=0.03)
    assert hashed_parts(["\udcff"], 2).shape == (1,)  # a file name that is no text

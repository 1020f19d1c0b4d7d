"""No two kinds of noise are the same noise."""

from __future__ import annotations

from typing import get_args

import numpy as np

from vaeval_core.protocol import StreamName
from vaeval_core.seeding import NoiseName, standard_normal, uniform
from vaeval_core.types import IndexRange


def _names() -> set[NoiseName]:
    # A union of Literals keeps its members.
    return {name for part in get_args(NoiseName) for name in (get_args(part) or (part,))}


def test_every_kind_of_noise_is_another() -> None:
    names = sorted(_names())
    assert set(get_args(StreamName)) < set(names)
    draws = [uniform(3, name, IndexRange(0, 4), 5, page=page) for name in names for page in (0, 1)]
    values = np.concatenate([draw.ravel() for draw in draws])
    assert len(np.unique(values)) == len(values) == len(names) * 2 * 20


def test_normal_noise_is_uniform_noise_through_the_inverse_distribution_function() -> None:
    from scipy.stats import norm

    below = norm.cdf(standard_normal(3, "samples", IndexRange(7, 9), 4).astype(float))
    np.testing.assert_allclose(below, uniform(3, "samples", IndexRange(7, 9), 4), atol=1e-6)

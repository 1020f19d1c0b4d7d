"""Errors of shares, by the exact binomial distribution, and what is said where no image differs from the others."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from vaeval_core.metrics.effective_images import why_withheld
from vaeval_core.metrics.manifold import manifold_scores
from vaeval_core.metrics.memorisation import authenticity
from vaeval_core.metrics.shares import error_of_share


@pytest.mark.parametrize(("count", "least"), [(10, 0.88), (50, 0.92), (200, 0.92), (1000, 0.93)])
def test_intervals_cover_whatever_the_true_share(count: int, least: float) -> None:
    successes = np.arange(count + 1)
    errors = np.array([error_of_share(int(number), count) for number in successes])
    shares = np.concatenate(
        [np.geomspace(1e-6, 0.1, 200), np.linspace(0.001, 0.999, 500), 1 - np.geomspace(1e-6, 0.1, 200)]
    )
    held = np.abs(successes / count - shares[:, np.newaxis]) <= 1.96 * errors
    coverage = (held * binom.pmf(successes, count, shares[:, np.newaxis])).sum(axis=1)
    assert coverage.min() > least
    assert coverage[200:700].mean() < 0.98, "they are not simply wide"


def test_far_from_the_ends_it_is_the_usual_one() -> None:
    assert error_of_share(3_000, 10_000) == pytest.approx(np.sqrt(0.3 * 0.7 / 10_000), rel=1e-3)


def sets(shift: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 4)) + shift, rng.normal(size=(150, 4))


def test_samples_none_of_which_look_real_claim_no_certainty() -> None:
    scores = manifold_scores(*sets(100.0))
    assert [scores.precision.value, scores.density.value, scores.coverage.value] == [0, 0, 0]
    assert scores.precision.std_error == error_of_share(0, 200) > 0
    for value in (scores.density, scores.coverage):
        assert value.std_error is None
        assert str(why_withheld(value.warnings)).startswith("The standard error is unreliable and left out: all images")


def test_samples_of_which_a_handful_look_real_have_no_error_of_what_these_few_decide() -> None:
    generated, reference = sets(100.0)
    generated[:3] -= 100.0
    scores = manifold_scores(generated, reference)
    assert scores.precision.value == 3 / 200
    assert scores.precision.std_error == error_of_share(3, 200)
    for value in (scores.density, scores.coverage):
        assert value.value > 0
        assert value.std_error is None
        assert "fewer than 10 of the images" in str(why_withheld(value.warnings))


def test_a_reference_that_is_covered_many_times_over_has_no_error_of_its_coverage() -> None:
    rng = np.random.default_rng(1)
    scores = manifold_scores(rng.normal(size=(3000, 2)), rng.normal(size=(60, 2)) * 0.5)
    assert scores.coverage.value == 1
    assert scores.coverage.std_error is None
    assert why_withheld(scores.coverage.warnings) is not None


def test_noise_of_which_all_is_authentic_claims_no_certainty() -> None:
    value = authenticity(*sets(100.0))
    assert (value.value, value.std_error) == (1.0, error_of_share(200, 200))

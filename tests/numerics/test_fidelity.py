"""`frechet_distance` on features as a notebook has them: number, error, bias, warnings, and the same in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.base import EvaluationSummary
from vaeval_core.metrics.effective_images import why_withheld
from vaeval_core.metrics.fidelity import frechet_distance, frechet_distance_of_samples
from vaeval_core.metrics.gaussian_fit import GaussianFit


class Pieces:
    """Features in pieces of odd sizes, as shard files have them; counts how often they are read."""

    def __init__(self, rows: np.ndarray, size: int) -> None:
        self._rows, self._size = rows, size
        self.shape = rows.shape
        self.times_read = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        self.times_read += 1
        yield from (self._rows[start : start + self._size] for start in range(0, len(self._rows), self._size))


def features(count: int, dimension: int, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(count).normal(size=(count, dimension)) * scale


def test_the_published_seeded_case() -> None:
    # Four independent routes gave 2.57545541770579 for these draws.
    draws = np.random.RandomState(0)
    real = draws.randn(500, 16)
    generated = draws.randn(400, 16) * 1.2 + 0.3
    result = frechet_distance(generated, real)
    assert result.value == pytest.approx(2.57545541770579, rel=1e-12)
    assert (result.num_images, result.kind, result.warnings) == (400, "finite", ())
    assert result.std_error is not None
    assert result.bias is not None
    assert result.influence is not None
    assert result.influence.shape == (400,)


@pytest.mark.parametrize(("count", "dimension"), [(3000, 5), (30, 40)])
def test_features_in_pieces_give_the_same_bits_and_are_read_twice_at_most(count: int, dimension: int) -> None:
    generated, real = features(count, dimension, 2.0), features(count + 1, dimension)
    pieces = Pieces(generated, 700)
    whole, cut = frechet_distance(generated, real), frechet_distance(pieces, real)
    assert cut == whole
    np.testing.assert_array_equal(cut.influence, whole.influence)
    assert pieces.times_read <= 2


def test_a_fitted_gaussian_may_stand_for_the_reference() -> None:
    generated = features(100, 3, 2.0)
    result = frechet_distance(generated, GaussianFit(None, np.zeros(3), np.eye(3)))
    mean, covariance = generated.mean(0), np.cov(generated.T)
    # With the unit covariance the product has the roots of the other one's eigenvalues.
    expected = mean @ mean + np.square(np.sqrt(np.linalg.eigvalsh(covariance)) - 1).sum()
    assert result.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (40, None),
        (39, "39 images are fewer than twice the 20 feature dimensions"),
        (20, "20 images span at most 19 of 20 feature dimensions: most of this distance may be bias"),
    ],
)
def test_few_images_are_a_warning_that_grows_stronger(count: int, words: str | None) -> None:
    result = frechet_distance(features(count, 20, 2.0), features(200, 20))
    few = [warning for warning in result.warnings if "images" in warning and "error" not in warning]
    assert len(few) == (0 if words is None else 1)
    assert all(words in warning for warning in few)
    assert (result.bias is None) == (words is not None), "the bias is known from twice the dimensions on"


def test_a_reference_of_few_images_is_a_warning_too() -> None:
    (warning,) = frechet_distance(features(200, 20, 2.0), features(15, 20)).warnings
    assert warning.startswith("15 images span at most 14 of 20")


def test_an_error_that_few_images_decide_is_left_out_with_a_warning() -> None:
    generated = features(200, 3)
    generated[5] += 100
    result = frechet_distance(generated, features(300, 3))
    assert result.std_error is None
    assert result.warnings[-1].startswith("The standard error is unreliable and left out")
    assert result.influence is not None, "against another checkpoint with the same outlier it may tell enough"


def test_below_a_hundred_images_a_distance_has_no_error_and_the_reason_is_said() -> None:
    result = frechet_distance(features(99, 3, 2.0), features(300, 3))
    assert result.std_error is None
    assert result.warnings == (
        "The standard error is unreliable and left out: that of a distance needs 100 images. Evaluate more images.",
    )
    assert why_withheld(result.warnings) == result.warnings[0]
    assert frechet_distance(features(100, 3, 2.0), features(300, 3)).std_error is not None


@pytest.mark.parametrize(("count", "is_said"), [(119, True), (120, False)])
def test_below_two_images_per_feature_a_row_says_that_its_error_is_on_the_safe_side(count: int, is_said: bool) -> None:
    result = frechet_distance(features(count, 60, 2.0), features(200, 60))
    assert result.std_error is not None
    assert any("on the safe side" in warning for warning in result.warnings) is is_said


def test_two_images_have_a_distance_without_an_error() -> None:
    result = frechet_distance(features(2, 3), features(50, 3))
    assert result.value is not None
    assert (result.std_error, result.bias, result.influence) == (None, None, None)


@pytest.mark.parametrize("side", ["generated", "reference"])
def test_features_that_are_not_finite_are_refused_by_side_number_and_place(side: str) -> None:
    good, bad = features(50, 3), features(40, 3)
    bad[7, 1], bad[9, 0] = np.nan, np.inf
    pair = (bad, good) if side == "generated" else (good, bad)
    with pytest.raises(InvalidInput, match=rf"{side} features are not finite.* Received: 2 values .*first in row 7"):
        frechet_distance(*pair)


def test_features_of_two_extractors_are_refused_with_both_lengths() -> None:
    with pytest.raises(InvalidInput, match=r"Received: 4 and 3 Expected: features of one extractor"):
        frechet_distance(features(50, 4), features(50, 3))


def test_an_evaluation_of_features_that_overflow_goes_on_without_the_number_and_says_why() -> None:
    huge = FeatureRows(features(40, 60) * 1e30)
    summary = EvaluationSummary(counts={"samples": 40}, features={"samples": huge})
    value = frechet_distance_of_samples(summary, GaussianFit(None, np.zeros(60), np.eye(60)))
    assert (value.value, value.kind, value.num_images) == (None, "inf", 40)
    assert "too large for a distance. Received: values of the size of" in str(value.reason)


def test_one_image_is_refused() -> None:
    with pytest.raises(TooFewImages, match=r"Received: num_images=1 Expected: 2 or more"):
        frechet_distance(features(1, 4), features(50, 4))

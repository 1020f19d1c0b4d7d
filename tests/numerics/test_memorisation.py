"""Authenticity against cases by hand and a double loop."""

from __future__ import annotations

import numpy as np
import pytest

from tests.feature_pieces import Pieces
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.manifold import manifold_scores_of
from vaeval_core.metrics.memorisation import authenticity, authenticity_of
from vaeval_core.metrics.pair_statistics import SetStatistics, pair_statistics, set_statistics


def by_double_loop(generated: np.ndarray, training: np.ndarray) -> float:
    """The definition, with every distance from the difference of two rows."""
    authentic = 0
    for row in generated:
        distances = [float(np.square(row - other).sum()) for other in training]
        nearest = int(np.argmin(distances))
        others = [
            float(np.square(training[nearest] - other).sum())
            for number, other in enumerate(training)
            if number != nearest
        ]
        authentic += distances[nearest] > min(others)
    return authentic / len(generated)


def test_three_points_on_a_line_by_hand() -> None:
    # 15 is 3 from 12, which has 10 at 2: authentic. 4 is 1 from 3, which has 10 at 7; 13 is 1 from 12: both copied.
    result = authenticity(np.array([[15.0], [4.0], [13.0]]), np.array([[3.0], [10.0], [12.0]]))
    assert result.value == pytest.approx(1 / 3, rel=1e-15)
    assert result.num_images == 3
    assert result.std_error == pytest.approx(np.sqrt(3 / 7 * 4 / 7 / 3), rel=1e-12), "two more of each"
    assert result.warnings == ()


def test_a_double_loop_agrees() -> None:
    rng = np.random.default_rng(0)
    for training_size in (5, 40):
        generated, training = rng.normal(size=(60, 3)), rng.normal(size=(training_size, 3))
        assert authenticity(generated, training).value == pytest.approx(by_double_loop(generated, training), rel=1e-15)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_copies_are_neither_authentic_nor_overlooked(offset: float) -> None:
    training = np.random.default_rng(1).normal(size=(1200, 16)) + offset
    far = np.random.default_rng(2).normal(size=(70, 16)) * 50 + offset
    result = authenticity(np.concatenate([training[-30:], far]), training)
    assert result.value == 0.7
    assert result.warnings == ("30 of 100 generated images have the features of a training image.",)


def test_copies_of_images_that_are_in_the_training_set_twice_are_copies() -> None:
    training = np.repeat(np.random.default_rng(3).normal(size=(50, 16)) + 30, 2, axis=0)
    result = authenticity(training[::3], training)
    assert result.value == 0
    assert result.warnings == ("34 of 34 generated images have the features of a training image.",)


def test_a_near_copy_is_not_authentic_and_not_counted_as_a_copy() -> None:
    training = np.random.default_rng(4).normal(size=(50, 16))
    result = authenticity(training + 1e-3, training)
    assert (result.value, result.warnings) == (0, ())


def test_how_rows_arrive_and_their_order_change_no_bit() -> None:
    rng = np.random.default_rng(5)
    generated, training = rng.normal(size=(1100, 3)), rng.normal(size=(1500, 3))
    whole = authenticity(generated, training)
    assert authenticity(Pieces(generated, [3, 1000]), Pieces(training, [700])) == whole
    assert authenticity(generated, rng.permutation(training)) == whole
    assert authenticity(rng.permutation(generated), training).value == whole.value


def test_the_pass_of_the_other_metrics_serves_it_too() -> None:
    rng = np.random.default_rng(6)
    generated, training = rng.normal(size=(80, 3)), rng.normal(size=(90, 3))
    pairs = pair_statistics(generated, training, neighbours=5)
    expected = authenticity(generated, training)
    assert authenticity_of(pairs) == expected
    assert manifold_scores_of(pairs).precision.value != expected.value
    known = SetStatistics.from_arrays(set_statistics(training, neighbours=1).to_arrays())
    assert authenticity(generated, training, known_training=known) == expected


def test_the_standard_error_is_the_spread_over_generated_sets() -> None:
    training = np.random.default_rng(999).normal(size=(150, 4))
    values = [authenticity(np.random.default_rng(seed).normal(size=(100, 4)), training) for seed in range(150)]
    spread = np.std([value.value for value in values], ddof=1)
    assert np.mean([value.std_error for value in values]) == pytest.approx(spread, rel=0.2)


def test_what_cannot_be_used_is_refused_with_what_it_is() -> None:
    rows = np.random.default_rng(7).normal(size=(9, 3))
    with pytest.raises(TooFewImages, match=r"few training features. Received: num_images=1 Expected: 2 or more"):
        authenticity(rows, rows[:1])
    with pytest.raises(TooFewImages, match=r"few generated features. Received: num_images=0 Expected: 2 or more"):
        authenticity(rows[:0], rows)
    with pytest.raises(InvalidInput, match=r"Received: 3 \(generated\) and 2 \(training\)"):
        authenticity(rows, rows[:, :2])
    with pytest.raises(InvalidInput, match=r"training features are not finite. Received: 3 values"):
        authenticity(rows, np.where(np.arange(9)[:, np.newaxis] == 4, np.nan, rows))
    with pytest.raises(InvalidInput, match=r"Received: neighbours=0 Expected: 1 or more"):
        authenticity_of(pair_statistics(rows, rows, neighbours=0))


def test_features_too_large_for_distances_give_a_reason_instead_of_a_number() -> None:
    rows = np.random.default_rng(8).normal(size=(20, 3))
    result = authenticity(rows * 1e200, rows)
    assert result.kind == "nan"
    assert "too large" in str(result.reason)

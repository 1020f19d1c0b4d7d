"""Numbers per image against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.measurements.gaussian_divergence import divergence_to_standard_normal
from vaeval_core.measurements.reconstruction_error import cross_entropy, peak_signal_to_noise, squared_error
from vaeval_core.quantisation import is_finite, to_float, to_uint8


def image(*pixels: float) -> np.ndarray:
    return np.array(pixels, np.float32).reshape(1, 1, -1, 1)


def test_squared_error_is_a_mean_over_pixels() -> None:
    assert squared_error(image(0, 1), image(0.5, 1))[0] == pytest.approx(0.125)


def test_squared_error_sees_values_outside_the_range() -> None:
    assert squared_error(image(1, 1), image(2, 1))[0] == pytest.approx(0.5)


def test_cross_entropy_of_a_fair_coin_is_ln_two_a_pixel() -> None:
    assert cross_entropy(image(0, 1, 1), image(0.5, 0.5, 0.5))[0] == pytest.approx(3 * np.log(2))


def test_cross_entropy_of_certain_and_wrong_is_clipped() -> None:
    assert cross_entropy(image(1), image(0))[0] == pytest.approx(7 * np.log(10))  # -ln 1e-7 = 16.118
    assert cross_entropy(image(0), image(1))[0] == pytest.approx(7 * np.log(10), rel=1e-6)


def test_cross_entropy_of_a_grey_image_with_itself_is_its_entropy() -> None:
    # ∫ H(x) dx over [0, 1] is ½ nat: a uniform grey ramp has that floor per pixel.
    ramp = (np.arange(10_000, dtype=np.float32) + 0.5) / 10_000
    assert cross_entropy(image(*ramp), image(*ramp))[0] / 10_000 == pytest.approx(0.5, rel=1e-5)


def test_a_constant_offset_has_its_textbook_ratio() -> None:
    ones, sixes = np.full((1, 2, 2, 3), 1, np.uint8), np.full((1, 2, 2, 3), 6, np.uint8)
    assert peak_signal_to_noise(ones, sixes)[0] == pytest.approx(20 * np.log10(255 / 5))


def test_an_identical_image_is_capped_at_100_decibels() -> None:
    same = np.full((1, 2, 2, 1), 9, np.uint8)
    assert peak_signal_to_noise(same, same)[0] == pytest.approx(100)


@pytest.mark.parametrize(
    ("mean", "variance", "nats"),
    [(0, 1, 0.0), (1, 1, 0.5), (0, 4, 0.8068528194), (2, 0.25, 2.3181471806)],
)
def test_divergence_of_known_gaussians(mean: float, variance: float, nats: float) -> None:
    result = divergence_to_standard_normal(np.float32([[mean]]), np.log(np.float32([[variance]])))
    assert result[0, 0] == pytest.approx(nats, rel=1e-6)


def test_divergence_at_the_edges_of_float32() -> None:
    log_variance = np.float32([[-30, 20, 800]])
    result = divergence_to_standard_normal(np.zeros((1, 3), np.float32), log_variance)[0]
    assert result[0] == pytest.approx(14.5, rel=1e-9)
    assert result[1] == pytest.approx((np.exp(20) - 21) / 2, rel=1e-12)
    assert result[2] == np.inf


def test_quantisation_rounds_and_clamps() -> None:
    levels = to_uint8(np.float32([-1, 0, 0.4999 / 255, 0.5001 / 255, 1, 7]))
    assert levels.tolist() == [0, 0, 0, 1, 255, 255]


def test_every_level_survives_the_trip() -> None:
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(to_float(levels)), levels)


def test_images_with_nan_are_flagged_one_by_one() -> None:
    images = np.zeros((3, 1, 2, 1), np.float32)
    images[1, 0, 1, 0] = np.nan
    images[2, 0, 0, 0] = np.inf
    assert is_finite(images).tolist() == [1, 0, 0]
    assert to_uint8(images)[1:].ravel().tolist() == [0, 0, 255, 0]

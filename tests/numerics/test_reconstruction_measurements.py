"""What is measured on a reconstruction, by hand, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.measurements.reconstruction_error import (
    absolute_error,
    cross_entropy,
    cross_entropy_excess,
    cross_entropy_floor,
    is_capped,
    mean_cross_entropy,
    peak_signal_to_noise,
    squared_error,
    summed_squared_error,
)
from vaeval_core.measurements.reconstruction_measurements import measure_drawn_reconstruction, measure_reconstruction
from vaeval_core.quantisation import to_uint8


def image(*pixels: float) -> np.ndarray:
    return np.array(pixels, np.float32).reshape(1, 1, -1, 1)


def random_pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.random(shape, dtype=np.float32)
    noise = generator.normal(0, 0.1, shape).astype(np.float32)
    return images, np.clip(images + noise, 0, 1).astype(np.float32)


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_absolute_error_is_a_mean_over_pixels() -> None:
    assert absolute_error(image(0, 1, 0.5), image(0.5, 1, 0.25))[0] == pytest.approx(0.25)


def test_absolute_error_sees_values_outside_the_range() -> None:
    assert absolute_error(image(1, 1), image(2, 1))[0] == pytest.approx(0.5)


def test_the_floor_of_a_uniform_ramp_is_half_a_nat_a_pixel() -> None:
    # ∫ -[x ln x + (1 - x) ln(1 - x)] dx over [0, 1] = ½
    ramp = (np.arange(10_000, dtype=np.float32) + 0.5) / 10_000
    assert cross_entropy_floor(image(*ramp))[0] / 10_000 == pytest.approx(0.5, rel=1e-6)


def test_the_floor_of_middle_grey_is_ln_two_and_of_black_and_white_nothing() -> None:
    assert cross_entropy_floor(image(0.5))[0] == pytest.approx(math.log(2), rel=1e-12)
    assert cross_entropy_floor(image(0, 1, 1)).tolist() == [0.0]


def test_the_excess_is_the_divergence_of_the_pixels() -> None:
    # KL(Bernoulli(¾) ‖ Bernoulli(½)) = ¾ ln 1.5 + ¼ ln 0.5, and nothing for the pixel that is right.
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert cross_entropy_excess(image(0.75, 0.25), image(0.5, 0.25))[0] == pytest.approx(expected, rel=1e-7)


def test_the_cross_entropy_is_floor_and_excess() -> None:
    images, reconstructions = random_pair(5, 6, 7, 3)
    total = cross_entropy_floor(images) + cross_entropy_excess(images, reconstructions)
    np.testing.assert_allclose(cross_entropy(images, reconstructions), total, rtol=1e-12)


def test_nothing_beats_the_floor() -> None:
    images, reconstructions = random_pair(5, 6, 7, 3)
    assert cross_entropy_excess(images, images).max() < 1e-3
    assert (cross_entropy_excess(images, images) >= 0).all()
    assert (cross_entropy_excess(images, reconstructions) > 0.1).all()


def test_a_perfect_reconstruction_is_capped_and_counted() -> None:
    pair = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 3], np.uint8).reshape(2, 1, 1, 1).repeat(4, 1).repeat(4, 2)
    decibels = peak_signal_to_noise(*pair)
    assert decibels[0] == 100.0
    assert decibels[1] == pytest.approx(20 * math.log10(255 / 3))
    assert is_capped(decibels).tolist() == [1.0, 0.0]


def test_a_constant_offset_has_a_closed_form() -> None:
    levels = np.full((1, 3, 5, 3), 51, np.uint8)
    assert peak_signal_to_noise(levels, levels + 51)[0] == pytest.approx(-20 * math.log10(0.2), rel=1e-12)


def test_a_colour_image_gets_every_measurement_by_its_name() -> None:
    images, reconstructions = random_pair(3, 16, 18, 3)
    measured = measure_reconstruction(images, reconstructions)
    assert {name: values.shape for name, values in measured.items()} == dict.fromkeys(
        (
            "squared_error",
            "summed_squared_error",
            "absolute_error",
            "cross_entropy",
            "mean_cross_entropy",
            "cross_entropy_floor",
            "cross_entropy_excess",
            "peak_signal_to_noise",
            "peak_signal_to_noise/capped",
            "structural_similarity",
        ),
        (3,),
    )
    assert {values.dtype for values in measured.values()} == {np.dtype(np.float64)}
    drawn = measure_drawn_reconstruction(images, reconstructions)
    shared = {name: values for name, values in measured.items() if f"drawn/{name}" in drawn}
    assert len(shared) == 9
    for name, values in shared.items():
        assert np.array_equal(drawn[f"drawn/{name}"], values)


def test_a_diverged_draw_is_flagged() -> None:
    images = np.zeros((2, 3, 3, 1), np.float32)
    reconstructions = images.copy()
    reconstructions[1, 0, 0, 0] = np.nan
    assert measure_drawn_reconstruction(images, reconstructions)["drawn/finite"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("side", "has_windows", "has_scales"), [(10, False, False), (11, True, False), (176, True, True)]
)
def test_small_images_have_no_similarity(side: int, has_windows: bool, has_scales: bool) -> None:
    images = np.zeros((1, side, 180, 1), np.float32)
    measured = measure_reconstruction(images, images)
    assert ("structural_similarity" in measured, "multiscale_similarity" in measured) == (has_windows, has_scales)


# --- mistakes of published code ---------------------------------------------------------------------------------------


def test_sums_and_means_over_pixels_are_different_numbers_with_different_names() -> None:
    images, reconstructions = random_pair(4, 5, 6, 3)
    np.testing.assert_allclose(
        summed_squared_error(images, reconstructions), 90 * squared_error(images, reconstructions), rtol=1e-12
    )
    np.testing.assert_allclose(cross_entropy(images, reconstructions), 90 * mean_cross_entropy(images, reconstructions))


def test_colour_channels_are_summed_and_not_averaged() -> None:
    # A mean over the last axis before the sum makes a third of it, and shows only with three channels.
    grey, colour = np.full((1, 2, 2, 1), 1, np.float32), np.full((1, 2, 2, 3), 1, np.float32)
    half = 0.5 * colour
    assert cross_entropy(colour, half)[0] == pytest.approx(3 * cross_entropy(grey, half[..., :1])[0], rel=1e-12)


def test_levels_are_rounded_and_not_truncated() -> None:
    # 0.9999 of a level above 100 is level 101 to a reader; cut off it would be 100, and cost 48 dB.
    images = np.full((1, 2, 2, 1), 101 / 255, np.float32)
    reconstructions = np.full((1, 2, 2, 1), 100.9999 / 255, np.float32)
    assert measure_reconstruction(images, reconstructions)["peak_signal_to_noise"][0] == 100.0


def test_decoder_output_is_clamped_before_its_levels_are_compared() -> None:
    images = np.ones((1, 12, 12, 1), np.float32)
    measured = measure_reconstruction(images, images + 0.5)
    assert (measured["peak_signal_to_noise"][0], measured["structural_similarity"][0]) == (100.0, 1.0)


def test_the_mean_ratio_is_not_the_ratio_of_the_mean_error() -> None:
    # Errors of 0.01 and 0.0001: 20 and 40 decibels, 30 on average; their mean error would give 22.97.
    zeros = np.zeros((2, 1, 10_000, 1), np.uint8)
    other = zeros.copy()
    other[0, 0, :100], other[1, 0, :1] = 255, 255
    decibels = peak_signal_to_noise(zeros, other)
    np.testing.assert_allclose(decibels, [20, 40], rtol=1e-12)
    assert decibels.mean() == pytest.approx(30)


def test_a_value_does_not_depend_on_the_batch_that_an_image_is_in() -> None:
    images, reconstructions = random_pair(7, 12, 13, 3)
    whole = measure_reconstruction(images, reconstructions)
    for part in (slice(0, 3), slice(3, 7)):
        for name, values in measure_reconstruction(images[part], reconstructions[part]).items():
            assert np.array_equal(values, whole[name][part]), name


# --- input that cannot be right ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("measurement", [squared_error, absolute_error, cross_entropy, cross_entropy_excess])
@pytest.mark.parametrize(
    ("images", "received", "expected"),
    [
        (image(-1, 1), "values from -1 to 1", r"finite intensities in \[0, 1\]"),
        (image(0, 255), "values from 0 to 255", "images / 255"),
        (image(0, np.nan), "values from nan to nan", "finite intensities"),
        (image(0, 1)[0], r"images \(1, 2, 1\), reconstructions \(1, 1, 2, 1\)", r"both \(n, h, w, c\)"),
        (image(0), r"images \(1, 1, 1, 1\)", r"both \(n, h, w, c\)"),
        (image(0, 1).astype(np.float16), "images float16, reconstructions float32", "float32 or float64"),
        (to_uint8(image(0, 1)), "images uint8", "to_float"),
    ],
)
def test_wrong_images_are_named(measurement: object, images: np.ndarray, received: str, expected: str) -> None:
    with pytest.raises(InvalidInput, match=f"{received}.*{expected}"):
        measurement(images, image(0, 1))  # type: ignore[operator]


def test_levels_that_are_floats_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"uint8: the range.*images float32, reconstructions uint8.*to_uint8"):
        peak_signal_to_noise(image(0, 1), to_uint8(image(0, 1)))  # type: ignore[arg-type]


def test_the_floor_of_images_in_another_range_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"values from -1 to 1.*\(images \+ 1\) / 2"):
        cross_entropy_floor(image(-1, 1))

"""SSIM and MS-SSIM against a direct convolution, window by window, written from the papers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import convolve2d

from vaeval_core.errors import InvalidInput
from vaeval_core.measurements.multiscale_similarity import multiscale_similarity
from vaeval_core.measurements.structural_similarity import structural_similarity


def window() -> np.ndarray:
    """The 11 × 11 window as a table, from its two-dimensional density."""
    rows, columns = np.mgrid[-5:6, -5:6]
    weights = np.exp(-(rows**2 + columns**2) / (2 * 1.5**2))
    return np.asarray(weights / weights.sum())


def maps(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance and contrast-structure of one channel, both moments about the window's own means."""

    def weighted(values: np.ndarray) -> np.ndarray:
        return np.asarray(convolve2d(values, window(), mode="valid"))

    one, other = one.astype(float), other.astype(float)
    mean_one, mean_other = weighted(one), weighted(other)
    variance_one = weighted(one**2) - mean_one**2
    variance_other = weighted(other**2) - mean_other**2
    covariance = weighted(one * other) - mean_one * mean_other
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (
        (2 * mean_one * mean_other + c1) / (mean_one**2 + mean_other**2 + c1),
        (2 * covariance + c2) / (variance_one + variance_other + c2),
    )


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over windows and channels of an image (h, w, c)."""
    channels = [maps(one[..., c], other[..., c]) for c in range(one.shape[2])]
    return float(np.mean([luminance * contrast for luminance, contrast in channels]))


def similarity_of_scales(one: np.ndarray, other: np.ndarray) -> float:
    channels = []
    for c in range(one.shape[2]):
        x, y, value = one[..., c].astype(float), other[..., c].astype(float), 1.0
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            if scale:
                box = np.full((2, 2), 0.25)
                x, y = (convolve2d(v, box, mode="valid")[::2, ::2] for v in (x, y))
            luminance, contrast = maps(x, y)
            term = np.mean(luminance * contrast) if scale == 4 else np.mean(contrast)
            value *= max(term, 0.0) ** weight
        channels.append(value)
    return float(np.mean(channels))


def images(count: int, *shape: int) -> np.ndarray:
    """Smooth images: structure at several scales, as in photographs."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    waves = [
        np.sin(generator.uniform(0.02, 0.4) * rows + generator.uniform(0.02, 0.4) * columns + generator.uniform(0, 6))
        for _ in range(count * shape[2])
    ]
    smooth = np.stack(waves).reshape(count, shape[2], *shape[:2]).transpose(0, 2, 3, 1)
    return (127.5 + 100 * smooth + generator.uniform(-20, 20, smooth.shape)).astype(np.uint8)


def disturbed(original: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, sigma, original.shape)
    return np.clip(original + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(11, 11, 1), (11, 40, 3), (28, 28, 1), (45, 77, 3)])
def test_similarity_is_that_of_a_direct_convolution(shape: tuple[int, int, int]) -> None:
    originals = images(3, *shape)
    reconstructions = np.stack([disturbed(originals[0], 3), disturbed(originals[1], 60), 255 - originals[2]])
    expected = [similarity(*pair) for pair in zip(originals, reconstructions, strict=True)]
    np.testing.assert_allclose(structural_similarity(originals, reconstructions), expected, rtol=1e-10)
    assert expected[2] < 0  # an inverted image: structure of the other sign


def test_similarity_of_scales_is_that_of_a_direct_convolution() -> None:
    originals = images(2, 179, 176, 1)  # odd: at two scales a last row is left out
    reconstructions = np.stack([disturbed(originals[0], 3), disturbed(originals[1], 60)])
    expected = [similarity_of_scales(*pair) for pair in zip(originals, reconstructions, strict=True)]
    np.testing.assert_allclose(multiscale_similarity(originals, reconstructions), expected, rtol=1e-10)
    assert expected[0] > expected[1]


def test_an_image_is_wholly_similar_to_itself() -> None:
    originals = images(1, 176, 176, 3)
    assert structural_similarity(originals, originals).tolist() == [1.0]
    np.testing.assert_allclose(multiscale_similarity(originals, originals), 1.0, rtol=1e-14)


def test_two_flat_images_differ_in_luminance_alone() -> None:
    dark, light = np.full((1, 12, 12, 1), 50, np.uint8), np.full((1, 12, 12, 1), 150, np.uint8)
    expected = (2 * 50 * 150 + 2.55**2) / (50**2 + 150**2 + 2.55**2)
    assert structural_similarity(dark, light)[0] == pytest.approx(expected, rel=1e-10)


def test_an_inverted_image_has_no_power_at_any_scale() -> None:
    originals = images(1, 176, 176, 1)
    assert multiscale_similarity(originals, 255 - originals).tolist() == [0.0]


def test_a_shift_of_brightness_costs_less_than_noise_of_the_same_size() -> None:
    original = images(1, 176, 176, 1)
    shifted = np.clip(original.astype(int) + 20, 0, 255).astype(np.uint8)
    noisy = disturbed(original, 20)
    assert multiscale_similarity(original, shifted)[0] > 0.9
    assert multiscale_similarity(original, shifted)[0] > multiscale_similarity(original, noisy)[0]


# --- mistakes of published code ---------------------------------------------------------------------------------------


def test_a_range_that_is_twice_the_data_is_not_possible() -> None:
    # With C₁ and C₂ of range 2 instead of 1 a blurred image looks more similar: here 255 levels are the range, always.
    originals, reconstructions = images(1, 32, 32, 1), disturbed(images(1, 32, 32, 1), 30)
    inflated = structural_similarity(originals // 2, reconstructions // 2)[0]  # half the contrast, same constants
    true = structural_similarity(originals, reconstructions)[0]
    assert inflated > true + 0.01
    assert true == pytest.approx(similarity(originals[0], reconstructions[0]), rel=1e-10)


def test_floats_whose_range_would_have_to_be_guessed_are_refused() -> None:
    floats = np.zeros((1, 12, 12, 1), np.float32)
    with pytest.raises(InvalidInput, match="the range of the data is then 255, and not a guess"):
        structural_similarity(floats, floats)  # type: ignore[arg-type]


def test_half_precision_is_not_taken_for_levels() -> None:
    halves = np.zeros((1, 12, 12, 1), np.float16)
    with pytest.raises(InvalidInput, match=r"images float16.*Expected: uint8"):
        structural_similarity(halves, halves)  # type: ignore[arg-type]


def test_small_differences_survive_large_means() -> None:
    # In float32 the variance of levels 254 and 255 drowns in the square of their mean.
    original = np.full((1, 16, 16, 1), 255, np.uint8)
    original[0, ::2, ::2] = 254
    reconstruction = np.full((1, 16, 16, 1), 255, np.uint8)
    expected = similarity(original[0], reconstruction[0])
    assert structural_similarity(original, reconstruction)[0] == pytest.approx(expected, rel=1e-12)
    assert expected < 1 - 1e-4


# --- images that are too small ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measurement", "shape", "expected"),
    [(structural_similarity, (10, 64), "at least 11 × 11"), (multiscale_similarity, (176, 175), "at least 176 × 176")],
)
def test_an_image_smaller_than_its_windows_is_named(measurement: object, shape: tuple[int, int], expected: str) -> None:
    levels = np.zeros((1, *shape, 1), np.uint8)
    with pytest.raises(InvalidInput, match=f"{shape[0]} × {shape[1]} pixels.*{expected}"):
        measurement(levels, levels)  # type: ignore[operator]

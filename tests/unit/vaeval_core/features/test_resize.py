"""Resize matrices against values worked out by hand. Against TensorFlow: tests/numerics/test_resize.py."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.features.resize import OVERSHOOTS, RESIZE_KINDS, resize_matrix

FOUR_PIXELS = np.array([[0.0, 1.0], [2.0, 3.0]])


def test_tf1_bilinear_enlarges_four_pixels_as_tensorflow_1_did() -> None:
    matrix = resize_matrix("tf1-bilinear", 2, 4)
    expected = [[0, 0.5, 1, 1], [1, 1.5, 2, 2], [2, 2.5, 3, 3], [2, 2.5, 3, 3]]
    np.testing.assert_array_equal(matrix @ FOUR_PIXELS @ matrix.T, expected)


def test_half_pixel_aligns_centres() -> None:
    matrix = resize_matrix("half-pixel", 2, 4)
    np.testing.assert_array_equal((matrix @ FOUR_PIXELS @ matrix.T)[0], [0, 0.25, 0.75, 1])


def test_tf1_bilinear_shrinks_by_taking_every_other_pixel() -> None:
    np.testing.assert_array_equal(resize_matrix("tf1-bilinear", 4, 2), [[1, 0, 0, 0], [0, 0, 1, 0]])


def test_half_pixel_shrinks_by_mixing_the_two_middle_pixels_only() -> None:
    # Centre of target 0 is (0 + ½) · 3 - ½ = 1, of target 1 is 4: bilinear without antialiasing sees one pixel each.
    expected = np.zeros((2, 6))
    expected[0, 1] = expected[1, 4] = 1
    np.testing.assert_array_equal(resize_matrix("half-pixel", 6, 2), expected)


def test_area_is_the_mean_of_what_a_pixel_covers() -> None:
    # Target pixels are 1.5 source pixels wide.
    np.testing.assert_allclose(resize_matrix("area", 3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], rtol=1e-7)


def test_area_enlarges_by_repeating() -> None:
    np.testing.assert_array_equal(resize_matrix("area", 1, 3), [[1], [1], [1]])


def test_clean_enlarges_by_cubic_convolution() -> None:
    # Target centre 0 is at source position -¼, so pixels 0, 1 are ¼ and 1¼ away and the two left of them do not exist:
    # w(¼) = 1.5/64 - 2.5/16 + 1 = 111/128, w(1¼) = -0.5·125/64 + 2.5·25/16 - 5 + 2 = -9/128; the share is 111/102.
    row = resize_matrix("clean", 2, 4)[0]
    np.testing.assert_allclose(row, [111 / 102, -9 / 102], rtol=1e-6)


def test_clean_shrinks_by_a_kernel_as_wide_as_two_target_pixels_to_either_side() -> None:
    # From 8 to 4: target 1 has its centre at 3.0, pixels are ½, 1½, 2½ … source pixels away, ¼, ¾, 1¼ … target pixels.
    quarter, three_quarters, five_quarters, seven_quarters = 111 / 128, 29 / 128, -9 / 128, -3 / 128
    half = [quarter, three_quarters, five_quarters, seven_quarters]
    row = np.array([half[2], half[1], half[0], half[0], half[1], half[2], half[3], 0])
    np.testing.assert_allclose(resize_matrix("clean", 8, 4)[1], row / row.sum(), rtol=1e-6)


@pytest.mark.parametrize("kind", RESIZE_KINDS)
@pytest.mark.parametrize(("source", "target"), [(1, 1), (1, 299), (8, 299), (299, 299), (640, 299), (1000, 8)])
def test_every_row_is_a_weighted_mean(kind: str, source: int, target: int) -> None:
    matrix = resize_matrix(kind, source, target)
    assert matrix.shape == (target, source)
    assert matrix.dtype == np.float32
    assert matrix.min() >= (-0.15 if kind in OVERSHOOTS else 0)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("kind", RESIZE_KINDS)
def test_the_same_size_changes_nothing(kind: str) -> None:
    np.testing.assert_array_equal(resize_matrix(kind, 299, 299), np.eye(299))


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="Received: lanczos Expected: one of tf1-bilinear, half-pixel, clean, area"):
        resize_matrix("lanczos", 8, 8)


@pytest.mark.parametrize(("source", "target"), [(0, 8), (8, 0), (-1, 8)])
def test_an_axis_without_pixels_is_refused(source: int, target: int) -> None:
    with pytest.raises(InvalidInput, match=f"source={source}, target={target} Expected: both at least 1"):
        resize_matrix("area", source, target)

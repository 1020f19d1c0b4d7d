"""Resize matrices against values worked out by hand. Against TensorFlow: tests/numerics/test_resize.py."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.features.resize import RESIZE_KINDS, resize_matrix

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


@pytest.mark.parametrize("kind", RESIZE_KINDS)
@pytest.mark.parametrize(("source", "target"), [(1, 1), (1, 299), (8, 299), (299, 299), (640, 299), (1000, 8)])
def test_every_row_is_a_weighted_mean(kind: str, source: int, target: int) -> None:
    matrix = resize_matrix(kind, source, target)
    assert matrix.shape == (target, source)
    assert matrix.dtype == np.float32
    assert matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("kind", RESIZE_KINDS)
def test_the_same_size_changes_nothing(kind: str) -> None:
    np.testing.assert_array_equal(resize_matrix(kind, 299, 299), np.eye(299))


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="Received: lanczos Expected: one of tf1-bilinear, half-pixel, area"):
        resize_matrix("lanczos", 8, 8)


@pytest.mark.parametrize(("source", "target"), [(0, 8), (8, 0), (-1, 8)])
def test_an_axis_without_pixels_is_refused(source: int, target: int) -> None:
    with pytest.raises(InvalidInput, match=f"source={source}, target={target} Expected: both at least 1"):
        resize_matrix("area", source, target)

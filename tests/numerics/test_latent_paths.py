"""Paths between latents: right lengths, right ends, and nothing odd where an arc is not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.generation.latent_paths import linear, points_between, spherical, whole_paths
from vaeval_core.protocol import PathKind
from vaeval_core.types import Float32, Float64


def _latents(num: int = 50, size: int = 128, *, seed: int = 1) -> Float32:
    return np.random.Generator(np.random.Philox(seed)).normal(size=(num, size)).astype(np.float32)


def _at(start: list[float], end: list[float], fraction: float) -> list[float]:
    return spherical(np.array([start]), np.array([end]), np.array([fraction]))[0].tolist()


def test_half_way_along_lines_between_prior_draws_the_length_is_0_71_of_theirs() -> None:
    start, end = _latents(2000), _latents(2000, seed=2)
    middle = points_between(start, end, np.full(2000, 0.5), "linear")
    ratio = np.linalg.norm(middle, axis=1).mean() / np.linalg.norm(start, axis=1).mean()
    assert ratio == pytest.approx(1 / math.sqrt(2), abs=0.005)


def test_along_the_arc_between_latents_of_one_length_it_stays() -> None:
    start, end = (
        latents / np.linalg.norm(latents, axis=1, keepdims=True) for latents in (_latents(), _latents(seed=2))
    )
    for fraction in (0.1, 0.5, 0.9):
        points = points_between(7 * start, 7 * end, np.full(50, fraction), "spherical")
        np.testing.assert_allclose(np.linalg.norm(points, axis=1), 7, rtol=1e-6)


def test_the_arc_between_latents_of_one_length_is_that_of_the_published_formula() -> None:
    start, end = (
        latents / np.linalg.norm(latents, axis=1, keepdims=True) for latents in (_latents(), _latents(seed=2))
    )
    t = np.linspace(0.05, 0.95, 50)
    angle = np.arccos((start * end).sum(axis=1))[:, np.newaxis]
    expected = (np.sin((1 - t)[:, np.newaxis] * angle) * start + np.sin(t[:, np.newaxis] * angle) * end) / np.sin(angle)
    np.testing.assert_allclose(
        spherical(start.astype(np.float64), end.astype(np.float64), t), expected, rtol=1e-5, atol=1e-7
    )


def test_the_angle_grows_evenly_along_the_arc() -> None:
    points = [_at([2.0, 0.0], [0.0, 2.0], fraction) for fraction in (0.25, 0.5, 0.75)]
    angles = [math.degrees(math.atan2(y, x)) for x, y in points]
    assert angles == pytest.approx([22.5, 45, 67.5], abs=1e-12)


def test_the_length_grows_evenly_between_unequal_ones() -> None:
    points = [_at([1.0, 0.0], [0.0, 3.0], fraction) for fraction in (0.25, 0.5, 0.75)]
    assert [math.hypot(*point) for point in points] == pytest.approx([1.5, 2, 2.5], rel=1e-12)


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_ends_are_the_latents_themselves_to_the_last_digit(kind: PathKind) -> None:
    start, end = _latents(), _latents(seed=2)
    assert np.array_equal(points_between(start, end, np.zeros(50), kind), start)
    assert np.array_equal(points_between(start, end, np.ones(50), kind), end)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.75])
def test_between_opposite_latents_the_arc_is_half_a_circle(fraction: float) -> None:
    start = _latents(20, 8).astype(np.float64)
    points = spherical(start, -start, np.full(20, fraction))
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), np.linalg.norm(start, axis=1), rtol=1e-12)
    cosine = (points * start).sum(axis=1) / np.square(start).sum(axis=1)
    np.testing.assert_allclose(cosine, math.cos(fraction * math.pi), atol=1e-12)


def test_nearly_opposite_latents_end_where_they_should() -> None:
    start = np.array([[1.0, 0.0, 0.0]])
    for tilt in (1e-3, 1e-6, 1e-7, 1e-9, 1e-12):
        end = np.array([[-math.cos(tilt), math.sin(tilt), 0.0]])
        np.testing.assert_allclose(spherical(start, end, np.array([1 - 1e-13])), end, atol=1e-7)
        assert np.linalg.norm(spherical(start, end, np.array([0.5]))) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-15, 1e-9, 1e-7, 1e-5, 1e-3])
def test_tiny_angles_are_divided_evenly(angle: float) -> None:
    x, y = _at([5.0, 0.0], [5 * math.cos(angle), 5 * math.sin(angle)], 0.25)
    assert x == pytest.approx(5 * math.cos(angle / 4), rel=1e-12)
    assert y == pytest.approx(5 * math.sin(angle / 4), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    ("start", "end"), [([0.0, 0.0], [3.0, 4.0]), ([3.0, 4.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, 0.0])]
)
def test_from_or_to_the_origin_the_path_is_the_line(start: list[float], end: list[float]) -> None:
    expected = linear(np.array([start]), np.array([end]), np.array([0.3]))[0]
    assert _at(start, end, 0.3) == pytest.approx(expected.tolist(), abs=1e-15)


def test_with_one_latent_dimension_the_path_is_the_line() -> None:
    assert _at([-2.0], [1.0], 0.5) == [-0.5]
    assert _at([2.0], [1.0], 0.5) == [1.5]


def test_latents_of_any_size_have_an_arc() -> None:
    for size in (1e-30, 1e30):
        x, y = _at([size, 0.0], [0.0, size], 0.5)
        assert (x / size, y / size) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)), rel=1e-9)


@pytest.mark.parametrize("kind", ["linear", "spherical"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_latents_that_are_not_finite_stay_so_and_touch_no_other_pair(kind: PathKind, value: float) -> None:
    start, end = _latents(3), _latents(3, seed=2)
    expected = points_between(start, end, np.full(3, 0.4), kind)
    start[1, 5] = value
    points = points_between(start, end, np.full(3, 0.4), kind)
    assert not np.isfinite(points[1]).all()
    assert np.array_equal(points[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("kind", ["linear", "spherical"])
@pytest.mark.parametrize("num_steps", [2, 3, 10])
def test_a_path_has_any_number_of_steps_and_both_ends(kind: PathKind, num_steps: int) -> None:
    start, end = _latents(4, 6), _latents(4, 6, seed=2)
    paths = whole_paths(start, end, num_steps, kind)
    assert paths.shape == (4, num_steps, 6)
    assert paths.dtype == np.float32
    assert np.array_equal(paths[:, 0], start)
    assert np.array_equal(paths[:, -1], end)
    if num_steps == 3:
        assert np.array_equal(paths[:, 1], points_between(start, end, np.full(4, 0.5), kind))


@pytest.mark.parametrize("num_steps", [-1, 1])
def test_a_path_of_fewer_than_two_steps_is_refused(num_steps: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        whole_paths(_latents(2), _latents(2), num_steps, "linear")
    assert caught.value.received == f"num_steps={num_steps}"
    assert str(caught.value.expected).startswith("2 or more")


@pytest.mark.parametrize(
    ("end", "fractions", "received"),
    [
        (_latents(3, 4), np.zeros(2), "starts (2, 4), ends (3, 4), fractions (2,)"),
        (_latents(2, 4), np.zeros(3), "starts (2, 4), ends (2, 4), fractions (3,)"),
    ],
)
def test_pairs_that_do_not_fit_together_are_refused(end: Float32, fractions: Float64, received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        points_between(_latents(2, 4), end, fractions, "linear")
    assert caught.value.received == received
    assert caught.value.expected == "(n, k), (n, k) and (n,)"

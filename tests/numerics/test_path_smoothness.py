"""Smoothness of paths, against paths whose smoothness is known: lines, arcs, jumps, and no motion at all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae, linear_gaussian_vae
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.generation.interpolate import decode_paths
from vaeval_core.generation.latent_paths import points_between
from vaeval_core.measurements.path_smoothness import bending, detour, feature_speed, pixel_speed, unevenness
from vaeval_core.metrics.path_length import mean_over_paths, path_length
from vaeval_core.types import Float32, Float64


def _generator() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(2))


def _model() -> LinearGaussianVae:
    weights = 0.1 * np.linalg.qr(_generator().normal(size=(24, 3)))[0] * np.array([3.0, 2.0, 1.0])
    return linear_gaussian_vae(weights, np.full(24, 0.5), 0.01, (4, 6, 1))


def _ends(num: int = 5) -> tuple[Float32, Float32]:
    start, end = _generator().normal(size=(2, num, 3)).astype(np.float32)
    return start, end


def _arc(angle: float, num_pictures: int) -> Float64:
    turns = np.linspace(0, angle, num_pictures)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)[np.newaxis]


def test_along_a_line_through_a_linear_decoder_the_speed_is_the_distance_whatever_the_step() -> None:
    model, (start, end) = _model(), _ends()
    expected = np.square((end - start).astype(np.float64) @ model.weights.T).sum(axis=1)
    fractions = np.linspace(0.1, 0.5, 5)
    for step in (0.5, 1 / 16, 1e-2):
        first, second = (
            model.decode(points_between(start, end, places, "linear")) for places in (fractions, fractions + step)
        )
        np.testing.assert_allclose(
            feature_speed(first.reshape(5, -1), second.reshape(5, -1), step), expected, rtol=1e-4
        )
        np.testing.assert_allclose(pixel_speed(first, second, step), expected / 24, rtol=1e-4)


def test_along_a_line_a_linear_decoder_is_even_direct_and_unbent() -> None:
    start, end = _ends()
    paths = decode_paths(_model(), start, end, num_steps=9, batch=4, kind="linear")
    np.testing.assert_allclose(unevenness(paths), 0, atol=1e-5)
    np.testing.assert_allclose(detour(paths), 1, rtol=1e-6)
    np.testing.assert_allclose(bending(paths), 0, atol=1e-6)


@pytest.mark.parametrize("angle", [0.5, math.pi / 2, 3.0])
def test_an_arc_is_even_and_longer_than_its_chord_and_bends_by_its_angle_squared(angle: float) -> None:
    pictures = _arc(angle, 401)
    assert unevenness(pictures)[0] == pytest.approx(0, abs=1e-12)
    assert detour(pictures)[0] == pytest.approx(angle / (2 * math.sin(angle / 2)), rel=1e-5)
    assert bending(pictures)[0] == pytest.approx(angle**2, rel=1e-4)


def test_all_change_in_one_step_is_as_uneven_as_can_be() -> None:
    pictures = np.zeros((1, 6, 2))
    pictures[0, 4:] = 1
    assert unevenness(pictures)[0] == pytest.approx(1 - 1 / 5, rel=1e-12)


def test_unevenness_and_detour_are_worked_out_by_hand() -> None:
    # Steps of 1, 3 and 1, the last one back: 5 in all, 3 from end to end.
    pictures = np.array([[[0.0], [1.0], [4.0], [3.0]]])
    assert unevenness(pictures)[0] == pytest.approx(3 / 5 - 1 / 3, rel=1e-12)
    assert detour(pictures)[0] == pytest.approx(5 / 3, rel=1e-12)
    # Second differences 2 and -4; first differences 1, 3 and -1.
    assert bending(pictures)[0] == pytest.approx(9 * ((4 + 16) / 2) / ((1 + 9 + 1) / 3), rel=1e-12)


def test_a_path_that_comes_back_has_an_infinite_detour() -> None:
    assert detour(np.array([[[0.0], [1.0], [0.0]]]))[0] == math.inf


def test_a_path_along_which_nothing_changes_is_left_out_of_mean_and_count() -> None:
    pictures = np.zeros((3, 4, 2))
    pictures[1, 1:] = 1
    pictures[2, 2:] = 1
    values = unevenness(pictures)
    assert np.isnan(values).tolist() == [True, False, False]
    assert np.isnan(detour(pictures)).tolist() == np.isnan(bending(pictures)).tolist() == [True, False, False]
    mean = mean_over_paths(values)
    assert mean.value == pytest.approx(2 / 3, rel=1e-12)
    assert mean.num_images == 2
    assert mean.warnings == ("Nothing changes along 1 of 3 paths; they are left out.",)


def test_where_nothing_changes_at_all_there_is_no_mean() -> None:
    mean = mean_over_paths(np.array([np.nan, np.nan]))
    assert mean.kind == "not_applicable"
    assert mean.reason == "Nothing changes along any of 2 paths."


def test_the_mean_over_paths_is_that_of_all_with_its_standard_error() -> None:
    mean = mean_over_paths(np.array([1.0, 2.0, 6.0]))
    assert mean == MetricValue(value=3.0, num_images=3, std_error=mean.std_error)
    assert mean.std_error == pytest.approx(math.sqrt(7 / 3), rel=1e-12)


def test_the_lowest_and_highest_per_cent_of_paths_do_not_count() -> None:
    speeds = np.concatenate([[0.0, 1e9], np.linspace(1, 2, 99)])
    length = path_length(_generator().permutation(speeds))
    # Of 101 values, ranks 1 to 99 lie between the percentiles that are at ranks 1 and 99.
    assert length.value == pytest.approx(1.5, rel=1e-12)
    assert length.num_images == 101
    one_of_each_end = float(stats.mstats.trimmed_stde(speeds, limits=(1 / 101, 1 / 101)))
    assert length.std_error == pytest.approx(one_of_each_end, rel=1e-9)


def test_of_few_paths_all_count() -> None:
    assert path_length(np.array([1.0, 5.0])).value == 3


def test_paths_through_images_that_are_not_finite_are_a_nan_with_a_reason() -> None:
    length = path_length(np.array([1.0, np.nan, np.inf]))
    assert (length.kind, length.value) == ("nan", None)
    assert length.reason == "2 of 3 paths go through images that are not finite."


@pytest.mark.parametrize("reduce", [path_length, mean_over_paths])
@pytest.mark.parametrize("num_paths", [0, 1])
def test_fewer_than_two_paths_have_no_mean(reduce: object, num_paths: int) -> None:
    with pytest.raises(TooFewImages) as caught:
        reduce(np.ones(num_paths))  # type: ignore[operator]
    assert caught.value.received == f"num_paths={num_paths}"
    assert caught.value.expected == "2 or more"


@pytest.mark.parametrize(("shape", "step"), [((2, 3), 0.5), ((2, 4), 0.0), ((2, 4), -0.5), ((2, 4), math.nan)])
def test_a_speed_needs_two_images_some_way_apart(shape: tuple[int, ...], step: float) -> None:
    for speed in (feature_speed, pixel_speed):
        with pytest.raises(InvalidInput) as caught:
            speed(np.zeros((2, 4)), np.zeros(shape), step)
        assert caught.value.received == f"shapes (2, 4) and {shape}, step {step}"
        assert "above 0" in str(caught.value.expected)


@pytest.mark.parametrize(("measure", "fewest"), [(unevenness, 2), (detour, 2), (bending, 3)])
def test_too_few_pictures_on_a_path_are_refused(measure: object, fewest: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        measure(np.zeros((5, fewest - 1, 4)))  # type: ignore[operator]
    assert caught.value.received == f"shape (5, {fewest - 1}, 4)"
    assert f"with {fewest} pictures or more" in str(caught.value.expected)

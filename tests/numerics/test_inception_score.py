"""Inception scores against closed forms, a plain loop and simulation."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from tests.feature_pieces import Pieces
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.inception_score import deviation_over_splits, inception_score


def by_loop(logits: np.ndarray) -> float:
    """The definition, image by image."""
    probabilities = [[exp(value) for value in row] for row in logits]
    probabilities = [[value / sum(row) for value in row] for row in probabilities]
    mean = [sum(column) / len(logits) for column in zip(*probabilities, strict=True)]
    divergences = [sum(p * log(p / q) for p, q in zip(row, mean, strict=True)) for row in probabilities]
    return exp(sum(divergences) / len(divergences))


def test_the_published_two_rows() -> None:
    rows = np.array([[1, 2] * 500 + [4], [4, 5] * 500 + [6]])
    assert inception_score(rows).value == pytest.approx(1.0008087798617324, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 7, 1008])
def test_one_sure_image_of_every_class_scores_the_number_of_classes(classes: int) -> None:
    result = inception_score(np.eye(classes) * 1000 - 700)
    assert result.value == pytest.approx(classes, rel=1e-12)
    assert result.std_error == pytest.approx(0, abs=1e-9)


def test_images_that_are_all_classified_alike_score_one() -> None:
    logits = np.tile(np.random.default_rng(0).normal(size=50), (30, 1))
    result = inception_score(logits)
    assert result.value == pytest.approx(1, rel=1e-12)
    assert result.value >= 1


def test_a_plain_loop_agrees() -> None:
    logits = np.random.default_rng(1).normal(size=(60, 9)) * 2
    assert inception_score(logits).value == pytest.approx(by_loop(logits), rel=1e-12)


def test_a_common_offset_of_the_logits_changes_nothing() -> None:
    logits = np.random.default_rng(2).normal(size=(60, 9)) * 2
    assert inception_score(logits + 1e4).value == pytest.approx(inception_score(logits).value, rel=1e-9)


def test_parts_are_scored_each_by_itself() -> None:
    logits = np.random.default_rng(3).normal(size=(103, 9)) * 2
    result = inception_score(logits, splits=10)
    parts = [by_loop(logits[part * 103 // 10 : (part + 1) * 103 // 10]) for part in range(10)]
    assert result.components == pytest.approx(parts, rel=1e-12)
    assert result.value == pytest.approx(np.mean(parts), rel=1e-12)
    assert result.std_error == pytest.approx(np.std(parts, ddof=1) / np.sqrt(10), rel=1e-9)
    assert result.num_images == 103


def test_what_papers_print_is_the_deviation_over_parts() -> None:
    logits = np.random.default_rng(4).normal(size=(200, 9)) * 2
    parts = inception_score(logits, splits=10)
    published = deviation_over_splits(parts)
    assert published == pytest.approx(np.std(parts.components), rel=1e-12)
    assert parts.std_error is not None
    assert published == pytest.approx(3 * parts.std_error, rel=1e-12)
    assert deviation_over_splits(inception_score(logits)) is None


def test_how_rows_arrive_changes_no_bit_and_their_order_only_the_last() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(2300, 9)) * 2
    for splits in (1, 3):
        whole = inception_score(logits, splits=splits)
        assert inception_score(Pieces(logits, [5, 1200]), splits=splits) == whole
    shuffled = inception_score(rng.permutation(logits))
    assert shuffled.value == pytest.approx(inception_score(logits).value, rel=1e-12)


@pytest.mark.parametrize(("splits", "size"), [(1, 250), (10, 2000)])
def test_the_standard_error_is_the_spread_over_replicates(splits: int, size: int) -> None:
    # Images of the first classes are surer of themselves, so that divergences differ from image to image.
    scale = np.linspace(4, 0.5, 8)
    values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        classes = rng.integers(8, size=size)
        logits = rng.normal(size=(size, 8)) * 0.3 + np.eye(8)[classes] * scale[classes, np.newaxis]
        values.append(inception_score(logits, splits=splits))
    spread = np.std([value.value for value in values], ddof=1)
    errors = np.array([value.std_error for value in values], float)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(spread, rel=0.15)


def test_what_cannot_be_used_is_refused_with_what_it_is() -> None:
    logits = np.random.default_rng(6).normal(size=(9, 3))
    with pytest.raises(TooFewImages, match=r"Received: num_images=9, splits=10 Expected: 10 images or more"):
        inception_score(logits, splits=10)
    with pytest.raises(InvalidInput, match=r"Received: splits=0 Expected: 1 or more"):
        inception_score(logits, splits=0)
    with pytest.raises(TooFewImages, match=r"There are too few logit features. Received: num_images=1 Expected: 2 or"):
        inception_score(logits[:1])
    with pytest.raises(InvalidInput, match=r"1 values that are NaN or infinite, in 1 of 9 rows; first in row 8"):
        inception_score(np.where(np.arange(27).reshape(9, 3) == 25, -np.inf, logits))
    with pytest.raises(InvalidInput, match=r"Received: complex128 of shape \(9, 3\)"):
        inception_score(logits + 0j)

"""Vendi scores against closed forms, the definition by eigenvalues of the similarity matrix, and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.feature_pieces import Pieces
from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.metrics.vendi_score import vendi_score

ORDERS = [0.1, 0.5, 1.0, 2.0, 7.0, np.inf]


def by_definition(rows: np.ndarray, order: float) -> float:
    """From all eigenvalues of the (n, n) matrix of cosines, by another route of NumPy."""
    cosines = np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in rows] for a in rows])
    shares = np.linalg.svd(cosines / len(rows), compute_uv=False)
    shares = shares[shares > 1e-13]
    if order == 1:
        return float(np.prod(shares ** (-shares)))
    return float(1 / shares[0] if np.isinf(order) else (shares**order).sum() ** (1 / (1 - order)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("count", "dimension"), [(1, 4), (5, 9), (9, 5), (40, 5)])
def test_images_that_are_all_alike_count_as_one(count: int, dimension: int, order: float) -> None:
    row = np.random.default_rng(0).normal(size=dimension)
    sizes = np.linspace(0.5, 2, count)[:, np.newaxis]
    assert vendi_score(row * sizes, order=order).value == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_images_at_right_angles_are_counted(order: float) -> None:
    assert vendi_score(np.eye(7, 30) * 5, order=order).value == pytest.approx(7, rel=1e-12)
    assert vendi_score(np.tile(np.eye(7), (6, 1)), order=order).value == pytest.approx(7, rel=1e-12)


def test_two_unequal_groups_by_hand() -> None:
    # Three of one kind and one of another: entropy of (3/4, 1/4); order 2: 1 / (9/16 + 1/16); order ∞: 1 / (3/4).
    rows = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    assert vendi_score(rows).value == pytest.approx((3 / 4) ** (-3 / 4) * (1 / 4) ** (-1 / 4), rel=1e-12)
    assert vendi_score(rows, order=2).value == pytest.approx(1.6, rel=1e-12)
    assert vendi_score(rows, order=np.inf).value == pytest.approx(4 / 3, rel=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("count", "dimension"), [(12, 30), (30, 12), (70, 12)])
def test_the_definition_agrees_whichever_matrix_is_smaller(count: int, dimension: int, order: float) -> None:
    rows = np.random.default_rng(1).normal(size=(count, dimension)) + 0.3
    assert vendi_score(rows, order=order).value == pytest.approx(by_definition(rows, order), rel=1e-9)


def test_sizes_of_features_do_not_matter_even_where_their_squares_would_overflow() -> None:
    rows = np.random.default_rng(2).normal(size=(20, 6))
    expected = vendi_score(rows).value
    for size in (1e-200, 1e200):
        assert vendi_score(rows * size).value == pytest.approx(expected, rel=1e-12)


def test_how_rows_arrive_changes_no_bit_and_their_order_only_the_last() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(2300, 8)) + 0.5
    whole = vendi_score(rows)
    assert vendi_score(Pieces(rows, [5, 1200])) == whole
    assert vendi_score(rng.permutation(rows)).value == pytest.approx(whole.value, rel=1e-12)
    few = rows[:6]
    assert vendi_score(Pieces(few, [5])) == vendi_score(few)


@pytest.mark.parametrize(("count", "dimension"), [(41, 8), (130, 32), (60, 1)])
def test_the_standard_error_is_that_of_leaving_out_every_image_once(count: int, dimension: int) -> None:
    rows = np.random.default_rng(6).normal(size=(count, dimension)) + 0.3
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    entropies = []
    for left_out in range(count):
        shares = np.linalg.svd(np.delete(units, left_out, axis=0) / np.sqrt(count - 1), compute_uv=False) ** 2
        entropies.append(-np.sum(shares * np.log(shares)))
    value = vendi_score(rows)
    assert value.value is not None
    jackknife = value.value * np.sqrt((count - 1) ** 2 / count * np.var(entropies, ddof=1))
    assert value.std_error == pytest.approx(jackknife, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("count", "dimension", "decay", "most"),
    [(200, 8, 0.5, 1.1), (130, 32, 0.2, 1.1), (160, 32, 0, 1.7)],
)
def test_the_standard_error_is_not_below_the_spread_over_replicates(
    count: int, dimension: int, decay: float, most: float
) -> None:
    """300 draws, whose spread is known to 4 %. Of directions that are all alike nothing of first order is left: too large."""
    sizes = np.exp(-np.arange(dimension) * decay)
    values = [vendi_score(np.random.default_rng(seed).normal(size=(count, dimension)) * sizes) for seed in range(300)]
    spread = np.std([value.value for value in values], ddof=1)
    share = np.mean([value.std_error for value in values]) / spread
    assert 0.92 < share < most


def test_an_error_that_a_few_images_decide_is_left_out_with_a_warning() -> None:
    rows = np.abs(np.random.default_rng(7).normal(size=(300, 5))) * [1, 1e-3, 1e-3, 1e-3, 1e-3] + 1e-9
    rows[:3] = np.eye(5)[1:4]
    value = vendi_score(rows)
    assert value.std_error is None
    assert value.warnings[0].startswith("The standard error is unreliable")


def test_there_is_no_standard_error_for_few_images_or_other_orders() -> None:
    rows = np.random.default_rng(4).normal(size=(41, 10))
    assert vendi_score(rows).std_error is not None
    assert vendi_score(rows[:40]).std_error is None
    assert vendi_score(rows, order=2).std_error is None


def test_what_cannot_be_used_is_refused_with_what_it_is() -> None:
    rows = np.random.default_rng(5).normal(size=(9, 3))
    for order in (0, -1, np.nan):
        with pytest.raises(InvalidInput, match=rf"Received: order={order} Expected: more than 0"):
            vendi_score(rows, order=order)
    with pytest.raises(TooFewImages, match=r"Received: num_images=0 Expected: 1 or more"):
        vendi_score(rows[:0])
    with pytest.raises(InvalidInput, match=r"Received: row 4, all 0 Expected: rows that are not all 0"):
        vendi_score(np.where(np.arange(9)[:, np.newaxis] == 4, 0, rows))
    with pytest.raises(InvalidInput, match=r"3 values that are NaN or infinite, in 1 of 9 rows; first in row 2"):
        vendi_score(np.where(np.arange(9)[:, np.newaxis] == 2, np.nan, rows))
    with pytest.raises(InvalidInput, match=r"Received: complex128 of shape \(9, 3\)"):
        vendi_score(rows + 0j)

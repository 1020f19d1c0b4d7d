"""What codes and factors must be, and what is said when they are something else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vaeval_core.disentanglement.fixed_factor_batches import SharingRows
from vaeval_core.disentanglement.labelled_codes import NUM_TEST, NUM_TRAIN, labelled_codes, numbered_factors
from vaeval_core.errors import InvalidInput, TooFewImages


def _codes(num_images: int = 12, num_codes: int = 2) -> NDArray[np.float64]:
    return np.random.Generator(np.random.Philox(1)).normal(size=(num_images, num_codes))


def _factors(num_images: int = 12) -> NDArray[np.int64]:
    return np.stack([np.arange(num_images) % 2, np.arange(num_images) % 3], axis=1)


def test_values_are_numbered_whatever_they_are_called() -> None:
    names = np.array([-7, 100, 3])[_factors()]
    labelled = labelled_codes(_codes(), names)
    assert labelled.num_values == (2, 3)
    # -7 < 3 < 100
    np.testing.assert_array_equal(labelled.factors[:6, 1], [0, 2, 1, 0, 2, 1])


def test_training_and_test_images_are_all_images_and_no_image_is_both() -> None:
    training, test = labelled_codes(_codes(30), _factors(30)).split(seed=4)
    assert (len(training), len(test)) == (20, 10)
    assert sorted([*training, *test]) == list(range(30))


def test_of_many_images_no_more_are_used_than_the_published_setting() -> None:
    training, test = labelled_codes(np.zeros((20_000, 1)), _factors(20_000)).split(seed=4)
    assert (len(training), len(test)) == (NUM_TRAIN, NUM_TEST) == (10_000, 5_000)


def test_standardised_codes_have_mean_0_and_variance_1_and_constant_ones_are_0() -> None:
    codes = np.hstack([5 + 100 * _codes(), np.full((12, 1), 0.1)])
    standardised = labelled_codes(codes, _factors()).standardised()
    np.testing.assert_allclose(standardised.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standardised.std(axis=0), [1, 1, 0], atol=1e-12)


def test_rows_that_share_a_value_do_and_each_is_drawn() -> None:
    labelled = labelled_codes(_codes(30), _factors(30))
    chances = (np.arange(1000) + 0.5) / 1000
    rows = SharingRows(labelled).draw(1, np.array(4), chances)
    assert set(rows.tolist()) == set(range(1, 30, 3))  # 4 mod 3 is 1


@pytest.mark.parametrize(
    ("codes", "received"),
    [
        (np.zeros(12), "float64 of shape (12,)"),
        (np.zeros((12, 0)), "float64 of shape (12, 0)"),
        (np.zeros((12, 2, 2)), "float64 of shape (12, 2, 2)"),
        (np.zeros((12, 2), dtype=complex), "complex128 of shape (12, 2)"),
        (np.full((12, 2), "a"), "<U1 of shape (12, 2)"),
    ],
)
def test_codes_that_are_no_table_of_numbers_are_refused(codes: NDArray[np.generic], received: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        labelled_codes(codes, _factors())
    assert caught.value.received == received
    assert caught.value.expected == "real numbers of shape (images, latent dimensions)"


@pytest.mark.parametrize(
    ("factors", "received", "next_step"),
    [
        (np.arange(12), "int64 of shape (12,)", "factors[:, None]"),
        (np.zeros((12, 0), int), "int64 of shape (12, 0)", "numpy.unique"),
        (np.linspace(0, 1, 12)[:, np.newaxis], "float64 of shape (12, 1)", "numpy.unique"),
    ],
)
def test_factors_that_are_no_table_of_classes_are_refused(
    factors: NDArray[np.generic], received: str, next_step: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        labelled_codes(_codes(), factors)
    assert caught.value.received == received
    assert caught.value.expected == "integers of shape (images, factors)"
    assert next_step in str(caught.value.next_step)


@pytest.mark.parametrize("num_labels", [11, 13])
def test_codes_and_factors_of_different_images_are_refused(num_labels: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        labelled_codes(_codes(), _factors(num_labels))
    assert caught.value.received == f"12 rows of codes, {num_labels} rows of factors"
    assert caught.value.expected == "one row of each for every image"


@pytest.mark.parametrize("num_images", [0, 9])
def test_too_few_images_are_refused(num_images: int) -> None:
    with pytest.raises(TooFewImages) as caught:
        labelled_codes(_codes(num_images), _factors(num_images))
    assert caught.value.received == f"num_images={num_images}"
    assert str(caught.value.expected).startswith("10 or more")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_codes_that_are_not_finite_are_counted_and_the_first_is_named(value: float) -> None:
    codes = _codes()
    codes[[3, 5], 1] = value
    with pytest.raises(InvalidInput) as caught:
        labelled_codes(codes, _factors())
    assert caught.value.received == "2 values that are NaN or infinite, in 2 of 12 rows, first in row 3"
    assert caught.value.expected == "finite codes"


@pytest.mark.parametrize(("columns", "named"), [((0,), "0 of 2"), ((0, 1), "0, 1 of 2")])
def test_a_factor_of_one_value_is_named(columns: tuple[int, ...], named: str) -> None:
    factors = _factors()
    factors[:, list(columns)] = 3
    for refused in (lambda: labelled_codes(_codes(), factors), lambda: numbered_factors(factors)):
        with pytest.raises(InvalidInput) as caught:
            refused()
        assert caught.value.received == f"only one value in column {named}, over 12 images"
        assert caught.value.expected == "two or more values of every factor"


def test_a_rare_value_is_warned_of() -> None:
    factors = _factors(60)
    factors[0, 0] = 2
    assert labelled_codes(_codes(60), factors).warnings == ("A value of factor 0 occurs in only 1 of 60 images.",)
    assert labelled_codes(_codes(60), _factors(60)).warnings == ()

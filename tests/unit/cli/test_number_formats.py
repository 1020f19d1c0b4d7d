"""Numbers as people read them."""

from __future__ import annotations

import pytest

from cli.number_formats import COUNTS, as_score, count, duration, rate, significant, size, with_error
from vaeval_core.metrics.catalogue import METRICS


@pytest.mark.parametrize(
    ("value", "shown"),
    [(312.456, "312.5"), (0.00987654, "0.009877"), (1.0, "1.000"), (98765.4, "98765"), (-2.5, "-2.500"), (0, "0")],
)
def test_a_value_has_four_digits(value: float, shown: str) -> None:
    assert significant(value) == shown


def test_a_tiny_value_has_an_exponent() -> None:
    assert significant(0.0000012345) == "1.234e-06"


@pytest.mark.parametrize(
    ("value", "std_error", "shown"),
    [
        (12.3456, 0.5678, "12.35 ± 0.57"),
        (12.3456, 0.00567, "12.3456 ± 0.0057"),
        (1234.6, 78.9, "1235 ± 79"),
        (1234.6, 789.0, "1235 ± 789"),
        (0.05, 0.1, "0.05 ± 0.10"),
    ],
)
def test_a_value_is_cut_where_its_error_begins(value: float, std_error: float, shown: str) -> None:
    assert with_error(value, std_error) == shown


def test_an_error_of_nothing_is_another_thing_than_none() -> None:
    assert with_error(12.3456, 0.0) == "12.35 ± 0"


@pytest.mark.parametrize("std_error", [None, float("nan"), float("inf")])
def test_an_error_that_is_not_known_is_not_shown(std_error: float | None) -> None:
    assert with_error(12.3456, std_error) == "12.35"


def test_a_minute_that_rounds_up_is_a_minute() -> None:
    assert duration(59.7) == "1 min"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, "under 1 s"), (3600, "1 h"), (3661, "1 h 1 min"), (86_400 + 7200, "1 d 2 h")]
)
def test_a_duration_has_its_two_largest_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_one_has_no_plural() -> None:
    assert (count(0, "image"), count(1, "image"), count(2, "image")) == ("0 images", "1 image", "2 images")


def test_a_rate_has_few_digits() -> None:
    assert (rate(7.96), rate(12345.6)) == ("8.0 images/s", "12,346 images/s")


@pytest.mark.parametrize(
    ("num_bytes", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (80 * 10**9, "80.0 GB"), (2 * 10**12, "2.0 TB")],
)
def test_bytes_come_in_their_largest_unit(num_bytes: int, shown: str) -> None:
    assert size(num_bytes) == shown


def test_counts_are_the_metrics_that_count_something() -> None:
    counting = {name for name, metric in METRICS.items() if metric.unit in {"bins", "latent dimensions"}}
    assert counting == COUNTS
    assert as_score("collapsed_dimensions", 12.0, None) == "12"

"""Numbers as people read them: as many digits as are known, no more. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def significant(value: float, digits: int = 4) -> str:
    """A value with `digits` significant digits, without exponent where that stays short.

    >>> significant(123.456), significant(0.0123456), significant(0.000012345), significant(1234567.0), significant(0.0)
    ('123.5', '0.01235', '1.234e-05', '1234567', '0')
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(digits - 1 - magnitude, 0)}f}"


def with_error(value: float, std_error: float | None, *, is_unreliable: bool = False) -> str:
    """A value and its standard error, the error with two digits and the value cut at the same place.

    Args:
        value: The number.
        std_error: Its standard error, None where there is none.
        is_unreliable: Whether there is none because it would be unreliable.

    >>> with_error(12.3456, 0.5678), with_error(0.0123456, 0.000234), with_error(1234.5, 56.0), with_error(3.0, None)
    ('12.35 ± 0.57', '0.01235 ± 0.00023', '1234 ± 56', '3.000')
    >>> with_error(3.0, None, is_unreliable=True)
    '3.000 ± unreliable'
    """
    if is_unreliable:
        return f"{significant(value)} ± unreliable"
    if std_error is None or not math.isfinite(std_error) or std_error < 0:
        return significant(value)
    if std_error == 0:  # where all images are alike: known exactly, which is another thing than not known
        return f"{significant(value)} ± 0"
    place = 1 - math.floor(math.log10(std_error))
    if place > 7:
        return f"{significant(value, 5)} ± {std_error:.1e}"
    decimals = max(place, 0)
    return f"{value:.{decimals}f} ± {std_error:.{decimals}f}"


COUNTS = frozenset(
    {
        *("ndb", "ndb_reconstructions", "ndb_interpolations", "ndb_fitted"),
        *("active_units", "active_units_0_001", "active_units_0_1", "collapsed_dimensions"),
    }
)
"""Metrics that count: their values have no digits after the point."""


def as_score(metric: str, value: float, std_error: float | None, *, is_unreliable: bool = False) -> str:
    """A value of a metric with its standard error; as `with_error`, but a count has no digits after the point.

    >>> as_score("active_units", 10.0, None), as_score("mig", 1.0, None)
    ('10', '1.000')
    """
    if metric in COUNTS and std_error is None and not is_unreliable:
        return f"{value:.0f}"
    return with_error(value, std_error, is_unreliable=is_unreliable)


def p_value(probability: float) -> str:
    """A p-value: two digits are all that it tells.

    >>> p_value(0.0321), p_value(0.5), p_value(0.00001234), p_value(1.0)
    ('0.032', '0.50', '< 0.0001', '1.0')
    """
    return "< 0.0001" if probability < 1e-4 else significant(probability, 2)


def duration(seconds: float) -> str:
    """A length of time in its two largest units.

    >>> duration(0.4), duration(42), duration(125), duration(7320), duration(200_000)
    ('under 1 s', '42 s', '2 min 5 s', '2 h 2 min', '2 d 7 h')
    """
    if seconds < 1:
        return "under 1 s"
    whole = round(seconds)
    for size, unit, next_size, next_unit in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{whole} s"


def size(num_bytes: int) -> str:
    """A number of bytes in the largest unit that leaves a whole number before the point.

    >>> size(0), size(999), size(1_500), size(2_340_000), size(1_600_000_000)
    ('0 B', '999 B', '1.5 kB', '2.3 MB', '1.6 GB')
    """
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= factor:
            return f"{num_bytes / factor:.1f} {unit}"
    return f"{num_bytes} B"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun.

    >>> count(1, "evaluation"), count(12_000, "image"), count(2, "entry", "entries")
    ('1 evaluation', '12,000 images', '2 entries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def id_list(ids: Sequence[int]) -> str:
    """Ids of evaluations, a run of three or more by its ends, and not all of many.

    >>> id_list([3, 1, 2]), id_list([1, 2]), id_list([7, 3]), id_list(range(1, 30, 2))
    ('1–3', '1, 2', '3, 7', '1, 3, 5, 7, 9, 11, 13, 15, 17, 19 …')
    """
    ordered = sorted(ids)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}–{ordered[-1]}"
    return ", ".join(map(str, ordered[:10])) + (" …" if len(ordered) > 10 else "")


def rate(images_per_second: float) -> str:
    """Images per second.

    >>> rate(15.34), rate(0.0421), rate(2345.6)
    ('15.3 images/s', '0.042 images/s', '2,346 images/s')
    """
    if images_per_second >= 1000:
        return f"{images_per_second:,.0f} images/s"
    if images_per_second >= 0.1:
        return f"{images_per_second:.1f} images/s"
    return f"{significant(images_per_second, 2)} images/s"

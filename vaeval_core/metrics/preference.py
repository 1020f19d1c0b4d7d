"""What people prefer of two, from answers to pairs whose sides they could not know.

    share = k / n        k: pairs in which the first was chosen, n: pairs in which either was

The interval is that of Clopper and Pearson 1934, the p-value that of the exact sign test against ½, both two-sided. Answers
without a preference count in neither k nor n.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput

LEFT, RIGHT, NEITHER = "L", "R", "-"
COVERAGE = 0.95


@dataclass(frozen=True, kw_only=True)
class Preference:
    """How often the first of two was chosen.

    Attributes:
        num_pairs: Pairs that were shown.
        first: In how many the first was chosen.
        second: In how many the second was.
        share: first / (first + second); None if nobody chose.
        interval: Of the share, at `COVERAGE`.
        p_value: Chance of answers at least as lopsided if there is no preference; 1 if nobody chose.
    """

    num_pairs: int
    first: int
    second: int
    share: float | None
    interval: tuple[float, float]
    p_value: float


def sides(first: str, second: str, num_pairs: int) -> NDArray[np.bool_]:
    """Whether the first of two stands on the left, for each pair.

    Nothing but the two decides it, so nothing has to be kept: whoever counts the answers works it out again. Exchanging the
    two exchanges the sides, and the sheet stays as it is.

    Args:
        first: What one of the two is known by, such as a digest.
        second: The same of the other.
        num_pairs: Pairs that are shown.
    """
    lower, higher = sorted((first, second))
    words = hashlib.sha256(f"sides {lower} {higher}".encode()).digest()
    random = np.random.Philox(key=np.frombuffer(words[:16], dtype="<u8").astype(np.uint64)).random_raw(num_pairs)
    lower_is_left: NDArray[np.bool_] = (random >> np.uint64(63)).astype(bool)
    return lower_is_left if first == lower else ~lower_is_left


def preference(answers: str, first_is_left: NDArray[np.bool_]) -> Preference:
    """Count answers.

    Args:
        answers: A letter for each pair: `L`, `R`, or `-` for neither; spaces and commas are passed over.
        first_is_left: What `sides` gave.

    Raises:
        InvalidInput: There is not one such letter for each pair.

    >>> counted = preference("LL-R", np.array([True, False, True, False]))
    >>> counted.first, counted.second, counted.num_pairs
    (2, 1, 4)
    """
    letters = [letter for letter in answers.upper() if letter not in " ,"]
    if len(letters) != len(first_is_left) or set(letters) - {LEFT, RIGHT, NEITHER}:
        raise InvalidInput(
            "The answers are not those to the pairs of the sheet.",
            received=f"{len(letters)} answers: {''.join(letters)}" if letters else "no answer",
            expected=f"{len(first_is_left)} letters, each {LEFT}, {RIGHT} or {NEITHER}",
            next_step="count the pairs; if another seed was evaluated since the sheet was drawn, draw it again: --sheet",
        )
    chosen = [
        (letter == LEFT) == bool(is_left)
        for letter, is_left in zip(letters, first_is_left, strict=True)
        if letter != NEITHER
    ]
    first, decided = sum(chosen), len(chosen)
    if not decided:
        return Preference(num_pairs=len(letters), first=0, second=0, share=None, interval=(0.0, 1.0), p_value=1.0)
    from scipy.stats import binomtest

    tested = binomtest(first, decided)
    interval = tested.proportion_ci(COVERAGE, method="exact")
    return Preference(
        num_pairs=len(letters),
        first=first,
        second=decided - first,
        share=first / decided,
        interval=(float(interval.low), float(interval.high)),
        p_value=float(tested.pvalue),
    )

"""On how many images a standard error really rests: the rule by which one is given or withheld.

A standard error taken from influences ψ says how far a mean of ψ scatters, if no few images make up all of it. With

    effective images = (Σ ψ²)²/Σ ψ⁴

n equal influences count as n, one that outweighs all others counts as 1; normal ones count as n/3. Intervals were measured to
cover too little where there are fewer than ten (benchmarks/uncertainty.py): with twenty images, or with features of which a
handful of images has all. Intervals of a distance also cover too little below a hundred images where few directions hold most
of the spread, for its distribution is skew then. In either case there is no standard error, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vaeval_core.metrics.shared_images import ends_at
from vaeval_core.types import Float64, Int64

FEWEST_EFFECTIVE_IMAGES = 10

FEWEST_IMAGES_OF_A_DISTANCE = 100

_WITHHELD = "The standard error is unreliable and left out: "

UNRELIABLE = f"{_WITHHELD}it would rest on fewer than {FEWEST_EFFECTIVE_IMAGES} of the images. Evaluate more images."
"""The warning, or the reason, where a few images decide."""

TOO_FEW_FOR_A_DISTANCE = (
    f"{_WITHHELD}that of a distance needs {FEWEST_IMAGES_OF_A_DISTANCE} images. Evaluate more images."
)
"""The warning where all images together are few."""


SHARED_IMAGES = f"{_WITHHELD}each real image ends two of the paths, so that these are not independent."
"""The warning of metrics of paths whose error knows of independent images only."""

NO_SPREAD = (
    f"{_WITHHELD}all images do the same to this number, which says little about images that were not seen. "
    "Evaluate more images."
)
"""The warning where influences have no spread at all."""


def why_withheld(warnings: Iterable[str]) -> str | None:
    """The warning that says why a value has no standard error; None if it has one, or never has."""
    return next((sentence for sentence in warnings if sentence.startswith(_WITHHELD)), None)


def effective_images(influence: Float64) -> float:
    """How many images the spread of influences (n,), of mean 0, rests on; n if there is no spread.

    >>> effective_images(np.array([1.0, -1.0, 1.0, -1.0])), round(effective_images(np.array([3.0, -1.0, -1.0, -1.0])), 2)
    (4.0, 1.71)
    """
    largest = float(np.abs(influence).max())
    if not largest:
        return float(len(influence))
    squares = np.square(influence / largest)
    return float(squares.sum() ** 2 / np.square(squares).sum())


def unreliable(influence: Float64, partners: Int64 | None = None) -> str | None:
    """Why no standard error is to be taken from these influences; None if one may.

    Args:
        influence: (n,), or (seeds, n) of which the mean over seeds counts.
        partners: For paths between images, where each ends, likewise; then it is counted how many images there are, not paths.
    """
    of_images = influence.mean(axis=0) if influence.ndim > 1 else influence
    if partners is not None:
        of_images = ends_at(influence, partners)
    return None if effective_images(of_images) >= FEWEST_EFFECTIVE_IMAGES else UNRELIABLE

"""Codes with the factors behind them, checked once: what every score of disentanglement is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaeval_core.errors import InvalidInput, TooFewImages
from vaeval_core.seeding import uniform
from vaeval_core.types import Float64, IndexRange, Int64

MAX_CODES = 256
"""Most latent dimensions that scores with a trained predictor take: their cost grows with it, to hours for spatial latents."""

FEWEST_IMAGES = 10
FEW_PER_VALUE = 10
"""A factor value with fewer images than this carries a warning."""

NUM_TRAIN = 10_000
NUM_TEST = 5_000
"""Most images that a predictor is trained and tested on: the setting of Locatello et al. 2019."""


@dataclass(frozen=True, eq=False)
class LabelledCodes:
    """n images: where the encoder puts them, and what varies in them.

    Attributes:
        codes: (n, k) float64, finite.
        factors: (n, f) int64; the values of each factor are numbered 0, 1, … in ascending order of what was given.
        num_values: How many values each factor takes, ≥ 2.
        warnings: What makes any score of these uncertain, a sentence each.
    """

    codes: Float64
    factors: Int64
    num_values: tuple[int, ...]
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def num_codes(self) -> int:
        """k."""
        return int(self.codes.shape[1])

    @property
    def num_factors(self) -> int:
        """f."""
        return int(self.factors.shape[1])

    @property
    def varying(self) -> NDArray[np.bool_]:
        """(k,) whether a code takes more than one value."""
        varies: NDArray[np.bool_] = self.codes.max(axis=0) > self.codes.min(axis=0)
        return varies

    def standardised(self) -> Float64:
        """The codes with mean 0 and variance 1 each; a constant code becomes 0."""
        centred = self.codes - self.codes.mean(axis=0)
        scale = centred.std(axis=0)
        standardised: Float64 = np.divide(centred, scale, out=np.zeros_like(centred), where=self.varying & (scale > 0))
        return standardised

    def split(self, seed: int) -> tuple[Int64, Int64]:
        """Row numbers for training, two thirds and at most NUM_TRAIN, and for testing, one third and at most NUM_TEST."""
        order = np.argsort(uniform(seed, "training and test images", IndexRange(0, 1), len(self))[0], kind="stable")
        num_test = len(self) // 3
        return order[num_test:][:NUM_TRAIN], order[:num_test][:NUM_TEST]


def labelled_codes(codes: ArrayLike, factors: ArrayLike) -> LabelledCodes:
    """Check codes and factors.

    Args:
        codes: (n, k) real numbers, row i for image i.
        factors: (n, f) integers, the class of each factor; the numbers themselves do not matter, only which are equal, and
            for some scores their order.

    Raises:
        InvalidInput: Either is no table of such numbers, they have different n, a code is not finite, or a factor has
            only one value.
        TooFewImages: Fewer than 10.
    """
    table = np.asarray(codes)
    if table.ndim != 2 or table.dtype.kind not in "fiu" or not table.shape[1]:
        raise InvalidInput(
            "The codes are no table of numbers.",
            received=f"{table.dtype} of shape {table.shape}",
            expected="real numbers of shape (images, latent dimensions)",
        )
    num_labels = len(np.atleast_1d(np.asarray(factors)))
    if len(table) != num_labels:
        raise InvalidInput(
            "Codes and factors are not of the same images.",
            received=f"{len(table)} rows of codes, {num_labels} rows of factors",
            expected="one row of each for every image",
        )
    numbered = numbered_factors(factors)
    _require_finite(table)
    return replace(numbered, codes=table.astype(np.float64))


def numbered_factors(factors: ArrayLike) -> LabelledCodes:
    """Check factors alone, and take the numbers of their values as the codes: a perfect code.

    Args:
        factors: (n, f) integers.

    Raises:
        InvalidInput: They are no table of integers, or a factor has only one value.
        TooFewImages: Fewer than 10.
    """
    labels = np.asarray(factors)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.shape[1]:
        is_vector = labels.ndim == 1 and labels.dtype.kind in "iu"
        raise InvalidInput(
            "The factors are no table of classes.",
            received=f"{labels.dtype} of shape {labels.shape}",
            expected="integers of shape (images, factors)",
            next_step="factors[:, None]"
            if is_vector
            else "numpy.unique(values, return_inverse=True) numbers the values",
        )
    if len(labels) < FEWEST_IMAGES:
        raise TooFewImages(
            "Disentanglement cannot be told from so few images.",
            received=f"num_images={len(labels)}",
            expected=f"{FEWEST_IMAGES} or more, better thousands",
            next_step="evaluate more images",
        )
    columns = [np.unique(column, return_inverse=True, return_counts=True) for column in labels.T]
    constant = [str(number) for number, (values, _, _) in enumerate(columns) if len(values) == 1]
    if constant:
        raise InvalidInput(
            "A factor that never changes says nothing about disentanglement.",
            received=f"only one value in column {', '.join(constant)} of {labels.shape[1]}, over {len(labels)} images",
            expected="two or more values of every factor",
            next_step="leave the column out, or evaluate more images",
        )
    numbers = np.stack([inverse.ravel() for _, inverse, _ in columns], axis=1).astype(np.int64)
    return LabelledCodes(
        codes=numbers.astype(np.float64),
        factors=numbers,
        num_values=tuple(len(values) for values, _, _ in columns),
        warnings=_few_per_value([counts for _, _, counts in columns]),
    )


def _require_finite(codes: NDArray[np.number]) -> None:
    finite = np.isfinite(codes)
    if not finite.all():
        rows = np.flatnonzero(~finite.all(axis=1))
        raise InvalidInput(
            "The codes are not finite.",
            received=f"{int((~finite).sum())} values that are NaN or infinite, in {len(rows)} of {len(codes)} rows, "
            f"first in row {rows[0]}",
            expected="finite codes",
            next_step="look at what the encoder gives for that image",
        )


def _few_per_value(counts: Sequence[NDArray[np.intp]]) -> tuple[str, ...]:
    rarest = [int(count.min()) for count in counts]
    factor = int(np.argmin(rarest))
    if rarest[factor] >= FEW_PER_VALUE:
        return ()
    return (f"A value of factor {factor} occurs in only {rarest[factor]} of {int(counts[factor].sum())} images.",)

"""Rate of a VAE whose latent is a grid of codes out of a codebook (VQ-VAE): it has no KL, but it has an entropy.

    pₐ = share of all tokens with code a         perplexity = exp H(p),  H(p) = -Σ pₐ ln pₐ
    rate = tokens per image · H(p) / ln 2        bits, if tokens are coded one by one

Source: van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue

TOKENS_PER_CODE = 10
"""Below this many tokens for each entry of the codebook, entries stay unseen by chance."""


@dataclass(frozen=True, eq=False)
class CodeCounts:
    """How often each code occurs: mergeable, exact.

    Attributes:
        num_images: n.
        num_tokens: Codes of one image, t.
        counts: (K,) int64, n · t in all.
    """

    num_images: int
    num_tokens: int
    counts: NDArray[np.int64]

    @classmethod
    def from_rows(cls, codes: NDArray[Any], codebook_size: int) -> CodeCounts:
        """Count codes (n, …), whole numbers from 0 to K - 1, of n ≥ 1 images.

        Raises:
            InvalidInput: They are not.
        """
        is_whole = np.issubdtype(codes.dtype, np.integer)
        if not is_whole or not codes.size or codes.min() < 0 or codes.max() >= codebook_size:
            span = f"from {codes.min()} to {codes.max()}" if codes.size else "none"
            raise InvalidInput(
                "These are no codes of the codebook.",
                received=f"{codes.dtype} {codes.shape}, values {span}",
                expected=f"integers (n, …) from 0 to {codebook_size - 1}",
            )
        counts = np.bincount(codes.ravel(), minlength=codebook_size).astype(np.int64)
        return cls(len(codes), codes.size // len(codes), counts)

    def merge(self, other: CodeCounts) -> CodeCounts:
        """Counts of both sets of images together; both are of one model."""
        return CodeCounts(self.num_images + other.num_images, self.num_tokens, self.counts + other.counts)

    @property
    def entropy(self) -> float:
        """H(p) of a token, nats, 0 … ln K."""
        shares = self.counts[self.counts > 0] / self.counts.sum()
        return max(float(-(shares * np.log(shares)).sum()), 0.0)


def codebook_usage(counts: CodeCounts) -> MetricValue:
    """Share of the codebook that occurs at all, 0 … 1."""
    return _value(counts, float((counts.counts > 0).mean()))


def codebook_perplexity(counts: CodeCounts) -> MetricValue:
    """exp H(p): how many codes would be in use if all of them were used alike, 1 … K."""
    return _value(counts, math.exp(counts.entropy))


def codebook_rate(counts: CodeCounts) -> MetricValue:
    """Bits per image, if each token is coded by itself: an upper bound of what the codes say."""
    return _value(counts, counts.num_tokens * counts.entropy / math.log(2))


def _value(counts: CodeCounts, value: float) -> MetricValue:
    seen, size = int(counts.counts.sum()), len(counts.counts)
    warnings: tuple[str, ...] = ()
    if seen < TOKENS_PER_CODE * size:
        warnings = (
            f"{seen} tokens are few for a codebook of {size}: with more images usage, perplexity and rate come out higher.",
        )
    return MetricValue.of(value, num_images=counts.num_images, warnings=warnings)

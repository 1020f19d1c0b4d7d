"""Features that arrive in pieces, summed in fixed blocks; kept as rows where that is smaller."""

from __future__ import annotations

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.accumulators.fixed_blocks import FixedBlocks
from vaeval_core.types import Float32, Float64


class FeatureSummary:
    """Takes feature vectors in pieces of any size; what it gives does not depend on the sizes.

    Args:
        count: Vectors that are expected: fewer than `dimension` are kept as rows, else moments are taken.
        dimension: Length of each.
    """

    def __init__(self, count: int, dimension: int) -> None:
        self._blocks = FixedBlocks()
        kind = FeatureRows if count < dimension else FeatureMoments
        self._summary: FeatureMoments | FeatureRows = kind.empty(dimension)

    def push(self, rows: Float32 | Float64) -> None:
        """Take the next vectors (n, d), in image order."""
        for block in self._blocks.push(rows):
            self._merge(block)

    def features(self) -> FeatureMoments | FeatureRows:
        """All vectors that were taken; the last call."""
        for block in self._blocks.rest():
            self._merge(block)
        return self._summary

    def _merge(self, block: Float32) -> None:
        if isinstance(self._summary, FeatureRows):
            self._summary = self._summary.merge(FeatureRows.from_rows(block))
        else:
            self._summary = self._summary.merge(FeatureMoments.from_rows(block), reuse=True)

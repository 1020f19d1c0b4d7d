"""Real images one by one, and what is known of them: what metrics of single images compare with.

    reference rows ─► statistics_arrays ─► stored with the merged reference       once per reference
    rows, stored arrays ─► ReferenceRows ─► pairs_with(samples)                    once per checkpoint and stream

What concerns the reference alone is the same for every checkpoint: pairs of its rows (`pair_statistics`) and its bins (`ndb`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from vaeval_core.computed_once import computed_once
from vaeval_core.errors import TooFewImages
from vaeval_core.metrics.feature_blocks import FeatureBlocks
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.ndb import Bins, find_bins
from vaeval_core.metrics.pair_statistics import PairStatistics, SetStatistics, pair_statistics, set_statistics

Arrays = dict[str, NDArray[Any]]

SPATIAL = "spatial"
"""Name of spatial features in a shard of a reference, and before the arrays of their Gaussian in the merged one."""


def spatial_arrays(of_fit: Arrays) -> Arrays:
    """The arrays of a Gaussian of spatial features, as they stand in a merged reference."""
    return {f"{SPATIAL}/{name}": array for name, array in of_fit.items()}


def spatial_fit(reference: Mapping[str, NDArray[Any]]) -> GaussianFit | None:
    """Undo `spatial_arrays`; None where a merged reference has none."""
    found = arrays_under(f"{SPATIAL}/", reference)
    return GaussianFit.from_arrays(found) if found else None


def arrays_under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Those whose names begin so, under the rest of their names."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def statistics_arrays(rows: FeatureBlocks, kinds: Iterable[str]) -> Arrays:
    """What is to be known of a reference, as arrays to be stored.

    Args:
        rows: (n, d) features of the real images.
        kinds: Names of statistics, as many as metrics ask for; here are `pairs` and `bins`.

    Returns:
        Arrays named `pairs/…` and `bins/…`. One that there are too few rows for is left out: who needs it is told then.
    """
    arrays: Arrays = {}
    for kind in sorted({"pairs", "bins"}.intersection(kinds)):
        with suppress(TooFewImages):
            found = set_statistics(rows) if kind == "pairs" else find_bins(rows)
            arrays |= {f"{kind}/{name}": array for name, array in found.to_arrays().items()}
    return arrays


class ReferenceRows:
    """The rows of a reference with its statistics.

    Args:
        rows: (n, d) features of the real images; read anew for each pass.
        arrays: With what `statistics_arrays` gave among them; what is missing is computed when it is asked for.
    """

    def __init__(self, rows: FeatureBlocks, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._rows = rows
        self._arrays = arrays
        self._pairs: dict[FeatureBlocks, PairStatistics] = {}

    def pairs_with(self, generated: FeatureBlocks) -> PairStatistics:
        """All pairs of a generated and a real image, looked at once however many metrics ask.

        Raises:
            TooFewImages: Either set has too few rows.
            InvalidInput: A feature is not finite, or the dimensions differ.
        """
        if generated not in self._pairs:
            self._pairs[generated] = pair_statistics(generated, self._rows, known_reference=self._known_pairs)
        return self._pairs[generated]

    @computed_once
    def bins(self) -> Bins:
        """The bins of NDB.

        Raises:
            TooFewImages: No more rows than bins.
        """
        stored = self._stored("bins")
        return Bins.from_arrays(stored) if stored else find_bins(self._rows)

    @computed_once
    def _known_pairs(self) -> SetStatistics | None:
        stored = self._stored("pairs")
        return SetStatistics.from_arrays(stored) if stored else None

    def _stored(self, kind: str) -> Arrays:
        return arrays_under(f"{kind}/", self._arrays)

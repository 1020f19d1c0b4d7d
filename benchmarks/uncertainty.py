"""Do intervals of Fréchet distances hold what they promise? Coverage of the nominal 95 % on features with known laws.

    OMP_NUM_THREADS=1 python -m benchmarks.uncertainty                        every bar, nine minutes of two cores
    OMP_NUM_THREADS=1 python -m benchmarks.uncertainty --dimensions 64        less than a minute
    OMP_NUM_THREADS=1 python -m benchmarks.uncertainty --features steep rare  laws that are no bar, and may miss it

The same «checkpoint» is drawn from many times. An interval should cover the mean distance at this number of images in 95 of
100 draws; the distance less its bias should scatter around the distance of infinitely many images. Bars, and exit code 1 where
one is missed beyond what chance does to so many draws (binomial, 2.5 % on either side):

    from 2d images on      coverage between 90 % and 98 %, of distances and of differences
    below                  distances: 90 % or more, errors no more than 1.75 times the scatter; differences: 90 % or more
    boards of equal rows   one is told apart from the best in 5 of 100 boards at most

To miss 98 % upwards, 183 draws are needed: fewer are refused.

    features     `normal`: correlated, with deviations that fall as 1/√k; `rectified`: the same, shifted and cut at 0; `steep`:
                 normal with deviations that fall as 1/k; `rare`: cut so high that a feature is 0 for nearly every image
    against      `other`: the checkpoint's features are wider and shifted; `same`: they have the law of the reference, where
                 the first order of the distance vanishes and all scatter is of second order
    error        mean standard error as a share of the true scatter
    first order  coverage with the influence function by the optimal-transport map alone, of up to 100 features
    withheld     draws whose standard error is left out as unreliable; they count for no coverage
    bias         mean estimate and true bias
    paired       the same of the difference to a second checkpoint on the same noise; `of unpaired`: its error as a share of
                 what two separate errors give
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import numpy as np
from scipy.stats import binom

from benchmarks.interval_coverage import DRAWS_OF_A_PIECE, Coverage, Draw, Setting, draw_piece, true_distance
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.rank_groups import standings

LOWEST, HIGHEST = 0.90, 0.98
"""Coverage of nominal 95 % intervals that the project takes for calibrated."""

MOST_ON_THE_SAFE_SIDE = 1.75
"""Of an error below two images per feature, as a share of the scatter."""

FEWEST_DRAWS = 183
"""0.98¹⁸³ = 2.48 %: that all of so many intervals cover is no chance any more."""

EQUAL_ROWS = (2, 10, 100)
BOARDS = 1000
LEVEL = 0.05

TITLES = (
    *("features", "against", "d", "n/d", "error", "coverage", "first order", "withheld", "bias, of true"),
    *("paired error", "paired coverage", "of unpaired", "bar"),
)


def cells(setting: Setting, draws: Sequence[Draw]) -> list[str]:
    """One line of the table."""
    single = Coverage.of([draw.distance for draw in draws], [draw.error for draw in draws], setting.count)
    paired = Coverage.of([draw.difference for draw in draws], [draw.paired_error for draw in draws], setting.count)
    first = Coverage.of([draw.distance for draw in draws], [draw.first_order_error for draw in draws], setting.count)
    biases = [draw.bias for draw in draws if draw.bias is not None]
    truth = np.mean([draw.distance for draw in draws]) - true_distance(setting.kind, setting.dimension, setting.against)
    both = [draw for draw in draws if draw.paired_error is not None and draw.unpaired_error is not None]
    share = (
        np.mean([draw.paired_error for draw in both]) / np.mean([draw.unpaired_error for draw in both]) if both else 0
    )
    return [
        setting.kind,
        setting.against,
        str(setting.dimension),
        f"{setting.count / setting.dimension:g}",
        f"{single.share:.2f}",
        _percent(single),
        "–" if math.isnan(first.share) else _percent(first),
        f"{1 - single.given / len(draws):.0%}",
        f"{np.mean(biases):.3g} of {truth:.3g}" if biases else f"– of {truth:.3g}",
        f"{paired.share:.2f}",
        _percent(paired),
        f"{share:.2f}" if both else "–",
        verdict(setting, single, paired),
    ]


def verdict(setting: Setting, single: Coverage, paired: Coverage) -> str:
    """Which bars are missed, in words."""
    few = setting.is_below_two_images_per_feature
    missed = [
        *(f"distance {word}" for word in missed_bars(single, highest=None if few else HIGHEST)),
        *(f"difference {word}" for word in missed_bars(paired, highest=None if few else HIGHEST)),
    ]
    if few and single.share > MOST_ON_THE_SAFE_SIDE:
        missed.append("distance: too safe")
    return "MISSED: " + ", ".join(missed) if missed else "kept"


def missed_bars(found: Coverage, *, highest: float | None) -> Iterator[str]:
    """Whether so few or so many covered that chance cannot be it, were the true coverage that of the bar."""
    if binom.cdf(found.covered, found.given, LOWEST) < 0.025:
        yield "covers too little"
    if highest is not None and binom.sf(found.covered - 1, found.given, highest) < 0.025:
        yield "covers too much"


def told_apart(rows: int) -> float:
    """Share of boards of equal checkpoints on which one is told apart from the best."""
    rng = np.random.default_rng(rows)
    seen = 0
    for _ in range(BOARDS):
        influences = rng.normal(size=(rows, 200))
        means = influences.mean(axis=1)
        values = [
            MetricValue.of(5 + mean, num_images=200, influence=influence - mean)
            for mean, influence in zip(means.tolist(), influences, strict=True)
        ]
        seen += "worse" in standings(values, values.__getitem__)
    return seen / BOARDS


def settings_of(wish: argparse.Namespace) -> list[Setting]:
    """What is measured: laws from two images per feature on, then below."""
    found = [
        Setting(kind, dimension, against, round(ratio * dimension))
        for dimension, kind, against, ratio in product(wish.dimensions, wish.features, ("other", "same"), wish.ratios)
    ]
    below = product([d for d in wish.dimensions if d >= 400], [*wish.features, "steep"], ("other", "same"), wish.below)
    return found + [Setting(kind, d, against, round(ratio * d)) for d, kind, against, ratio in below]


def _percent(found: Coverage) -> str:
    return f"{found.covered / found.given:.1%}" if found.given else "–"


def main() -> int:
    """Measure, print, and say by the exit code whether all bars are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", nargs="+", default=["normal", "rectified"])
    parser.add_argument("--dimensions", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--ratios", type=float, nargs="*", default=[2, 20], help="images per feature")
    parser.add_argument(
        "--below", type=float, nargs="*", default=[0.25, 1], help="the same below 2, from 400 features on"
    )
    parser.add_argument("--draws", type=int, default=200, help="of 64 features twice as many")
    parser.add_argument("--processes", type=int, default=2)
    wish = parser.parse_args()
    if wish.draws < FEWEST_DRAWS:
        parser.error(f"--draws {wish.draws}: below {FEWEST_DRAWS} draws, no coverage would be found too high")
    missed = 0
    print("| " + " | ".join(TITLES) + " |")
    print("|" + "---|" * len(TITLES))
    with ProcessPoolExecutor(wish.processes) as pool:
        for setting in settings_of(wish):
            pieces = math.ceil(wish.draws * (2 if setting.dimension <= 100 else 1) / DRAWS_OF_A_PIECE)
            drawn = pool.map(draw_piece, [setting] * pieces, range(pieces))
            line = cells(setting, [draw for piece in drawn for draw in piece])
            missed += line[-1] != "kept"
            print("| " + " | ".join(line) + " |", flush=True)
        print()
        for rows, share in zip(EQUAL_ROWS, pool.map(told_apart, EQUAL_ROWS), strict=True):
            too_often = binom.sf(round(share * BOARDS) - 1, BOARDS, LEVEL) < 0.025
            missed += too_often
            print(
                f"of {BOARDS} boards of {rows} equal checkpoints, one is told apart on {share:.1%}: "
                f"{'MISSED' if too_often else 'kept'}",
                flush=True,
            )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Images per second from uint8 in memory to features in memory, beside other libraries.

    python -m benchmarks.extractors                          everything, a few minutes on two cores
    python -m benchmarks.extractors --only vaeval torch-fidelity --sides 32

Each library runs in a process of its own with the same number of threads (benchmarks/contestants.py). They take turns:
a round times every one once, one after the other, so that whatever else the machine does falls on all alike. Reported
are medians over rounds: of images per second, and of the ratio within a round, which a slow quarter of an hour does not
move. The first round is thrown away. A library that is not installed is left out, with the reason.

`matrix products` is no extractor but as much float32 arithmetic in square matrix products: how near to it a library comes
is how near it is to what the processor can do.

Peers: pip install torch torchvision torch-fidelity pytorch-fid clean-fid.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import BATCH, CONTESTANTS, OPERATIONS, make_extractor, noise_images
from vaeval_core.generation.aligned_batches import pad_to_batch, take_from_batch
from vaeval_core.quantisation import to_float, to_uint8
from vaeval_core.types import IndexRange

OURS = "vaeval"
PROJECT = Path(__file__).parents[1]

Rates = dict[str, dict[int, list[float]]]
"""Contestant → side → images per second, one number a round."""


class Turn:
    """One contestant's process."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contestants", name, str(threads)],
            cwd=PROJECT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if sys.stderr.isatty() else subprocess.DEVNULL,
            text=True,
        )

    def is_ready(self) -> bool:
        """Wait until it is, or has given up."""
        return bool(self._answer() == "ready")

    def rate(self, images: int, side: int) -> float:
        """Images per second of one call."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"images": images, "side": side}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if answer is None or not answer["good"]:
            raise SystemExit(f"{self.name}: no features at {side} × {side}")
        return float(images / answer["seconds"])

    def end(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None


def measure(names: list[str], *, threads: int, images: int, sides: list[int], rounds: int) -> Rates:
    """Rates of every contestant that starts."""
    turns = []
    for name in names:
        turn = Turn(name, threads)
        if turn.is_ready():
            turns.append(turn)
        else:
            print(f"{name}: left out, it does not start here; see python -m benchmarks.contestants '{name}' {threads}")
    rates: Rates = {turn.name: {side: [] for side in sides} for turn in turns}
    for number in range(rounds + 1):
        for side in sides:
            for turn in turns:
                rate = turn.rate(images if number else BATCH, side)
                if number:
                    rates[turn.name][side].append(rate)
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
    for turn in turns:
        turn.end()
    return rates


def hand_over_share(threads: int, side: int, repeats: int = 20) -> float:
    """What lies between a decoder and the network, as a share of all from decoder output to features in memory.

    That is what `vaeval_core.evaluate` does with a batch: the decoder's float32 to uint8, to its place in a batch, into
    the device's memory, and the features out of it.
    """
    import keras

    extractor = make_extractor(threads, "float32")
    decoded = to_float(noise_images(BATCH, side))
    block = IndexRange(0, BATCH)
    features = extractor.extract(to_uint8(decoded))

    def to_features() -> None:
        pixels = pad_to_batch(to_uint8(decoded), block, BATCH)
        take_from_batch(extractor.extract(pixels), block, BATCH)

    def hand_over() -> None:
        pixels = pad_to_batch(to_uint8(decoded), block, BATCH)
        there = keras.ops.convert_to_tensor(pixels)
        keras.ops.convert_to_numpy(there[-1, -1, -1])  # a device may still be copying otherwise
        take_from_batch(np.array(features), block, BATCH)

    return _median_seconds(hand_over, repeats) / _median_seconds(to_features, 3)


def _median_seconds(call: Callable[[], None], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def table(rates: Rates, sides: list[int]) -> str:
    """Markdown: images per second and, in brackets, how many times ours is as fast, median of the rounds' ratios."""
    lines = [
        "| | " + " | ".join(f"{side} × {side}" for side in sides) + " |",
        "|---|" + "---|" * len(sides),
    ]
    for name, by_side in rates.items():
        cells = []
        for side in sides:
            cell = f"{statistics.median(by_side[side]):.1f}"
            if name != OURS and OURS in rates:
                ratios = [ours / theirs for ours, theirs in zip(rates[OURS][side], by_side[side], strict=True)]
                cell += f" ({statistics.median(ratios):.2f}×)"
            cells.append(cell)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def processor() -> str:
    """Model name where the system tells it."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--images", type=int, default=64, help="images per timing")
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 64, 256])
    parser.add_argument("--rounds", type=int, default=5)
    wish = parser.parse_args()

    load = os.getloadavg()[0]
    rates = measure(wish.only, threads=wish.threads, images=wish.images, sides=wish.sides, rounds=wish.rounds)
    print(
        f"{processor()}, {wish.threads} threads; load {load:.1f} before the run; "
        f"{wish.images} images a timing, medians of {wish.rounds} rounds\n"
    )
    print(table(rates, wish.sides))
    print(f"\none image is {OPERATIONS / 1e9:.2f} GFLOP; best rounds, in GFLOP/s:")
    for name in (OURS, "bare Keras", "matrix products"):
        if name in rates:
            print(f"  {name}: {max(max(by_side) for by_side in rates[name].values()) * OPERATIONS / 1e9:.0f}")
    if OURS in rates:
        for side in wish.sides:
            share = hand_over_share(wish.threads, side)
            print(f"from decoder output to the device as uint8, and features back, at {side} × {side}: {share:.3%}")


if __name__ == "__main__":
    main()

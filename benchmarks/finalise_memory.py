"""Memory of a finalisation at several numbers of images: merging a reference, merging an evaluation, every metric of both.

    OMP_NUM_THREADS=2 python -m benchmarks.finalise_memory                      2,000, 10,000 and 50,000 images; 15 minutes
    OMP_NUM_THREADS=2 python -m benchmarks.finalise_memory --counts 2000 9000   two minutes

What a worker does when the last shard is in: the same functions on shard files of the usual size, with metrics of pairs, bins,
sFID and the Vendi score among them. Each number of images has a process of its own, which holds no features before it begins.

Reported are the most that NumPy's and Python's allocations took at once (tracemalloc), and the most anonymous memory that the
process gained (RssAnon of Linux, looked at every few milliseconds): this also sees what libraries take for themselves and what
malloc keeps, and leaves out pages of files, which the system may drop. The files of 50,000 images take 2 GB of the disk.

What belongs to single images is told apart: influences, which are results, and a few numbers each for metrics of pairs. The
bar is that the rest of the anonymous memory is at 50,000 images at most 1.1 times what it is at 2,000. With fewer images than
features it is the features that are kept, which are as many numbers as a covariance has. The exit status is 1 where it fails.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from benchmarks.anonymous_memory import AnonymousMemory
from vaeval_core.evaluate import merge_reference, merge_shards, score
from vaeval_core.metrics.catalogue import METRICS, is_of_samples, metric_versions
from vaeval_core.metrics.pair_statistics import pair_statistics
from vaeval_core.protocol import ExtractorSpec, Protocol
from vaeval_core.shard_plan import DEFAULT_SHARD_SIZE, plan_shards
from vaeval_core.streams.base import ShardArrays

PROJECT = Path(__file__).parents[1]
BAR = 1.1
"""Largest memory, as a multiple of that of the fewest images."""
SPATIAL = 2023
WITHOUT = frozenset({"fid_infinity"})
"""Computed on request only, and asks fifteen times for what `fid` asks once."""


def metrics() -> tuple[str, ...]:
    """All metrics of samples that one wants of many checkpoints."""
    return tuple(name for name in METRICS if is_of_samples(name) and name not in WITHOUT)


def protocol(count: int, dimension: int) -> Protocol:
    """As many samples as real images."""
    extractor = ExtractorSpec(
        name="inception-v3-fid", version=1, weights_digest="0" * 64, resize="tf1-bilinear", dimension=dimension
    )
    return Protocol(
        dataset_digest="0" * 64,
        image_shape=(32, 32, 3),
        image_fit="exact",
        num_samples=count,
        num_reconstructions=0,
        num_reference=count,
        seed=0,
        extractor=extractor,
        metrics=metric_versions(metrics()),
    )


def features(random: np.random.Generator, count: int, dimension: int, shift: float) -> np.ndarray:
    """Rectified features, correlated by a few strong directions."""
    mixing = np.random.default_rng(0).normal(size=(64, dimension)).astype(np.float32) / 8
    rows = random.standard_normal((count, 64), dtype=np.float32) @ mixing
    rows += 0.3 * random.standard_normal((count, dimension), dtype=np.float32)
    return np.maximum(rows + shift, 0)


def write_shards(folder: Path, count: int, dimension: int) -> None:
    """Files as workers leave them."""
    for name, shift in (("real", 0.0), ("samples", 0.1)):
        for number, part in enumerate(plan_shards(count, DEFAULT_SHARD_SIZE)):
            random = np.random.default_rng((number, int(shift > 0)))
            rows, spatial = (features(random, len(part), width, shift) for width in (dimension, SPATIAL))
            arrays: dict[str, Any] = {"features": rows, "spatial": spatial}
            if name == "samples":
                arrays = {f"samples/{key}": array for key, array in arrays.items()}
                arrays["samples/logits"] = features(random, len(part), 1008, shift)
                arrays["samples/finite"] = np.ones(len(part), np.uint8)
                arrays["samples/outside"] = np.zeros(len(part))
            save_file(arrays, folder / f"{name}-{number:05}.safetensors")


class ShardFiles:
    """Arrays of one shard after the other, read anew each time."""

    def __init__(self, folder: Path, name: str) -> None:
        self._files = sorted(folder.glob(f"{name}-*.safetensors"))

    def __iter__(self) -> Iterator[ShardArrays]:
        return (load_file(file) for file in self._files)


def finalise(folder: Path, count: int, dimension: int) -> dict[str, Any]:
    """Both merges and all scores: seconds and the most memory."""
    gc.collect()
    with AnonymousMemory() as memory:
        answer = _finalise(folder, count, dimension)
    return answer | {"anonymous": memory.gained}


def _finalise(folder: Path, count: int, dimension: int) -> dict[str, Any]:
    chosen = protocol(count, dimension)
    real, samples = ShardFiles(folder, "real"), ShardFiles(folder, "samples")
    tracemalloc.start()
    started = time.perf_counter()
    reference = merge_reference(real, chosen)
    seconds_of_reference = time.perf_counter() - started
    peak_of_reference = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    scores = score(merge_shards(samples, chosen), reference, chosen, reference_shards=real)
    peak = tracemalloc.get_traced_memory()[1]
    influences = sum(each.value.influence.nbytes for each in scores if each.value.influence is not None)
    return {
        "seconds": time.perf_counter() - started,
        "seconds_of_reference": seconds_of_reference,
        "traced": peak / 2**20,
        "traced_of_reference": peak_of_reference / 2**20,
        "per_image": (stored_per_image(reference, count) + pairs_per_image(count) + influences) / 2**20,
        "without_number": [each.metric for each in scores if each.value.value is None],
    }


def stored_per_image(reference: ShardArrays, count: int) -> int:
    """Bytes of what the merged reference keeps for metrics of pairs and bins: a few numbers for each image."""
    kept = (array for name, array in reference.items() if name.startswith(("pairs/", "bins/")))
    return sum(array.nbytes for array in kept if array.shape[:1] == (count,))


def pairs_per_image(count: int) -> int:
    """Bytes that the pairs of an evaluation are made into: what `pair_statistics` keeps of each generated and real image."""
    random = np.random.default_rng(0)
    small = 64
    pairs = pair_statistics(random.normal(size=(small, 2)), random.normal(size=(small, 2)))
    assert pairs.balls is not None
    of_images = [pairs.generated.nearest, pairs.generated.kernel.sums, *vars(pairs.kernel).values()]
    of_images += vars(pairs.balls).values()
    return sum(array.nbytes for array in of_images if isinstance(array, np.ndarray)) // small * count


def measure(counts: list[int], dimension: int) -> bool:
    """Print the table, a line for each number of images; True if the bar is kept."""
    titles = (
        "images on either side",
        "seconds, of it the reference",
        "traced, reference",
        "traced, evaluation",
        "anonymous memory",
        "of it for single images",
        "a byte count per image",
    )
    print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles))
    rest = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            write_shards(Path(folder), count, dimension)
            command = [sys.executable, "-m", "benchmarks.finalise_memory", "--finalise", folder]
            command += ["--counts", str(count), "--dimension", str(dimension)]
            answer = json.loads(
                subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout
            )
        if answer["without_number"]:
            raise SystemExit(f"no number of {', '.join(answer['without_number'])}: the memory would be too small")
        most = answer["traced"] if answer["anonymous"] is None else answer["anonymous"]
        rest.append(most - answer["per_image"])
        cells = [f"{count:,}", f"{answer['seconds']:.0f}, {answer['seconds_of_reference']:.0f}"]
        cells += [f"{answer[name]:.0f} MiB" for name in ("traced_of_reference", "traced")]
        cells += ["not told" if answer["anonymous"] is None else f"{most:.0f} MiB", f"{answer['per_image']:.1f} MiB"]
        cells.append(f"{answer['per_image'] * 2**20 / count:.0f}")
        print(f"| {' | '.join(cells)} |", flush=True)
    factor = rest[-1] / rest[0]
    is_kept = bool(factor <= BAR)
    if len(rest) > 1:
        print(
            f"\nFrom {counts[0]:,} to {counts[-1]:,} images, {counts[-1] / counts[0]:g} times as many, what is not for single"
            f" images grows by a factor of {factor:.2f}; the bar is {BAR}, {'kept' if is_kept else 'MISSED'}."
        )
    return is_kept


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[2_000, 10_000, 50_000])
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--finalise", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.finalise:
        print(json.dumps(finalise(arguments.finalise, arguments.counts[0], arguments.dimension)))
    else:
        print(f"{platform.machine()}, load {os.getloadavg()[0]:.1f} before the run\n")
        sys.exit(0 if measure(sorted(arguments.counts), arguments.dimension) else 1)


if __name__ == "__main__":
    main()

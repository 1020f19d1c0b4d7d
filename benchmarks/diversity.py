"""KID, precision, recall, density and coverage from features in memory, beside torch-fidelity and prdc.

    pip install torch torch-fidelity prdc
    python -m benchmarks.diversity                          10,000 images of 2,048 features on either side; five minutes
    python -m benchmarks.diversity --images 2000 --rounds 3
    python -m benchmarks.diversity --memory                 vaeval alone, from a file: memory at 5,000 and 20,000 images

Each program runs in a process of its own with the same number of threads, and gets the same rectified float32 features. They
take turns: a round times every one once. Reported are medians over rounds of seconds, of the ratio to ours within a round,
and the most anonymous memory that the computation added to that of the process with its features (on Linux). A program that
is not installed is left out. The exit status is 1 where a bar is missed: to be faster, in less memory than prdc, and with
--memory, in the same memory for four times as many images.

`torch-fidelity KID` is its default: 100 random subsets of 1,000 images in float32, a mean of estimates that overlap. A time
says little without the error that it buys, so each KID has its standard error, for other images in both sets. All are what
the two parts of the variance V = V₁ + V₂ of `kernel_variance`, estimated over all pairs, make of the design: V₁ + B V₂ for B
disjoint blocks, and (1 + (1 - s/n) n/(K s)) V₁ + (1 + (1 - p)/(K p)) V₂ with p = (s/n)² for K random subsets of s of n images,
as an image and a pair are in some subsets by chance. Two disjoint blocks of 10,000 images are never worse than the subsets.

`known reference` has the reference's own pairs from before, as a service with many checkpoints has; in an evaluation the pass
over all pairs is shared with precision and coverage.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.anonymous_memory import AnonymousMemory
from benchmarks.contestants import make_torchvision_importable

PROJECT = Path(__file__).parents[1]
RANK = 64
"""Directions in which the features vary most: those of networks are far from independent."""

SUBSETS, SUBSET_SIZE = 100, 1000
"""What torch-fidelity takes."""

PARTS = ("V₁", "V₂")
"""Names of the parts of the variance of KID, among values."""

Values = dict[str, float]
Compute = Callable[[], Values]
Contestant = Callable[[np.ndarray, np.ndarray], Compute]
"""Generated and reference features → what is timed."""


def features(number: int, count: int, dimension: int) -> np.ndarray:
    """Rectified features with a few strong directions, (count, dimension) float32; set 0 is the reference."""
    mixing = np.random.default_rng(0).normal(size=(RANK, dimension)).astype(np.float32) / 8
    random = np.random.default_rng(number + 1)
    rows = random.normal(size=(count, RANK)).astype(np.float32) @ mixing
    rows += 0.3 * random.standard_normal((count, dimension), dtype=np.float32)
    return np.maximum(rows + 0.1 * number, 0)


def vaeval(*, known: bool) -> Contestant:
    """All five metrics from one pass."""

    def prepare(generated: np.ndarray, reference: np.ndarray) -> Compute:
        from vaeval_core.metrics.kernel_distance import kernel_distance_of
        from vaeval_core.metrics.manifold import manifold_scores_of
        from vaeval_core.metrics.pair_statistics import pair_statistics, set_statistics

        reference_statistics = set_statistics(reference) if known else None

        def compute() -> Values:
            pairs = pair_statistics(generated, reference, known_reference=reference_statistics)
            scores = manifold_scores_of(pairs)
            return {
                "kid": kernel_distance_of(pairs).value or 0,
                "precision": scores.precision.value or 0,
                "recall": scores.recall.value or 0,
                "density": scores.density.value or 0,
                "coverage": scores.coverage.value or 0,
            }

        return compute

    return prepare


def vaeval_kid(*, known: bool) -> Contestant:
    """KID over all pairs, with the two parts of its variance."""

    def prepare(generated: np.ndarray, reference: np.ndarray) -> Compute:
        from vaeval_core.metrics.kernel_variance import MeanDiscrepancy
        from vaeval_core.metrics.pair_statistics import pair_statistics, set_statistics

        statistics_known = set_statistics(reference, neighbours=0) if known else None

        def compute() -> Values:
            pairs = pair_statistics(generated, reference, neighbours=0, known_reference=statistics_known)
            estimate = MeanDiscrepancy(pairs.generated.kernel, pairs.reference.kernel, pairs.kernel)
            variance = estimate.unclipped_variance() or (0.0, 0.0)
            return {"kid": estimate.value} | dict(zip(PARTS, variance, strict=True))

        return compute

    return prepare


def vaeval_kid_in_blocks(blocks: int | None) -> Contestant:
    """KID over so many disjoint blocks, or over blocks of 1,000."""

    def prepare(generated: np.ndarray, reference: np.ndarray) -> Compute:
        from vaeval_core.metrics.kernel_distance import kernel_distance_in_blocks

        size = SUBSET_SIZE if blocks is None else -(-len(generated) // blocks)
        return lambda: {"kid": kernel_distance_in_blocks(generated, reference, block_size=size).value or 0}

    return prepare


def fidelity_kid(generated: np.ndarray, reference: np.ndarray) -> Compute:
    """torch-fidelity's default, or as many images a subset as there are."""
    import torch

    make_torchvision_importable()
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    one, other = torch.from_numpy(reference), torch.from_numpy(generated)
    size = min(SUBSET_SIZE, len(generated), len(reference))
    return lambda: {"kid": kid_features_to_metric(one, other, kid_subset_size=size, verbose=False)[KEY_METRIC_KID_MEAN]}


def prdc(generated: np.ndarray, reference: np.ndarray) -> Compute:
    """The program of Naeem et al."""
    from prdc import compute_prdc

    return lambda: compute_prdc(reference, generated, nearest_k=5)


CONTESTANTS: dict[str, Contestant] = {
    "vaeval, KID and PRDC": vaeval(known=False),
    "vaeval, KID and PRDC, known reference": vaeval(known=True),
    "vaeval, KID": vaeval_kid(known=False),
    "vaeval, KID, known reference": vaeval_kid(known=True),
    "vaeval, KID in two blocks": vaeval_kid_in_blocks(2),
    "vaeval, KID in blocks of 1,000": vaeval_kid_in_blocks(None),
    "torch-fidelity KID": fidelity_kid,
    "prdc": prdc,
}
COMPARISONS: list[tuple[str, tuple[str, ...], bool]] = [
    ("vaeval, KID in two blocks", ("torch-fidelity KID",), True),
    ("vaeval, KID in blocks of 1,000", ("torch-fidelity KID",), True),
    ("vaeval, KID, known reference", ("torch-fidelity KID",), False),
    ("vaeval, KID", ("torch-fidelity KID",), False),
    ("vaeval, KID and PRDC", ("prdc",), True),
    ("vaeval, KID and PRDC, known reference", ("prdc",), True),
    ("vaeval, KID and PRDC", ("torch-fidelity KID", "prdc"), True),
    ("vaeval, KID and PRDC, known reference", ("torch-fidelity KID", "prdc"), True),
]
"""Ours, beside others one after the other, and whether the bar is to be faster. All pairs are a better estimate than theirs."""

MEMORY_BAR = 1.1
"""Largest memory with --memory, as a multiple of that of the fewest images."""


def standard_errors(images: int, single: float, pairs: float) -> Values:
    """How far each KID scatters over other images, given the parts of the variance of that over all pairs."""
    share = min(SUBSET_SIZE, images) / images
    variances = dict.fromkeys(CONTESTANTS, single + pairs) | {
        "vaeval, KID in two blocks": single + 2 * pairs,
        "vaeval, KID in blocks of 1,000": single + -(-images // SUBSET_SIZE) * pairs,
        "torch-fidelity KID": (1 + (1 - share) / (SUBSETS * share)) * single
        + (1 + (1 - share**2) / (SUBSETS * share**2)) * pairs,
    }
    return {name: variance**0.5 for name, variance in variances.items() if name != "prdc"}


class Turn:
    """One contestant's process, with its features in memory."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self.name = name
        wish = ["--serve", name, "--images", str(arguments.images), "--dimension", str(arguments.dimension)]
        threads = str(arguments.threads)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.diversity", *wish],
            cwd=PROJECT,
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.is_ready = self.ask() == "ready"

    def ask(self, request: str = "") -> Any:
        """Send a line unless it is empty, and wait for the answer; None if the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if request:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def end(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(name: str, images: int, dimension: int) -> None:
    """Compute once for every line of standard input: seconds, MiB added at most, and the values."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    compute = CONTESTANTS[name](features(1, images, dimension), features(0, images, dimension))
    print(json.dumps("ready"), file=answers, flush=True)
    for _ in sys.stdin:
        with AnonymousMemory() as memory:
            started = time.perf_counter()
            values = compute()
            seconds = time.perf_counter() - started
        found = {name: float(value) for name, value in values.items()}
        answer = {"seconds": seconds, "mebibytes": memory.gained or 0.0, "values": found}
        print(json.dumps(answer), file=answers, flush=True)


def measure(arguments: argparse.Namespace) -> list[str]:
    """Print the table of all that start, in turns; what was missed, a phrase for each."""
    turns = [Turn(name, arguments) for name in arguments.only]
    for turn in turns:
        if not turn.is_ready:
            print(
                f"{turn.name}: left out, it does not start here; see python -m benchmarks.diversity --serve '{turn.name}'"
            )
    answers: dict[str, list[Any]] = {turn.name: [] for turn in turns if turn.is_ready}
    for number in range(arguments.rounds):
        for turn in turns:
            if turn.is_ready:
                answers[turn.name].append(turn.ask("again"))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    for turn in turns:
        turn.end()
    known = [given[0]["values"] for given in answers.values() if PARTS[0] in given[0]["values"]]
    errors = standard_errors(arguments.images, *(max(known[0][part], 0) for part in PARTS)) if known else {}
    print("| | seconds | MiB added | standard error of KID | values |\n|---|---|---|---|---|")
    for name, given in answers.items():
        values = ", ".join(f"{metric} {value:.6g}" for metric, value in given[0]["values"].items())
        error = f"{errors[name]:.2e}" if name in errors else ""
        seconds, mebibytes = _median(given, "seconds"), _most(given, "mebibytes")
        print(f"| {name} | {seconds:.1f} | {mebibytes:.0f} | {error} | {values} |")
    missed = []
    print("\n| | beside | share of the time | bar | share of the error |\n|---|---|---|---|---|")
    for ours, theirs, has_bar in COMPARISONS:
        if not {ours, *theirs} <= answers.keys():
            print(f"| {ours} | {' and '.join(theirs)} | not compared | | |")
            continue
        rounds = zip(answers[ours], *(answers[name] for name in theirs), strict=True)
        share = statistics.median(one["seconds"] / sum(other["seconds"] for other in others) for one, *others in rounds)
        if has_bar and share >= 1:
            missed.append(f"time of {ours} beside {' and '.join(theirs)}")
        bar = f"< 1, {'kept' if share < 1 else 'MISSED'}" if has_bar else ""
        error = f"{errors[ours] / errors[theirs[0]]:.2f}" if {ours, theirs[0]} <= errors.keys() else ""
        print(f"| {ours} | {' and '.join(theirs)} | {share:.2f} | {bar} | {error} |")
    for ours, theirs, _ in COMPARISONS:
        if theirs == ("prdc",) and {ours, *theirs} <= answers.keys() and _most(answers["prdc"], "mebibytes"):
            share = _most(answers[ours], "mebibytes") / _most(answers["prdc"], "mebibytes")
            print(f"Memory of {ours} beside prdc: {share:.2f}; the bar is < 1, {'kept' if share < 1 else 'MISSED'}.")
            if share >= 1:
                missed.append(f"memory of {ours} beside prdc")
    return missed


def _most(answers: list[Any], name: str) -> float:
    return float(max(answer[name] for answer in answers))


def _median(answers: list[Any], name: str) -> float:
    return float(statistics.median(answer[name] for answer in answers))


# --- memory -----------------------------------------------------------------------------------------------------------


class FileOfFeatures:
    """Features in a .npy file, read a piece at a time, as the finalise reads shards."""

    def __init__(self, path: Path) -> None:
        self._rows = np.load(path, mmap_mode="r")
        self.shape: tuple[int, int] = self._rows.shape

    def __iter__(self) -> Iterator[np.ndarray]:
        itemsize = self._rows.itemsize * self.shape[1]
        offset = self._rows.offset
        with Path(self._rows.filename).open("rb") as file:
            file.seek(offset)
            while data := file.read(512 * itemsize):
                yield np.frombuffer(data, self._rows.dtype).reshape(-1, self.shape[1])


def memory(arguments: argparse.Namespace) -> list[str]:
    """Print what every metric adds to the memory of a process that holds no features, at two numbers of images."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        print("| images on either side | seconds | MiB added at most |\n|---|---|---|")
        for count in arguments.counts:
            for number in (0, 1):
                np.save(Path(folder) / f"{number}.npy", features(number, count, arguments.dimension))
            command = [sys.executable, "-m", "benchmarks.diversity", "--added", folder]
            threads = str(arguments.threads)
            answer = json.loads(
                subprocess.run(
                    command,
                    cwd=PROJECT,
                    env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )
            print(f"| {count:,} | {answer['seconds']:.1f} | {answer['mebibytes']:.0f} |", flush=True)
            taken.append(answer["mebibytes"])
    if not all(taken):
        print("\nThis system does not tell how much anonymous memory a process has.")
        return []
    growth = taken[-1] / taken[0]
    print(f"\nIt grows by {growth:.2f}; the bar is {MEMORY_BAR}, {'kept' if growth <= MEMORY_BAR else 'MISSED'}.")
    return [] if growth <= MEMORY_BAR else ["memory for more images"]


def added(folder: Path) -> None:
    """All metrics of pairs, Vendi and NDB from files: seconds and MiB added, as JSON."""
    from vaeval_core.metrics.memorisation import authenticity_of
    from vaeval_core.metrics.ndb import number_of_different_bins
    from vaeval_core.metrics.pair_statistics import pair_statistics
    from vaeval_core.metrics.vendi_score import vendi_score

    generated, reference = FileOfFeatures(folder / "1.npy"), FileOfFeatures(folder / "0.npy")
    with AnonymousMemory() as memory:
        started = time.perf_counter()
        authenticity_of(pair_statistics(generated, reference))
        number_of_different_bins(generated, reference)
        vendi_score(generated)
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "mebibytes": memory.gained or 0.0}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="on either side")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--memory", action="store_true", help="measure our memory instead")
    parser.add_argument("--counts", type=int, nargs="+", default=[5_000, 20_000], help="images for --memory")
    parser.add_argument("--serve", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    parser.add_argument("--added", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.images, arguments.dimension)
    elif arguments.added:
        added(arguments.added)
    else:
        print(f"{platform.machine()}, {arguments.threads} threads; load {os.getloadavg()[0]:.1f} before the run\n")
        missed = memory(arguments) if arguments.memory else measure(arguments)
        if missed:
            sys.exit(f"\nBars missed: {'; '.join(missed)}.")


if __name__ == "__main__":
    main()

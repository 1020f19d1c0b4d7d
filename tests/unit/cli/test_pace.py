"""The estimate on made-up workers whose true speed is known: steady ones, late ones, and ones that stop."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import pytest

from cli.pace import STALL_SECONDS, Pace, Speedometer
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.store.base import Progress

TOTAL = 1_000_000


def progress(done: int = 0, total: int = TOTAL, *, shards: int = 0, slots: int = 1, **states: int) -> Progress:
    evaluations = {EvaluationState(name): number for name, number in (states or {"running": 1}).items()}
    return Progress(
        evaluations=evaluations,
        shards={ShardState.RUNNING: slots, ShardState.FINISHED: shards},
        images_done=done,
        images_total=total,
    )


@dataclass(frozen=True)
class Worker:
    """One slot that tells in batches of 32 what it has done, every `beat` seconds and at the end of a shard.

    Attributes:
        images_per_second: Its true speed.
        shard: Images of a shard.
        beat: Seconds between two reports within a shard.
        starts: When it is done with loading.
        pause: Seconds between two shards.
        stops: When it works no more.
    """

    images_per_second: float
    shard: int = 256
    beat: float = 5.0
    starts: float = 10.0
    pause: float = 0.0
    stops: float = 1e9

    def reports(self, until: float) -> Iterator[tuple[float, int, int]]:
        """(seconds, images more, shards more)."""
        start, duration = self.starts, self.shard / self.images_per_second
        while start < min(until, self.stops):
            told = 0
            for beat in range(1, int(duration / self.beat) + 1):
                done = int(beat * self.beat * self.images_per_second) // 32 * 32
                yield start + beat * self.beat, done - told, 0
                told = done
            yield start + duration, self.shard - told, 1
            start += duration + self.pause


@dataclass(frozen=True)
class Reading:
    """What was said at a moment."""

    seconds: float
    pace: Pace


def watched(workers: Sequence[Worker], *, until: float = 400.0, every: float = 0.5) -> list[Reading]:
    """All readings of a display that looks twice a second."""
    reports = sorted(report for worker in workers for report in worker.reports(until))
    sums = list(accumulate(reports, lambda before, report: (report[0], before[1] + report[1], before[2] + report[2])))
    speed, readings, past = Speedometer(), [], (0.0, 0, 0)
    for look in range(int(until / every)):
        while sums and sums[0][0] <= look * every:
            past = sums.pop(0)
        state = progress(past[1], shards=past[2], slots=len(workers))
        readings.append(Reading(look * every, speed.read(look * every, state)))
    return readings


CREWS = {
    "one": [Worker(8)],
    "a slow one": [Worker(1)],
    "two at once": [Worker(7), Worker(7)],
    "two in turn": [Worker(7), Worker(7, starts=27)],
    "unequal": [Worker(4), Worker(9, starts=13)],
    "seldom heard of": [Worker(7, beat=1e9), Worker(7, beat=1e9, starts=12)],
    "many fast ones": [Worker(1500, shard=4096, starts=10 + slot) for slot in range(8)],
    "long shards": [Worker(7, shard=4096)],
}


@functools.cache
def watched_crew(crew: str) -> list[Reading]:
    return watched(CREWS[crew], until=600)


@pytest.mark.parametrize("crew", CREWS)
def test_the_estimate_of_steady_workers_stays_near_the_truth(crew: str) -> None:
    workers = CREWS[crew]
    truth = sum(worker.images_per_second for worker in workers)
    all_at_work = max(worker.starts for worker in workers) + min(w.shard / w.images_per_second for w in workers)
    said = [
        reading.pace.images_per_second
        for reading in watched_crew(crew)
        if reading.seconds >= all_at_work and reading.pace.images_per_second
    ]
    assert said, "there is an estimate"
    assert min(said) > 0.85 * truth
    assert max(said) < 1.15 * truth


@pytest.mark.parametrize("crew", CREWS)
def test_once_there_is_an_estimate_there_always_is(crew: str) -> None:
    is_said = [reading.pace.images_per_second is not None for reading in watched_crew(crew)]
    assert not is_said[0]
    assert is_said == sorted(is_said)


def test_pauses_between_shards_are_a_part_of_the_speed() -> None:
    worker = Worker(30, pause=6)
    truth = worker.shard / (worker.shard / worker.images_per_second + worker.pause)
    said = [reading.pace.images_per_second for reading in watched([worker]) if reading.seconds > 60]
    assert said == pytest.approx([truth] * len(said), rel=0.15)


def test_the_start_of_the_workers_is_no_part_of_the_speed() -> None:
    (first, *_) = (reading for reading in watched([Worker(8, starts=60)]) if reading.pace.images_per_second)
    assert first.seconds > 60
    assert first.pace.images_per_second == pytest.approx(8, rel=0.15)


def test_a_change_of_speed_is_followed() -> None:
    first, second = watched([Worker(8), Worker(8, stops=200)], until=600), watched([Worker(8)], until=600)
    assert first[-1].pace.images_per_second == pytest.approx(second[-1].pace.images_per_second, rel=0.15)


def test_one_step_is_no_ground_for_an_estimate() -> None:
    speed = Speedometer()
    assert speed.read(0.0, progress()) == Pace()
    assert speed.read(1.0, progress(32)) == Pace()
    assert speed.read(2.0, progress(64)) == Pace()
    assert speed.read(32.5, progress(64)).images_per_second is None


def test_when_nothing_moves_the_estimate_stands_still_and_then_the_pause_is_told() -> None:
    readings = watched([Worker(8, stops=200)], until=400)
    last = max(reading.seconds for reading in readings if reading.pace.stalled_seconds is None)
    quiet = [reading for reading in readings if reading.seconds > last]
    assert 200 + STALL_SECONDS - 1 < last < 200 + 2 * STALL_SECONDS
    assert [reading.pace.stalled_seconds for reading in quiet[:3]] == [
        STALL_SECONDS,
        STALL_SECONDS + 0.5,
        STALL_SECONDS + 1,
    ]
    before = [reading.pace.images_per_second for reading in readings if last - STALL_SECONDS < reading.seconds <= last]
    assert min(filter(None, before)) > 0.85 * 8, "a pause does not make the time that is left grow in silence"


def test_before_the_first_image_a_long_wait_is_told_too() -> None:
    speed = Speedometer()
    waits = [speed.read(second, progress()).stalled_seconds for second in range(0, 60, 10)]
    assert waits == [None, None, None, 30, 40, 50]


def test_after_a_stall_the_estimate_goes_on_where_it_was() -> None:
    speed, done, now = Speedometer(), 0, 0.0
    for _ in range(30):
        now, done = now + 5, done + 40
        speed.read(now, progress(done))
    assert speed.read(now + 600, progress(done)).stalled_seconds == 600
    pace = speed.read(now + 601, progress(done + 40))
    assert pace.stalled_seconds is None
    assert pace.images_per_second == pytest.approx(8, rel=0.15)


def test_long_steps_are_no_stall_where_they_are_usual() -> None:
    readings = watched([Worker(0.8, shard=32, starts=0)], until=900)  # a step takes 40 seconds
    stalls = [reading.seconds for reading in readings if reading.pace.stalled_seconds is not None]
    assert all(seconds < 2 * 40 for seconds in stalls)


def test_a_finalisation_is_no_stall_though_no_image_moves() -> None:
    speed = Speedometer()
    for second in range(0, 200, 20):
        over = second // 20
        pace = speed.read(second, progress(100, 100, finalising=20 - over, finished=over))
        assert pace.stalled_seconds is None


def test_images_that_are_given_back_do_not_lower_the_speed() -> None:
    speed = Speedometer()
    for second in range(40):
        lost = 300 if second >= 25 else 0  # a shard that its worker gave up
        pace = speed.read(second, progress(10 * second - lost + 300))
    assert pace.images_per_second == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize(
    ("pace", "state", "words"),
    [
        (Pace(), progress(0), ("estimating",)),
        (Pace(images_per_second=10.0), progress(400, 1000), ("1 min left", "10.0 images/s")),
        (Pace(images_per_second=10.0), progress(1000, 1000, finalising=1), ("finishing",)),
        (Pace(images_per_second=10.0), progress(1000, 1000, finished=1), ()),
        (Pace(images_per_second=10.0, stalled_seconds=40.2), progress(400, 1000), ("no progress for 40 s",)),
        (Pace(stalled_seconds=125.0), progress(9, 9, finalising=1), ("finishing", "no progress for 2 min 5 s")),
    ],
)
def test_the_words_say_as_much_as_is_known(pace: Pace, state: Progress, words: tuple[str, ...]) -> None:
    assert pace.words(state) == words

"""How fast the work goes and how long the rest will take, from a counter that moves in steps.

Workers tell what they have done every few seconds and at the end of a shard, each at its own moments, and nothing while
they load a model. So images over time are a staircase with uneven steps. Its slope between two moments depends on where on
a step they fall; the slope of the straight line that fits all of it best (least squares) hardly does:

    relative error of a staircase of even steps  ≤ about (seconds of a step / seconds watched)²

which is 4 % for the five steps that an estimate needs here, and 11 % if all workers step at the same moments. The line
is fitted to the later half of what was watched, at most to two minutes, because workers start one after the other; but
always to several shards of each, because between two shards work pauses. When nothing moves the estimate stands still,
and after a while the pause itself is what is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from cli.number_formats import duration, rate
from scheduler.lifecycle import ShardState

if TYPE_CHECKING:
    from scheduler.store.base import Progress

WINDOW_SECONDS = 120.0
WINDOW_SHARDS = 3
"""How far the estimate looks back at most, unless in that time fewer shards of each running worker were finished."""

STEPS_OF_AN_ESTIMATE = 5
SHORTEST_ESTIMATE_SECONDS = 15.0
"""Three times what a worker may take to tell what it has done (`workers.heartbeat`)."""

STALL_SECONDS = 30.0
LONGEST_STEPS_OF_A_STALL = 3
"""Nothing has moved for so long, and for so many of the longest steps: then it is told."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What can be said about the speed of some work.

    Attributes:
        images_per_second: None while there is no ground for an estimate.
        stalled_seconds: How long nothing has moved, once that is longer than usual; else None.
    """

    images_per_second: float | None = None
    stalled_seconds: float | None = None

    def words(self, progress: Progress) -> tuple[str, ...]:
        """How long it will take and how fast it goes, in this order, as far as known; nothing once the work is over."""
        left = progress.images_total - progress.images_done
        if progress.is_over:
            return ()
        if self.stalled_seconds is not None:
            return (*(() if left else ("finishing",)), f"no progress for {duration(self.stalled_seconds)}")
        if not left:
            return ("finishing",)
        if self.images_per_second is None:
            return ("estimating",)
        return (f"{duration(left / self.images_per_second)} left", rate(self.images_per_second))


@dataclass(frozen=True)
class _Step:
    seconds: float
    images: int
    shards: int


class Speedometer:
    """Makes a `Pace` of one reading of the progress after the other."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._moved_at = 0.0  # when anything did, and when the images did
        self._stepped_at = 0.0
        self._worked_seconds = 0.0  # until the last step; of a stall only the beginning counts
        self._images = 0  # that were added since we look: a shard that is given back takes nothing away
        self._first_step = 0.0
        self._steps: deque[_Step] = deque()
        self._has_ground = False

    def read(self, seconds: float, progress: Progress) -> Pace:
        """Take a reading.

        Args:
            seconds: A monotonic clock.
            progress: What it shows.
        """
        before, self._last = self._last, progress
        if before is None:
            self._moved_at = self._stepped_at = seconds
        elif _landmarks(progress) != _landmarks(before):
            if progress.images_done > before.images_done:
                self._step(seconds, progress.images_done - before.images_done, progress)
            self._moved_at = seconds
        quiet, pauses = seconds - self._moved_at, self._pauses()
        return Pace(
            images_per_second=self._images_per_second(seconds - self._stepped_at, pauses),
            stalled_seconds=quiet if quiet >= _stall_seconds(pauses) else None,
        )

    def _step(self, seconds: float, images: int, progress: Progress) -> None:
        pause, pauses = seconds - self._stepped_at, self._pauses()
        if pause >= _stall_seconds(pauses):
            pause = max([*pauses, STALL_SECONDS])  # as much as would not have been noticed
        self._worked_seconds += pause
        self._stepped_at = seconds
        self._images += images
        if not self._steps:
            self._first_step = self._worked_seconds
        self._steps.append(_Step(self._worked_seconds, self._images, progress.shards.get(ShardState.FINISHED, 0)))
        self._forget(slots=progress.shards.get(ShardState.RUNNING, 0))

    def _forget(self, *, slots: int) -> None:
        later_half = min(WINDOW_SECONDS, (self._worked_seconds - self._first_step) / 2)
        window = max(later_half, STEPS_OF_AN_ESTIMATE * _usual_step(self._pauses()))
        last = self._steps[-1]
        while (
            len(self._steps) > 2
            and last.seconds - self._steps[1].seconds >= window
            and last.shards - self._steps[1].shards >= WINDOW_SHARDS * max(slots, 1)
        ):
            self._steps.popleft()

    def _pauses(self) -> list[float]:
        return [after.seconds - before.seconds for before, after in pairwise(self._steps)]

    def _images_per_second(self, since_step: float, pauses: Sequence[float]) -> float | None:
        if not pauses:
            return None
        end = self._worked_seconds + min(since_step, max(pauses))
        watched = end - self._steps[0].seconds
        needed = max(STEPS_OF_AN_ESTIMATE * _usual_step(pauses), SHORTEST_ESTIMATE_SECONDS)
        self._has_ground |= len(pauses) >= STEPS_OF_AN_ESTIMATE - 1 and watched >= needed
        return _slope(self._steps, end) if self._has_ground else None


def _usual_step(pauses: Sequence[float]) -> float:
    """Length of the step in which a moment falls on average; of even steps any one."""
    return sum(pause**2 for pause in pauses) / sum(pauses) if pauses else 0.0


def _stall_seconds(pauses: Sequence[float]) -> float:
    return max(STALL_SECONDS, LONGEST_STEPS_OF_A_STALL * max(pauses, default=0.0))


def _slope(steps: Sequence[_Step], end: float) -> float:
    """Least-squares slope of the staircase y(t), constant from each step to the next and the last one to `end`.

    12/S³ ∫ (t − m) y(t) dt                              over the window of length S and middle m
    """
    first = steps[0]
    length, middle = end - first.seconds, (end + first.seconds) / 2
    edges = [step.seconds - middle for step in steps] + [end - middle]
    integral = sum(
        (step.images - first.images) * (right**2 - left**2) / 2
        for step, (left, right) in zip(steps, pairwise(edges), strict=True)
    )
    return 12 * integral / length**3


def _landmarks(progress: Progress) -> tuple[int, int, int]:
    """What changes when anything happens: images, shards, evaluations that are over (a finalisation has no images)."""
    over = sum(number for state, number in progress.evaluations.items() if state.is_terminal)
    return progress.images_done, progress.shards.get(ShardState.FINISHED, 0), over

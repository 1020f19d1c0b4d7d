"""Live progress on stderr: a bar where a person looks, else a plain line every few seconds.

Everything shown is read from the database, so progress is the same from any terminal and after any interruption.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli import rendering
from cli.number_formats import count, duration, rate
from vaeval_core.errors import VaevalError, WaitTimedOut

if TYPE_CHECKING:
    from scheduler.store.base import Progress, ReadStore

POLL_SECONDS = 0.5
PLAIN_LINE_SECONDS = 5.0
SAME_LINE_SECONDS = 60.0
"""A log that repeats itself is not read; one that falls silent worries."""

RATE_WINDOW_SECONDS = 30.0


class Speedometer:
    """Images per second over the last half minute, from (time, images done) readings."""

    def __init__(self, window_seconds: float = RATE_WINDOW_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._readings: deque[tuple[float, int]] = deque()

    def read(self, seconds: float, images_done: int) -> float | None:
        """Take a reading; the rate, or None before anything moved.

        Args:
            seconds: A monotonic clock.
            images_done: The counter; it may fall when a shard is given back, which starts the measurement anew.
        """
        if self._readings and images_done < self._readings[-1][1]:
            self._readings.clear()
        self._readings.append((seconds, images_done))
        while len(self._readings) > 2 and seconds - self._readings[1][0] >= self._window_seconds:
            self._readings.popleft()
        first_seconds, first_images = self._readings[0]
        if images_done == first_images or seconds <= first_seconds:
            return None
        return (images_done - first_images) / (seconds - first_seconds)


def described(progress: Progress, images_per_second: float | None) -> str:
    """One line for a log: evaluations, images, rate and what is left."""
    over, total = _over(progress)
    parts = [
        f"{over} of {count(total, 'evaluation')}",
        f"{progress.images_done:,} of {count(progress.images_total, 'image')}",
    ]
    if images_per_second and not progress.is_over:
        parts += [rate(images_per_second), _left(progress, images_per_second)]
    return " · ".join(parts)


def beside_bar(progress: Progress, images_per_second: float | None) -> str:
    """The same beside a bar, where space is short: what matters most comes first, for a terminal cuts the end."""
    over, total = _over(progress)
    parts = []
    if images_per_second and not progress.is_over:
        parts += [_left(progress, images_per_second), rate(images_per_second)]
    parts += [
        f"{over}/{count(total, 'evaluation')}",
        f"{progress.images_done:,}/{count(progress.images_total, 'image')}",
    ]
    return " · ".join(parts)


def _over(progress: Progress) -> tuple[int, int]:
    over = sum(number for state, number in progress.evaluations.items() if state.is_terminal)
    return over, sum(progress.evaluations.values())


def _left(progress: Progress, images_per_second: float) -> str:
    left = progress.images_total - progress.images_done
    return f"{duration(left / images_per_second)} left" if left else "finishing"


@contextmanager
def progress_display(label: str = "evaluating") -> Iterator[Callable[[Progress], None]]:
    """Yields the function that shows a new state of the work."""
    speed = Speedometer()
    if not rendering.is_for_people(sys.stderr):
        told_at, told = -math.inf, ""

        def show_line(progress: Progress) -> None:
            nonlocal told_at, told
            now = time.monotonic()
            line = described(progress, speed.read(now, progress.images_done))
            pause = PLAIN_LINE_SECONDS if line != told else SAME_LINE_SECONDS
            if now >= told_at + pause or progress.is_over:
                rendering.note(f"{label}: {line}")
                told_at, told = now, line

        yield show_line
        return

    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(bar_width=20), TaskProgressColumn(), TextColumn("{task.fields[text]}"))
    with Bar(*columns, console=rendering.console(sys.stderr)) as bar:
        task = bar.add_task(label, total=None, text="")

        def show_bar(progress: Progress) -> None:
            text = beside_bar(progress, speed.read(time.monotonic(), progress.images_done))
            bar.update(task, total=progress.images_total or 1, completed=progress.images_done, text=text)

        yield show_bar


def wait_until_over(
    reads: ReadStore,
    evaluation_ids: Sequence[int],
    show: Callable[[Progress], None],
    *,
    timeout_seconds: float | None = None,
    ended: Callable[[], VaevalError | None] = lambda: None,
) -> Progress:
    """Poll until every evaluation is finished, failed or cancelled.

    Args:
        reads: Where progress is read.
        evaluation_ids: What to wait for.
        show: Called with each reading.
        timeout_seconds: When to give up waiting; None for never.
        ended: The reason why waiting has become pointless, or None. Asked before each reading, so that workers which end
            with the last evaluation are no reason.

    Raises:
        VaevalError: What `ended` gave, and the work is not over.
        WaitTimedOut: The time is over; the work goes on.
    """
    started = time.monotonic()
    while True:
        reason = ended()
        progress = reads.progress(evaluation_ids)
        show(progress)
        if progress.is_over:
            return progress
        if timeout_seconds is not None and time.monotonic() - started >= timeout_seconds:
            raise WaitTimedOut(
                f"The evaluations were not over within {_limit(timeout_seconds)}; the work goes on.",
                received=described(progress, None),
                expected="every evaluation finished, failed or cancelled",
                next_step=f"vaeval status {' '.join(map(str, evaluation_ids[:5]))} --watch",
            )
        if reason is not None:
            raise reason
        time.sleep(POLL_SECONDS)


def _limit(seconds: float) -> str:
    """A length of time that was set, not measured, so that it is said as it was set."""
    return f"{seconds:g} s" if seconds < 60 else duration(seconds)

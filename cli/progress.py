"""Live progress on stderr: a bar where a person looks, else a plain line every few seconds.

Everything shown is read from the database, so progress is the same from any terminal and after any interruption.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli import rendering
from cli.number_formats import count, duration
from cli.pace import Pace, Speedometer
from cli.waits import WaitNotes
from vaeval_core.errors import VaevalError, WaitTimedOut

if TYPE_CHECKING:
    from scheduler.store.base import Progress, ReadStore

POLL_SECONDS = 0.5
PLAIN_LINE_SECONDS = 5.0
SAME_LINE_SECONDS = 60.0
"""A log that repeats itself is not read; one that falls silent worries."""


def described(progress: Progress, pace: Pace | None) -> str:
    """One line for a log: evaluations, images, rate and what is left."""
    over, total = _over(progress)
    parts = [
        f"{over} of {count(total, 'evaluation')}",
        f"{progress.images_done:,} of {count(progress.images_total, 'image')}",
        *reversed(pace.words(progress) if pace else ()),
    ]
    return " · ".join(parts)


def beside_bar(progress: Progress, pace: Pace) -> str:
    """The same beside a bar, where space is short: what matters most comes first, for a terminal cuts the end."""
    over, total = _over(progress)
    parts = [
        *pace.words(progress),
        f"{over}/{count(total, 'evaluation')}",
        f"{progress.images_done:,}/{count(progress.images_total, 'image')}",
    ]
    return " · ".join(parts)


def _over(progress: Progress) -> tuple[int, int]:
    over = sum(number for state, number in progress.evaluations.items() if state.is_terminal)
    return over, sum(progress.evaluations.values())


@contextmanager
def progress_display(label: str = "evaluating") -> Iterator[Callable[[Progress], None]]:
    """Yields the function that shows a new state of the work."""
    speed = Speedometer()
    if not rendering.is_for_people(sys.stderr):
        told_at = -math.inf
        told: tuple[str, bool] | None = None

        def show_line(progress: Progress) -> None:
            nonlocal told_at, told
            now = time.monotonic()
            pace = speed.read(now, progress)
            news = described(progress, None), pace.stalled_seconds is None  # how long a stall lasts is no news
            pause = PLAIN_LINE_SECONDS if news != told else SAME_LINE_SECONDS
            if now >= told_at + pause or progress.is_over:
                rendering.note(f"{label}: {described(progress, pace)}")
                told_at, told = now, news

        yield show_line
        return

    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(bar_width=20), TaskProgressColumn(), TextColumn("{task.fields[text]}"))
    with Bar(*columns, console=rendering.console(sys.stderr)) as bar:
        task = bar.add_task(label, total=None, text="")

        def show_bar(progress: Progress) -> None:
            text = beside_bar(progress, speed.read(time.monotonic(), progress))
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
    notes = WaitNotes(reads, evaluation_ids)
    while True:
        reason = ended()
        progress = reads.progress(evaluation_ids)
        show(progress)
        notes.tell()
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

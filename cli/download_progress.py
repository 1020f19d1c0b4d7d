"""How far a download is, on stderr: a bar where a person looks, else a plain line every few seconds."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli import rendering

PLAIN_LINE_SECONDS = 5.0


def megabytes(size: int) -> str:
    """A size as people read it.

    >>> megabytes(95_628_359), megabytes(1_234)
    ('95.6 MB', '0.0 MB')
    """
    return f"{size / 1e6:,.1f} MB"


@contextmanager
def download_display(label: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yields the function that is told the bytes that are here, and how many there will be, or None."""
    if not rendering.is_for_people(sys.stderr):
        told_at = -math.inf

        def show_line(here: int, total: int | None) -> None:
            nonlocal told_at
            now = time.monotonic()
            if now >= told_at + PLAIN_LINE_SECONDS or here == total:
                rendering.note(f"{label}: {megabytes(here)}" + (f" of {megabytes(total)}" if total else ""))
                told_at = now

        yield show_line
        return

    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=rendering.console(sys.stderr), transient=True) as bar:
        task = bar.add_task(label, total=None, visible=False)  # weights that are here need no bar
        yield lambda here, total: bar.update(task, completed=here, total=total, visible=True)

"""Ids of evaluations as text, runs of them by their ends: how `vaeval run` tells its workers which are its own.

A sweep has thousands, which mostly follow on each other. Where they do not, the text may be longer than a command line or a
variable can be; then it is a file, and `@FILE` stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

LONGEST_ARGUMENT = 100_000
"""Characters: Linux takes 128 KiB in one argument or variable."""


def ids_as_text(ids: Iterable[int]) -> str:
    """Text that `ids_of_text` reads.

    >>> ids_as_text([9, 3, 5, 4]), ids_as_text([])
    ('3-5,9', '')
    """
    runs = []
    for _, numbered in groupby(enumerate(sorted(set(ids))), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in numbered]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(runs)


def ids_of_text(text: str) -> list[int]:
    """Ids, in the order of the text. ValueError, for argparse, if it is anything else.

    >>> ids_of_text("3-5,9"), ids_of_text("")
    ([3, 4, 5, 9], [])
    """
    ids: list[int] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        ids += range(int(first), int(last if dash else first) + 1)
    return ids


def ids_of_argument(argument: str) -> list[int]:
    """Ids of a text, or of the file that `@FILE` names. ValueError, for argparse, if it is neither."""
    if not argument.startswith("@"):
        return ids_of_text(argument)
    try:
        return ids_of_text(Path(argument[1:]).read_text(encoding="ascii"))
    except OSError as error:
        raise ValueError(f"{argument[1:]} cannot be read: {error.strerror}") from error

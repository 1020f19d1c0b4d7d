"""Runs schedules and says how each went; a failure comes with its story and the command that plays it again.

python -m tests.chaos simulated sqlite 0 200         seeds 0 to 199
python -m tests.chaos simulated postgresql 17        seed 17 alone, with its story
python -m tests.chaos interleaved postgresql 0 40    the same with several transactions open at once
python -m tests.chaos processes sqlite 0 40          real processes, real signals, a real broker
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from scheduler.store import schema
from scheduler.store.database import Database
from tests.chaos.process_schedules import ProcessSchedules
from tests.chaos.simulated_schedules import Outcome, Schedules
from tests.postgresql_server import running_postgresql

RUNNERS: dict[str, Callable[[Path, str], Schedules | ProcessSchedules]] = {
    "simulated": Schedules,
    "interleaved": partial(Schedules, interleaved=True),
    "processes": ProcessSchedules,
}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("kind", choices=sorted(RUNNERS))
    parser.add_argument("database", choices=["postgresql", "sqlite"])
    parser.add_argument("first", type=int, help="first seed")
    parser.add_argument("stop", type=int, nargs="?", help="one past the last seed; without it the first alone")
    parser.add_argument("--verbose", action="store_true", help="tell every story, and what the processes log")
    return parser.parse_args()


@contextmanager
def _database_url(kind: str, folder: Path) -> Iterator[str]:
    with ExitStack() as stack:
        if kind == "sqlite":
            url = f"sqlite:///{folder / 'chaos.db'}"
        else:
            url = stack.enter_context(running_postgresql()).render_as_string(hide_password=False)
        database = Database(url)
        schema.upgrade(database)
        database.dispose()
        yield url


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _tell(outcome: Outcome, command: str) -> None:
    for line in outcome.story:
        _say(f"    {line}")
    for violation in outcome.violations:
        _say(f"VIOLATED {violation}")
    _say(f"again: {command} {outcome.seed}")


def main() -> int:
    """Run what the command line names. Returns the exit code: 1 if a promise was broken."""
    arguments = _parse()
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.CRITICAL)
    seeds = range(arguments.first, arguments.stop or arguments.first + 1)
    is_told = arguments.verbose or arguments.stop is None
    broken = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        url = stack.enter_context(_database_url(arguments.database, folder))
        runner = RUNNERS[arguments.kind](folder, url)
        stack.callback(runner.close)
        for seed in seeds:
            started = time.monotonic()
            outcome = runner.run(seed)
            broken += bool(outcome.violations)
            verdict = "BROKEN" if outcome.violations else "kept"
            seconds = time.monotonic() - started
            _say(f"{arguments.kind} {arguments.database} seed {seed}: {verdict} in {seconds:.1f} s. {outcome.summary}")
            if outcome.violations or is_told:
                _tell(outcome, f"python -m tests.chaos {arguments.kind} {arguments.database}")
    _say(f"{len(seeds)} schedules on {arguments.database}, {broken} with a broken promise")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())

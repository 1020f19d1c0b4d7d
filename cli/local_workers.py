"""Workers of this machine for the length of one command: a subprocess, never an import.

The worker program writes to a log in VAEVAL_HOME/logs. It has a session of its own, so that Ctrl-C reaches us alone and
we stop it in good order.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cli import rendering
from scheduler.exit_codes import error_of
from scheduler.id_runs import LONGEST_ARGUMENT, ids_as_text
from vaeval_core.errors import VaevalError

if TYPE_CHECKING:
    from scheduler.settings import Settings

STOP_SECONDS = 90.0
"""How long the worker program may take to stop by itself: longer than it gives its slots to finish their shards."""

SECOND_WISH_SECONDS = 1.5
"""After so long a second SIGTERM is a second wish to the worker program, and no echo of the first."""

LOG_TAIL_LINES = 15

LOGS_KEPT = 20
"""Logs of earlier workers that stay beside that of the latest."""


@dataclass(frozen=True)
class LocalWorkers:
    """A running worker program and where it writes."""

    process: subprocess.Popen[bytes]
    log: Path

    def ended(self) -> VaevalError | None:
        """What to raise if the program has ended and the work is not over; None while it runs."""
        code = self.process.poll()
        if code is None:
            return None
        return _own_words(self.log, code) or VaevalError(
            f"The workers ended before the work did (exit code {code}). What is done is kept.",
            received=log_tail(self.log),
            expected="workers that run until the last evaluation is over",
            next_step=f"read {self.log}, check with `vaeval doctor`, then run the same command again: it goes on",
        )

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the program, as patiently as the user is.

        The first SIGTERM lets slots finish their shards. Ctrl-C meanwhile sends another: shards are given back. Ctrl-C
        again, or no end in sight, is SIGKILL; then recovery finds the shards when their leases end.

        Args:
            at_once: Nobody waits for the shards at hand: after a moment for idle slots, they are given back.
        """
        for patience in (SECOND_WISH_SECONDS if at_once else STOP_SECONDS, STOP_SECONDS):
            if self.process.poll() is None:
                self.process.terminate()
            try:
                self.process.wait(patience)
            except KeyboardInterrupt:
                continue
            except subprocess.TimeoutExpired:
                if patience < STOP_SECONDS:
                    continue
                break
            return
        self.process.kill()
        self.process.wait()


def _own_words(log: Path, code: int) -> VaevalError | None:
    """The error that the worker program told as its last event, as the error that it was."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in reversed(lines[-LOG_TAIL_LINES:]):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == "cannot_work" and "what" in event:
            kind = error_of(code)
            return kind(
                event["what"],
                received=event.get("received"),
                expected=event.get("expected"),
                next_step=event.get("next"),
            )
    return None


def worker_command(
    *,
    devices: str,
    workers: int | None,
    threads: int | None,
    slots_per_device: int | None = None,
    only: str = "",
    until_stdin_closes: bool = False,
) -> list[str]:
    """The command line of the worker program.

    Args:
        devices: As `vaeval worker --devices`.
        workers: Slots; None for its own choice.
        threads: Of each; None likewise.
        only: The evaluations to work on, from `handed_over`; empty for any.
        until_stdin_closes: Ties its life to ours.
    """
    command = [sys.executable, "-P", "-m", "workers", "--devices", devices]
    if workers is not None:
        command += ["--workers", str(workers)]
    if slots_per_device is not None:
        command += ["--slots-per-device", str(slots_per_device)]
    if threads is not None:
        command += ["--threads", str(threads)]
    if only:
        command += ["--only", only]
    return [*command, "--until-stdin-closes"] if until_stdin_closes else command


def inline_command(evaluations: str, *, devices: str, threads: int | None) -> list[str]:
    """The command line of the worker program without a broker, which does these evaluations and ends with them.

    Args:
        evaluations: From `handed_over`.
        devices: As `vaeval worker --devices`.
        threads: None for the program's own choice.
    """
    command = [sys.executable, "-P", "-m", "workers.inline", "--evaluations", evaluations, "--devices", devices]
    return command if threads is None else [*command, "--threads", str(threads)]


@contextmanager
def handed_over(evaluation_ids: Sequence[int], settings: Settings) -> Iterator[str]:
    """The ids as one argument: as text, or where that would be too long as `@FILE`, which is there as long as the context."""
    text = ids_as_text(evaluation_ids)
    if len(text) <= LONGEST_ARGUMENT:
        yield text
        return
    path = _new_file(settings, "ids")
    path.write_text(text, encoding="ascii")
    try:
        yield f"@{path}"
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def local_workers(command: Sequence[str], settings: Settings) -> Iterator[LocalWorkers]:
    """Start the command with these settings; whatever happens inside, it is stopped at the end.

    Without an exception the work is over: there is nothing left that is worth waiting for.

    Args:
        command: From `worker_command` or `inline_command`.
        settings: What the workers are to see. Without a broker URL they join the embedded broker as users of their own.
    """
    path = _new_file(settings, "log")
    with path.open("wb") as log:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,  # never written to; it closes when we are gone, however we went
            stdout=log,
            stderr=subprocess.STDOUT,
            env=settings.as_environment(os.environ),
            start_new_session=True,
        )
    running = LocalWorkers(process, path)
    is_over = False
    try:
        yield running
        is_over = True
    except KeyboardInterrupt:
        if running.ended() is None:
            rendering.note("Stopping: the shards at hand are finished first. Ctrl-C again gives them back unfinished.")
        raise
    finally:
        running.stop(at_once=is_over)
        if process.stdin is not None:
            process.stdin.close()


def _new_file(settings: Settings, suffix: str) -> Path:
    """A path that no other process takes; of the files of earlier workers only the latest stay."""
    folder = settings.home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    earlier = sorted(folder.glob(f"workers-*.{suffix}"), key=_last_change, reverse=True)
    for old in earlier[LOGS_KEPT:]:
        old.unlink(missing_ok=True)
    return folder / f"workers-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.{suffix}"


def _last_change(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process has just removed it
        return 0.0


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log, or a sentence that there are none."""
    text = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-lines:]
    return "\n".join([f"the end of {path}:", *(f"    {line}" for line in text)]) if text else f"an empty log, {path}"

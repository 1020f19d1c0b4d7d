"""One process without a broker: works until the given evaluations are over, and stops in good order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.composition import Application
from scheduler.lifecycle import EvaluationState, ShardState

pytestmark = pytest.mark.service

DEADLINE_SECONDS = 60.0

RUN = """
import sys
from workers.inline import main
assert "numpy" not in sys.modules, "it would have read the number of threads already"
code = main()
assert not {"celery", "kombu", "redis", "tensorflow"} & set(sys.modules)
sys.exit(code)
"""


RUN_THAT_BREAKS_ONCE = """
import os, pathlib, sys
from scheduler.store import shard_failures
from workers.inline import main
from workers.loaded_models import LoadedModels

shard_failures.pause_seconds = lambda *_, **__: 0.1
starts = pathlib.Path(os.environ["STARTS"])
with starts.open("a") as file:
    print(os.getpid(), file=file)
load = LoadedModels.adapter

def adapter(models, checkpoint):
    if len(starts.read_text().splitlines()) == 1:
        raise ZeroDivisionError("in layer 7")
    return load(models, checkpoint)

LoadedModels.adapter = adapter
sys.exit(main())
"""


def start(application: Application, *arguments: str, program: str = RUN, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, "--devices", "cpu", *arguments],
        env=os.environ | application.settings.as_environment() | variables,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_ends_when_the_evaluations_are_over(application: Application, submit: Callable[..., object]) -> None:
    submit(application, latent_sizes=(2, 3))
    with start(application, "--evaluations", "1,2", "--threads", "1") as process:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, errors
    assert {record.state for record in application.reads.evaluations()} == {EvaluationState.FINISHED}
    assert [(record.device, record.threads, record.is_alive) for record in application.reads.workers()] == [
        ("cpu", 1, False)
    ]


def test_it_leaves_what_others_submitted_alone(application: Application, submit: Callable[..., object]) -> None:
    submit(application, latent_sizes=(2,))
    submit(application, latent_sizes=(3,))
    with start(application, "--evaluations", "2", "--threads", "1") as process:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, errors
    states = [record.state for record in reversed(application.reads.evaluations())]
    assert states == [EvaluationState.QUEUED, EvaluationState.FINISHED]


def test_sigterm_gives_the_shard_back(application: Application, submit: Callable[..., object]) -> None:
    submit(application, images=1_000_000, shard_size=1_000_000)  # minutes
    with start(application, "--evaluations", "1") as process:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while application.reads.progress().shards.get(ShardState.FINISHED, 0) == 0 or not is_running(application):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130, errors
    assert [json.loads(line)["event"] for line in errors.splitlines()][-1] == "shard_released"
    assert not is_running(application)


def is_running(application: Application) -> bool:
    return application.reads.progress().shards.get(ShardState.RUNNING, 0) > 0


def test_a_shard_that_a_dead_process_left_behind_is_found(
    application: Application, submit: Callable[..., object]
) -> None:
    submit(application, images=32)
    assert application.work.claim_shard("dead@host") is not None
    application.database.write(end_all_leases)
    with start(application, "--evaluations", "1", VAEVAL_SWEEP_SECONDS="0.1") as process:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, errors
    assert "lost_work_found" in errors


def end_all_leases(connection: object) -> None:
    from sqlalchemy import Connection, update

    from scheduler.store import tables
    from scheduler.store.clock import database_now_plus

    assert isinstance(connection, Connection)
    connection.execute(update(tables.shards).values(lease_expires_at=database_now_plus(-1.0)))


def test_after_an_error_that_nobody_foresaw_it_goes_on_as_a_fresh_process(
    application: Application, submit: Callable[..., object], tmp_path: Path
) -> None:
    submit(application, images=32)
    starts = tmp_path / "starts"
    with start(application, "--evaluations", "1", program=RUN_THAT_BREAKS_ONCE, STARTS=str(starts)) as process:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, errors
    assert starts.read_text().splitlines() == [str(process.pid)] * 2, "two programs, and one process for who waits"
    assert [record.state for record in application.reads.evaluations()] == [EvaluationState.FINISHED]


def test_a_wrong_setting_is_one_line_and_exit_code_2(application: Application) -> None:
    with start(application, "--evaluations", "1", VAEVAL_LEASE_SECONDS="soon") as process:
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 2
    (line,) = [json.loads(line) for line in errors.splitlines()]
    assert line["event"] == "cannot_work"
    assert line["received"] == "soon"
    assert line["expected"] == "0.1 to 86400"


TOLD_TO_STOP_BETWEEN_TWO_PROCESSES = RUN_THAT_BREAKS_ONCE.replace(
    "sys.exit(main())",
    """
import signal
become = os.execv

def told_to_stop(*program):
    os.kill(os.getpid(), signal.SIGTERM)
    become(*program)

os.execv = told_to_stop
sys.exit(main())
""",
)


def test_a_signal_in_the_instant_of_going_on_as_a_fresh_process_is_not_lost(
    application: Application, submit: Callable[..., object], tmp_path: Path
) -> None:
    submit(application, images=32)
    starts = tmp_path / "starts"
    process = start(application, "--evaluations", "1", program=TOLD_TO_STOP_BETWEEN_TWO_PROCESSES, STARTS=str(starts))
    _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, len(starts.read_text().splitlines())) == (-signal.SIGTERM, 1), errors
    assert application.reads.evaluation(1).state is EvaluationState.RUNNING
    assert ShardState.RUNNING not in application.reads.progress().shards, "nothing was at hand"

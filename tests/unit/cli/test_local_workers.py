"""A worker program for the length of one command: with real processes, not the real workers."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from cli.local_workers import LOGS_KEPT, handed_over, inline_command, local_workers, log_tail, worker_command
from scheduler.id_runs import LONGEST_ARGUMENT, ids_of_argument
from scheduler.settings import Settings
from vaeval_core.errors import InvalidInput, ServiceUnreachable, VaevalError


def settings(home: Path) -> Settings:
    return Settings.from_environment({"VAEVAL_HOME": str(home), "VAEVAL_BROKER_URL": "redis://u:S3CRET@host/0"})


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_worker_s_own_choice_is_left_to_it() -> None:
    assert worker_command(devices="auto", workers=None, threads=None)[1:] == [
        "-P",
        "-m",
        "workers",
        "--devices",
        "auto",
    ]


def test_workers_of_a_run_live_as_long_as_the_run() -> None:
    command = worker_command(devices="auto", workers=None, threads=None, until_stdin_closes=True)
    assert command[-1] == "--until-stdin-closes"


def test_what_is_asked_for_is_handed_on() -> None:
    assert worker_command(devices="cpu", workers=2, threads=1)[1:] == [
        *("-P", "-m", "workers", "--devices", "cpu"),
        *("--workers", "2", "--threads", "1"),
    ]
    assert worker_command(devices="0,1", workers=None, slots_per_device=2, threads=None)[-2:] == [
        "--slots-per-device",
        "2",
    ]
    assert inline_command("3-4", devices="cpu", threads=2)[1:] == [
        *("-P", "-m", "workers.inline", "--evaluations", "3-4"),
        *("--devices", "cpu", "--threads", "2"),
    ]


def test_the_evaluations_to_work_on_are_handed_on(tmp_path: Path) -> None:
    with handed_over([3, 4, 5, 9], settings(tmp_path)) as only:
        command = worker_command(devices="cpu", workers=None, threads=None, only=only)
    assert command[-2:] == ["--only", "3-5,9"]


def test_more_evaluations_than_an_argument_can_name_are_handed_on_in_a_file(tmp_path: Path) -> None:
    every_other = range(1, 60_000, 2)
    with handed_over(every_other, settings(tmp_path)) as only:
        assert len(only) < LONGEST_ARGUMENT
        assert ids_of_argument(only) == list(every_other)
        with local_workers([*python("import sys; print(len(sys.argv[1]))"), only], settings(tmp_path)) as workers:
            assert workers.process.wait(60) == 0
    assert list((tmp_path / "logs").iterdir()) == [workers.log], "the file is gone with the run"


def test_of_earlier_logs_only_the_latest_stay(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(LOGS_KEPT + 5):
        old = logs / f"workers-{number}.log"
        old.touch()
        os.utime(old, (number, number))
    training = logs / "training.log"
    training.touch()
    with local_workers(python("pass"), settings(tmp_path)) as workers:
        workers.process.wait(60)
    left = set(logs.iterdir())
    assert left == {training, workers.log, *(logs / f"workers-{number}.log" for number in range(5, LOGS_KEPT + 5))}


def test_a_program_that_runs_has_not_ended_and_is_stopped_at_the_end(tmp_path: Path) -> None:
    with local_workers(python("import time; time.sleep(600)"), settings(tmp_path)) as workers:
        assert workers.ended() is None
        assert is_running(workers.process.pid)
    assert not is_running(workers.process.pid)


def test_a_program_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    code = "import sys; print('loading'); sys.exit('no such device: cuda:7')"
    with local_workers(python(code), settings(tmp_path)) as workers:
        workers.process.wait(60)
        error = workers.ended()
    assert error is not None
    assert "exit code 1" in error.what
    assert "no such device: cuda:7" in str(error.received)
    assert str(workers.log) in str(error.received)
    assert "vaeval doctor" in str(error.next_step)


@pytest.mark.parametrize(("code", "kind"), [(2, InvalidInput), (5, ServiceUnreachable)])
def test_an_error_of_the_workers_is_told_as_if_it_were_ours(tmp_path: Path, code: int, kind: type[VaevalError]) -> None:
    event = {"event": "cannot_work", "what": "There is no such GPU.", "received": "7", "next": "nvidia-smi"}
    program = f"import sys; print({json.dumps(event)!r}); sys.exit({code})"
    with local_workers(python(program), settings(tmp_path)) as workers:
        workers.process.wait(60)
        error = workers.ended()
    assert type(error) is kind
    assert error.parts() == {"what": "There is no such GPU.", "received": "7", "next": "nvidia-smi"}


def test_a_program_that_watches_its_stdin_sees_us_go(tmp_path: Path) -> None:
    with local_workers(python("import sys; sys.stdin.read(); print('alone')"), settings(tmp_path)) as workers:
        assert workers.process.stdin is not None
        workers.process.stdin.close()  # what the kernel does when this process dies
        workers.process.wait(60)
    assert workers.log.read_text() == "alone\n"


def test_the_program_sees_the_same_settings(tmp_path: Path) -> None:
    code = "import os; print(*(f'{k}={v}' for k, v in os.environ.items() if k.startswith('VAEVAL_')), sep='\\n')"
    with local_workers(python(code), settings(tmp_path)) as workers:
        workers.process.wait(60)
    seen = workers.log.read_text().splitlines()
    assert f"VAEVAL_HOME={tmp_path}" in seen
    assert "VAEVAL_BROKER_URL=redis://u:S3CRET@host/0" in seen


def test_ctrl_c_reaches_the_command_alone(tmp_path: Path) -> None:
    with local_workers(python("import time; time.sleep(600)"), settings(tmp_path)) as workers:
        assert os.getsid(workers.process.pid) != os.getsid(0)


def test_a_long_log_is_shown_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "workers.log"
    log.write_text("\n".join(f"line {number}" for number in range(100)), encoding="utf-8")
    assert log_tail(log, 2).splitlines()[1:] == ["    line 98", "    line 99"]


def test_an_empty_log_is_called_empty(tmp_path: Path) -> None:
    log = tmp_path / "workers.log"
    log.touch()
    assert log_tail(log) == f"an empty log, {log}"


TERMINATED_TWICE = """
import signal, time
asked = 0
def stop(*_):
    global asked
    asked += 1
    if asked == 2:
        raise SystemExit(0)
signal.signal(signal.SIGTERM, stop)
print('ready', flush=True)
while True:
    time.sleep(0.01)
"""


def test_nobody_waits_for_shards_at_hand_once_the_work_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.local_workers.SECOND_WISH_SECONDS", 0.05)
    with local_workers(python(TERMINATED_TWICE), settings(tmp_path)) as workers:
        while "ready" not in workers.log.read_text():
            assert workers.ended() is None
    assert workers.process.returncode == 0, "stopped by a second SIGTERM, and not killed"


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.local_workers.STOP_SECONDS", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
    with local_workers(python(code), settings(tmp_path)) as workers:
        while "ready" not in workers.log.read_text():
            assert workers.ended() is None
    assert not is_running(workers.process.pid)

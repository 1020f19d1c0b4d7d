"""Real worker processes: they finish what was submitted, whatever is killed meanwhile, with the same scores to the bit.

Shards are made long (a second or two) by asking for tens of thousands of samples of a model that costs next to nothing,
so that there is time to kill something in the middle of one.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from scheduler.composition import Application, open_application
from scheduler.lifecycle import EvaluationState, ShardState
from scheduler.queue.embedded_broker import socket_path
from scheduler.settings import Settings
from scheduler.store.base import WorkerRecord
from scheduler.submission import prepare, register
from vaeval_core.checkpoints.catalogue import describe
from vaeval_core.checkpoints.linear_gaussian import linear_gaussian_vae
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.images.catalogue import survey_images
from vaeval_core.presets import ProtocolRequest

DEADLINE_SECONDS = 120.0
SAMPLES = 40_000
LONG_SHARD = 10_000
"""Images of a shard that takes about a second."""

pytestmark = pytest.mark.service

Scores = dict[tuple[int | None, str], tuple[float | None, float | None]]


def poll(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS:g} s for: {what}"
        time.sleep(0.02)


def environment(home: Path, **variables: str) -> dict[str, str]:
    own = {"VAEVAL_HOME": str(home), "VAEVAL_LEASE_SECONDS": "2", "VAEVAL_SWEEP_SECONDS": "0.5"}
    return os.environ | own | variables


def opened(home: Path) -> Application:
    return open_application(Settings.from_environment(environment(home)))


def write_checkpoints(folder: Path, latent_sizes: Sequence[int] = (2, 3)) -> list[Path]:
    return [
        linear_gaussian_vae(np.eye(64, size) * 0.2, np.full(64, 0.4), 0.01, (8, 8, 1)).save(folder / f"step-{size}")
        for size in latent_sizes
    ]


def submit(application: Application, files: Sequence[Path], *, samples: int = SAMPLES, shard_size: int) -> list[int]:
    digits = survey_images("digits:test")
    extractor = resolve_extractor("pixels-8x8", weights=None, weights_folder=application.settings.home / "weights")
    request = ProtocolRequest(samples=samples, extractor="pixels-8x8")
    requests = prepare([describe(file) for file in files], digits, request, extractor, shard_size=shard_size)
    return [entry.evaluation_id for entry in register(application, digits, requests).evaluations]


def scores(application: Application, ids: Sequence[int]) -> Scores:
    found: Scores = {}
    for record in map(application.reads.evaluation, ids):
        assert record.state is EvaluationState.FINISHED, record.error
        for score in record.scores:
            found[record.step, score.metric] = (score.value.value, score.value.std_error)
    return found


@dataclass
class Workers:
    """A running supervisor and its log."""

    process: psutil.Popen
    log: Path

    def slots(self) -> list[psutil.Process]:
        """Parents of the slots: Celery, which only listens."""
        return [child for child in children(self.process) if "workers.slot" in command_line(child)]

    def pool_processes(self) -> list[psutil.Process]:
        """Those that compute."""
        started = [child for slot in self.slots() for child in children(slot)]
        return [child for child in started if "billiard.spawn" in " ".join(command_line(child))]

    def lines(self) -> list[dict[str, object]]:
        """Of ours; a helper process of billiard complains in plain text if its parent is killed."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def events(self) -> list[object]:
        return [line["event"] for line in self.lines()]


@contextmanager
def workers(home: Path, *arguments: str, **variables: str) -> Iterator[Workers]:
    log = home.with_suffix(".log")
    with log.open("ab") as stream:
        process = psutil.Popen(
            [sys.executable, "-P", "-m", "workers", "--devices", "cpu", "--threads", "1", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=environment(home, **variables),
            start_new_session=True,
        )
    try:
        yield Workers(process, log)
    except BaseException:
        sys.stderr.write(log.read_text()[-20_000:])
        raise
    finally:
        family = [process, *process.children(recursive=True)] if process.is_running() else []
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait(DEADLINE_SECONDS)


def are_over(application: Application, ids: Sequence[int]) -> Callable[[], bool]:
    return lambda: application.reads.progress(ids).is_over


def running_shards(application: Application) -> int:
    return application.reads.progress().shards.get(ShardState.RUNNING, 0)


def frozen_in_a_shard(application: Application, running: Workers) -> bool:
    """Stop both pool processes if they are busy; True if each holds a shard even then, else they go on."""
    if running_shards(application) < 2:
        return False
    processes = running.pool_processes()
    for process in processes:
        process.suspend()  # whoever is busy has been there for a while
    if len(processes) == 2 and running_shards(application) == 2:
        return True
    resume(processes)
    return False


def resume(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        try:
            process.resume()
        except psutil.NoSuchProcess:
            continue


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, checkpoints: list[Path]) -> Scores:
    """Scores of one process without a broker, in shards of another size."""
    home = tmp_path_factory.mktemp("inline") / "home"
    with opened(home) as application:
        ids = submit(application, checkpoints, shard_size=SAMPLES)
        command = [sys.executable, "-P", "-m", "workers.inline", "--evaluations", ",".join(map(str, ids))]
        subprocess.run([*command, "--devices", "cpu", "--threads", "1"], env=environment(home), check=True, timeout=120)
        return scores(application, ids)


@dataclass
class FinishedRun:
    """What two slots left behind that were stopped when there was nothing left to do."""

    scores: Scores
    records: list[WorkerRecord]
    slot_pids: set[int]
    exit_code: int
    log: Workers
    metrics: str


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory, checkpoints: list[Path]) -> FinishedRun:
    home = tmp_path_factory.mktemp("two-slots") / "home"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with opened(home) as application, workers(home, "--workers", "2", VAEVAL_METRICS_PORT=address) as running:
        ids = submit(application, checkpoints, shard_size=LONG_SHARD)
        poll(are_over(application, ids), "both evaluations to be over")
        records = [record for record in application.reads.workers() if record.is_alive]
        slot_pids = {slot.pid for slot in running.slots()}
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=DEADLINE_SECONDS) as answer:
            metrics = answer.read().decode()
        running.process.terminate()
        exit_code = running.process.wait(DEADLINE_SECONDS)
        return FinishedRun(scores(application, ids), records, slot_pids, exit_code, running, metrics)


def test_two_slots_give_the_scores_of_one_process(finished_run: FinishedRun, undisturbed: Scores) -> None:
    assert finished_run.scores == undisturbed


def test_every_slot_is_listed_as_a_worker(finished_run: FinishedRun) -> None:
    assert {record.pid for record in finished_run.records} == finished_run.slot_pids
    assert [(record.device, record.threads) for record in finished_run.records] == [("cpu", 1), ("cpu", 1)]


def test_prometheus_is_told_what_the_slots_did(finished_run: FinishedRun) -> None:
    told: Counter[str] = Counter()
    for family in text_string_to_metric_families(finished_run.metrics):
        for sample in family.samples:
            told[sample.name] += sample.value
    assert told["vaeval_slot_up"] == 2
    assert told["vaeval_workers"] == 2
    assert told["vaeval_evaluations"] == 2
    shards = 2 * 4 + 1  # of two evaluations, and of the reference that they share
    assert told["vaeval_shards"] == told["vaeval_shard_ends_total"] == told["vaeval_shard_seconds_count"] == shards
    assert told["vaeval_shard_seconds_sum"] > 0
    assert told["vaeval_sweeps_total"] >= 1


def test_idle_slots_stop_in_good_order(finished_run: FinishedRun) -> None:
    assert finished_run.exit_code == 0
    assert finished_run.log.events()[-1] == "supervisor_stopped"


def test_every_line_of_the_log_is_json_and_names_its_shard(finished_run: FinishedRun) -> None:
    assert len(finished_run.log.lines()) == len(finished_run.log.log.read_text().splitlines())
    finished = [line for line in finished_run.log.lines() if line["event"] == "shard_finished" and "evaluation" in line]
    assert sorted((line["evaluation"], line["shard"], line["attempt"]) for line in finished) == [
        (evaluation, shard, 1) for evaluation in (1, 2) for shard in range(4)
    ]
    assert all(str(line["worker"]).endswith(f"@{socket.gethostname()}") for line in finished)


@pytest.mark.parametrize("victim", ["pool process", "slot"])
def test_killing_a_worker_in_the_middle_of_a_shard_changes_no_score(
    tmp_path: Path, checkpoints: list[Path], undisturbed: Scores, victim: str
) -> None:
    home = tmp_path / "home"
    with opened(home) as application, workers(home, "--workers", "2") as running:
        ids = submit(application, checkpoints, shard_size=LONG_SHARD)
        poll(lambda: frozen_in_a_shard(application, running), "both slots to be in the middle of a shard")
        frozen = running.pool_processes()
        (frozen if victim == "pool process" else running.slots())[0].kill()
        resume(frozen)
        poll(are_over(application, ids), "both evaluations to be over")
        assert scores(application, ids) == undisturbed
        assert "lost_work_found" in running.events()
        assert ("slot_ended" in running.events()) == (victim == "slot")


def test_wiping_the_broker_loses_nothing(tmp_path: Path, checkpoints: list[Path], undisturbed: Scores) -> None:
    home = tmp_path / "home"
    with opened(home) as application, workers(home, "--workers", "2"):
        ids = submit(application, checkpoints, shard_size=LONG_SHARD)
        poll(lambda: running_shards(application) == 2, "both slots to be busy")
        with redis.Redis(unix_socket_path=str(socket_path(home / "broker"))) as server:
            server.flushall()
        poll(are_over(application, ids), "both evaluations to be over")
        assert scores(application, ids) == undisturbed


def test_a_broker_that_is_killed_while_all_are_busy_is_found_again_by_every_slot(
    tmp_path: Path, checkpoints: list[Path], undisturbed: Scores
) -> None:
    home = tmp_path / "home"
    with opened(home) as application, workers(home, "--workers", "2") as running:
        ids = submit(application, checkpoints, shard_size=LONG_SHARD)
        poll(lambda: running_shards(application) == 2, "both slots to be busy")
        for process in psutil.process_iter():
            if f"{home}/broker" in " ".join(command_line(process)):
                process.kill()  # server and guardian
        poll(are_over(application, ids), "both evaluations to be over")
        assert scores(application, ids) == undisturbed
        before = len(running.lines())
        submit(application, checkpoints, samples=20 * LONG_SHARD, shard_size=LONG_SHARD)
        poll(lambda: len(slots_at_work(running.lines()[before:])) == 2, "both slots to hear the bell again")


def slots_at_work(lines: list[dict[str, Any]]) -> set[str]:
    """Names of the slots that began a shard in these lines of a log."""
    return {line["worker"] for line in lines if line["event"] == "shard_started"}


def test_slots_and_broker_do_not_outlive_a_supervisor_that_is_killed(
    tmp_path: Path, checkpoints: list[Path], undisturbed: Scores
) -> None:
    home = tmp_path / "home"
    with opened(home) as application:
        with workers(home, "--workers", "2") as running:
            ids = submit(application, checkpoints, shard_size=LONG_SHARD)
            poll(lambda: running_shards(application) == 2, "both slots to be busy")
            family = running.process.children(recursive=True)
            running.process.kill()
            poll(lambda: not any(is_alive(member) for member in family), "the slots to end by themselves")
            poll(lambda: not socket_path(home / "broker").exists(), "the embedded server to end")
        with workers(home, "--workers", "2"):
            poll(are_over(application, ids), "both evaluations to be over")
            assert scores(application, ids) == undisturbed


def test_sigterm_finishes_the_shards_at_hand_and_takes_no_more(tmp_path: Path, checkpoints: list[Path]) -> None:
    home = tmp_path / "home"
    with opened(home) as application, workers(home, "--workers", "2") as running:
        submit(application, checkpoints, samples=20 * LONG_SHARD, shard_size=LONG_SHARD)
        poll(lambda: running_shards(application) == 2, "both slots to be busy")
        running.process.terminate()
        assert running.process.wait(DEADLINE_SECONDS) == 0
        shards = application.reads.progress().shards
        assert shards.get(ShardState.RUNNING, 0) == 0
        assert shards[ShardState.QUEUED] > 0
        assert not [record for record in application.reads.workers() if record.is_alive]
        events = running.events()
        assert events.count("shard_started") == events.count("shard_finished")
        assert "shard_released" not in events


def test_a_second_signal_gives_the_shards_back_at_once(tmp_path: Path, checkpoints: list[Path]) -> None:
    home = tmp_path / "home"
    with opened(home) as application, workers(home, "--workers", "2") as running:
        # Shards that would take a minute.
        submit(application, checkpoints, samples=100 * LONG_SHARD, shard_size=50 * LONG_SHARD)
        poll(lambda: running.events().count("shard_started") >= 2 and running_shards(application) == 2, "two shards")
        poll(lambda: _evaluation_shards(running) == 2, "two shards of evaluations")
        running.process.terminate()
        poll(lambda: "slots_asked_to_stop" in running.events(), "the first signal to be heard")
        poll(lambda: running.process.send_signal(signal.SIGTERM) or "shard_released" in running.events(), "a release")
        assert running.process.wait(DEADLINE_SECONDS) == 0
        assert running.events().count("shard_released") == 2
        assert application.reads.progress().shards.get(ShardState.RUNNING, 0) == 0
        again = application.work.claim_shard("test@here")
        assert again is not None
        assert again.attempt == 1


def test_workers_stop_when_the_program_that_started_them_is_gone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-P", "-m", "workers", "--devices", "cpu", "--until-stdin-closes"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(home)
    ) as process:
        assert process.stderr is not None
        assert process.stdin is not None
        while "ready." not in process.stderr.readline():
            pass
        process.stdin.close()
        process.stderr.read()
        assert process.wait(DEADLINE_SECONDS) == 0


def test_a_broker_that_is_not_there_ends_the_program_with_its_own_exit_code(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"redis://ada:S3CRET@127.0.0.1:{port}/0"
    with workers(tmp_path / "home", VAEVAL_BROKER_URL=url) as running:
        assert running.process.wait(DEADLINE_SECONDS) == 5
    what, received, *_ = running.log.read_text().splitlines()
    assert what == "error: The broker does not answer."
    assert f"received:  redis://ada:***@127.0.0.1:{port}/0" in received
    assert "S3CRET" not in running.log.read_text()


def test_a_device_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with workers(tmp_path / "home", "--devices", "GPU-nonesuch") as running:
        assert running.process.wait(DEADLINE_SECONDS) == 2
    assert "received:  GPU-nonesuch" in running.log.read_text()


@pytest.mark.tensorflow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc for what a process has loaded")
def test_only_the_process_that_computes_loads_tensorflow(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_keras_pair(tmp_path / "keras" / "step-1")
    with opened(home) as application, workers(home) as running:
        ids = submit(application, [tmp_path / "keras" / "step-1"], samples=64, shard_size=64)
        poll(are_over(application, ids), "the evaluation to be over")
        assert scores(application, ids)
        assert [has_tensorflow(process) for process in running.pool_processes()] == [True]
        assert [has_tensorflow(process) for process in running.slots()] == [False]
        assert not has_tensorflow(running.process)


def write_keras_pair(folder: Path) -> None:
    """In a process of its own: this one stays free of TensorFlow."""
    program = """
import sys
import keras
folder = sys.argv[1]
image = keras.Input((8, 8, 1))
flat = keras.layers.Flatten()(image)
mean = keras.layers.Dense(2, name="z_mean")(flat)
log_variance = keras.layers.Dense(2, name="z_log_var")(flat)
keras.Model(image, [mean, log_variance]).save(folder + "/encoder.keras")
latent = keras.Input((2,))
pixels = keras.layers.Dense(64, activation="sigmoid")(latent)
keras.Model(latent, keras.layers.Reshape((8, 8, 1))(pixels)).save(folder + "/decoder.keras")
"""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True, timeout=DEADLINE_SECONDS)


def has_tensorflow(process: psutil.Process) -> bool:
    return "tensorflow" in Path(f"/proc/{process.pid}/maps").read_text()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _evaluation_shards(running: Workers) -> int:
    return len([line for line in running.lines() if line["event"] == "shard_started" and "evaluation" in line])

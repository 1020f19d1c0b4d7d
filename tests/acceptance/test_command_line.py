"""The program as users run it: processes, signals, a real broker and real workers.

Checkpoints are linear Gaussian models and features are pixels, so that a whole run takes seconds and no TensorFlow.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.queue.embedded_broker import EmbeddedBroker
from scheduler.store.database import Database
from scheduler.store.sql_reads import SqlReadStore
from vaeval_core.checkpoints.linear_gaussian import fit_linear_gaussian, linear_gaussian_vae
from vaeval_core.errors import SchemaMismatch
from vaeval_core.images.digits import digits_images
from vaeval_core.types import IndexRange

pytestmark = pytest.mark.service

VAEVAL = str(Path(sys.executable).with_name("vaeval"))
PATIENCE_SECONDS = 120
SMALL = (
    *("--samples", "300", "--reconstructions", "200", "--reference", "200", "--extractor", "pixels-8x8"),
    *("--noise-floor", "off"),
)
SLOW = ("--samples", "100000", "--reconstructions", "0", "--reference", "200", "--extractor", "pixels-8x8")
"""Minutes of work in hundreds of shards: enough to be interrupted."""


@dataclass(frozen=True)
class Installation:
    """A home folder of its own and the program that uses it."""

    home: Path
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "VAEVAL_HOME": str(self.home), "COLUMNS": "80", **self.variables}

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [VAEVAL, *map(str, words)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=PATIENCE_SECONDS,
            cwd=self.home.parent,
        )

    def document(self, *words: str | Path) -> dict[str, Any]:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        command = [VAEVAL, *map(str, words)]
        # In a file and not a pipe: nobody reads while the test waits.
        with (self.home.parent / "output.txt").open("w") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, text=True, env=self.environment)

    @property
    def output(self) -> str:
        return (self.home.parent / "output.txt").read_text()

    def worker_processes(self) -> list[psutil.Process]:
        """Processes of this home, by the variable that each of them has."""
        return [process for process in psutil.process_iter(["environ", "cmdline"]) if self._is_worker(process)]

    def _is_worker(self, process: psutil.Process) -> bool:
        command = " ".join(process.info["cmdline"] or ())
        variables = process.info["environ"] or {}
        return " -m workers" in command and variables.get("VAEVAL_HOME") == str(self.home)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home", {"VAEVAL_SWEEP_SECONDS": "0.5", "VAEVAL_LEASE_SECONDS": "5"})
    yield made
    for process in made.worker_processes():  # of a test that failed half-way
        process.kill()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    pixels = digits_images("train").read(IndexRange(0, 600), (8, 8, 1), "exact")
    for latent_size in (2, 8, 20):
        fit_linear_gaussian(pixels, latent_size).save(folder / f"step-{latent_size}")
    return folder


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def images_done(installation: Installation) -> int:
    """Read in this process, for a program takes a second to start."""
    file = installation.home / "vaeval.db"
    if not file.exists():
        return 0
    database = Database(f"sqlite:///{file}")
    try:
        return SqlReadStore(database).progress().images_done
    except SchemaMismatch:  # the file is there, its tables are being made
        return 0
    finally:
        database.dispose()


def scores(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what differs between two runs: when."""
    return [{name: value for name, value in row.items() if name != "finished_at"} for row in rows]


@dataclass(frozen=True)
class Finished:
    """An installation where one run has taken place; tests that share it only read."""

    installation: Installation
    words: tuple[str | Path, ...]
    first: subprocess.CompletedProcess[str]
    sheet: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    installation = Installation(folder / "home", {})
    words = ("run", f"{checkpoints}/step-*", "--data", "digits:test", *SMALL, "--workers", "2")
    first = installation.run(*words, "--pictures", folder / "drawn" / "sheet.png")
    return Finished(installation, words, first, folder / "drawn" / "sheet.png")


def test_run_goes_from_checkpoints_to_a_leaderboard_with_pictures(finished: Finished) -> None:
    assert finished.first.returncode == 0, finished.first.stderr
    lines = finished.first.stdout.splitlines()
    assert lines[1].split()[:3] == ["RANK", "CHECKPOINT", "STEP"]
    assert [line.split()[:2] for line in lines[2:]] == [["▸", "1"], ["▸", "2"], ["▸", "3"]]
    assert "3 new evaluations" in finished.first.stderr
    assert "3 of 3 evaluations" in finished.first.stderr
    assert "Next: vaeval show 1" in finished.first.stderr
    with Image.open(finished.sheet) as picture:
        assert picture.format == "PNG"
    assert finished.installation.worker_processes() == []


def test_running_again_finds_everything_done(finished: Finished) -> None:
    again = finished.installation.document(*finished.words)
    assert again["schema"] == "vaeval.run/1"
    assert (again["created"], again["existing"]) == (0, 3)
    assert again["rows"] == finished.installation.document("leaderboard")["rows"]
    assert len(list((finished.installation.home / "logs").glob("workers-*"))) == 1


def test_sql_answers_and_cannot_write(finished: Finished) -> None:
    question = "SELECT checkpoint, fid FROM leaderboard ORDER BY fid"
    before = finished.installation.document("sql", question)
    assert len(before["rows"]) == 3
    for statement in (
        "INSERT INTO scores (evaluation_id, metric) VALUES (1, 'x')",
        "DELETE FROM evaluations",
        "ATTACH DATABASE 'written.db' AS other",
        "PRAGMA query_only = OFF",
    ):
        done = finished.installation.run("sql", statement)
        assert done.returncode == 2, statement
        assert statement in done.stderr
    assert finished.installation.document("sql", question) == before
    assert not (finished.installation.home.parent / "written.db").exists()


def test_nothing_but_text_is_written_into_a_pipe(finished: Finished) -> None:
    for words in (("leaderboard",), ("status",), ("show", "1")):
        done = finished.installation.run(*words)
        assert "\x1b" not in done.stdout + done.stderr
        assert not set("│─┌└╭╰") & set(done.stdout)


def test_a_pipe_that_closes_is_no_error(finished: Finished) -> None:
    piped = subprocess.run(
        ["bash", "-c", f"{VAEVAL} leaderboard --json | head -c 20"],
        capture_output=True,
        text=True,
        env=finished.installation.environment,
        timeout=PATIENCE_SECONDS,
    )
    assert piped.stderr == ""
    assert piped.stdout == '{\n  "schema": "vaeva'


def test_workers_and_shard_sizes_change_no_score(tmp_path: Path, checkpoints: Path) -> None:
    rows = []
    ways = {
        "inline": ["--inline", "--shard-size", "32"],
        "one": ["--workers", "1", "--shard-size", "100"],
        "two": ["--workers", "2"],
    }
    for name, options in ways.items():
        installation = Installation(tmp_path / name, {})
        document = installation.document(
            "run", checkpoints, "--data", "digits:test", *SMALL, *options, "--threads", "1"
        )
        rows.append(scores(document["rows"]))
    assert rows[0] == rows[1] == rows[2]


def test_the_number_of_threads_changes_the_last_digits_at_most(tmp_path: Path, checkpoints: Path) -> None:
    rows = []
    for threads in ("1", "2"):
        installation = Installation(tmp_path / threads, {})
        document = installation.document(
            "run", checkpoints / "step-2", "--data", "digits:test", *SMALL, "--inline", "--threads", threads
        )
        (row,) = document["rows"]
        rows.append(row)
    names = ("fid", "rfid", "mse", "cross_entropy", "psnr", "kl")
    one, two = ([row[name] for name in names] for row in rows)
    assert two == pytest.approx(one, rel=1e-6)


def test_some_failed_is_exit_code_3_with_the_reason_and_the_others_are_ranked(
    installation: Installation, checkpoints: Path, tmp_path: Path
) -> None:
    diverged = tmp_path / "diverged"
    linear_gaussian_vae(np.full((64, 1), 1e100), np.zeros(64), 1.0, (8, 8, 1)).save(diverged)
    done = installation.run("run", checkpoints / "step-2", diverged, "--data", "digits:test", *SMALL, "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 3
    assert [entry["state"] for entry in document["evaluations"]] == ["finished", "failed"]
    assert "no finite number" in document["evaluations"][1]["error"]
    assert "failed: " in done.stderr
    assert "no finite number" in done.stderr
    assert len(document["rows"]) == 1


def test_a_worker_for_a_device_that_is_not_there_is_told_like_any_wrong_option(installation: Installation) -> None:
    done = installation.run("worker", "--devices", "no-such-device")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: --devices names something that is not there")
    assert lines[1] == "  received:  no-such-device"
    assert [line.partition(":")[0].strip() for line in lines] == ["error", "received", "expected", "next"]


def test_a_scheduler_in_a_new_home_says_only_what_it_watches(installation: Installation) -> None:
    watching = installation.start("scheduler")
    wait_for(lambda: "Watching" in installation.output, "the scheduler")
    watching.terminate()
    assert watching.wait(PATIENCE_SECONDS) == 0
    assert [line.split()[0] for line in installation.output.splitlines()] == ["Watching", "Stopped."]


def test_workers_that_cannot_start_say_why_in_the_command_s_own_error(
    installation: Installation, checkpoints: Path
) -> None:
    done = installation.run("run", checkpoints, "--data", "digits:test", *SMALL, "--devices", "GPU-no-such-device")
    assert done.returncode == 2
    assert "GPU-no-such-device" in done.stderr
    assert "Traceback" not in done.stderr
    assert [entry["state"] for entry in installation.document("status")["evaluations"]] == ["queued"] * 3


def test_ctrl_c_stops_the_workers_keeps_the_work_and_the_same_command_goes_on(
    installation: Installation, checkpoints: Path
) -> None:
    words = ("run", checkpoints / "step-2", "--data", "digits:test", *SLOW)
    running = installation.start(*words)
    wait_for(lambda: images_done(installation) > 1000, "some images")
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE_SECONDS) == 130
    assert "What is done is kept" in installation.output
    assert installation.worker_processes() == []
    before = images_done(installation)
    assert before > 1000
    resumed = installation.start(*words)
    wait_for(lambda: images_done(installation) > before + 1000, "more images")
    resumed.terminate()  # SIGTERM does what Ctrl-C does
    assert resumed.wait(PATIENCE_SECONDS) == 130
    assert "0 new evaluations, 1 known already" in installation.output
    assert installation.worker_processes() == []


def test_a_reader_who_has_seen_enough_ends_the_program_without_a_word(
    installation: Installation, checkpoints: Path
) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90000) SELECT i FROM n"
    for words in (["leaderboard"], ["sql", "--csv", many]):  # closed before the first line, and in the middle
        command = shlex.join([VAEVAL, *words])
        done = subprocess.run(
            ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"],
            capture_output=True,
            text=True,
            env=installation.environment,
            timeout=PATIENCE_SECONDS,
        )
        assert done.stdout in {"0\n", "141\n"}
        assert "Traceback" not in done.stderr
        assert "error" not in done.stderr
    assert done.stdout == "141\n"


def test_a_run_leaves_what_was_submitted_earlier_alone(installation: Installation, checkpoints: Path) -> None:
    installation.document("submit", checkpoints / "step-2", "--data", "digits:test", *SLOW)
    done = installation.run("run", checkpoints / "step-8", "--data", "digits:test", *SMALL, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert "Besides, 1 evaluation is unfinished; this run leaves it alone. Next for the rest: vaeval worker" in (
        " ".join(done.stderr.split())
    )
    # What it had begun it would have to cut off at its end; three such ends, and the evaluation would have failed.
    attempts = "SELECT COUNT(*) AS claimed FROM shards WHERE attempts > 0 AND evaluation_id = 1"
    assert installation.document("sql", attempts)["rows"] == [{"claimed": 0}]
    assert installation.document("status", "1")["evaluations"][0]["state"] == "queued"


def test_a_run_that_is_killed_leaves_no_workers_behind(installation: Installation, checkpoints: Path) -> None:
    running = installation.start("run", checkpoints / "step-2", "--data", "digits:test", *SLOW)
    wait_for(lambda: images_done(installation) > 0, "some images")
    assert installation.worker_processes() != []
    running.kill()
    running.wait()
    wait_for(lambda: installation.worker_processes() == [], "the workers to notice")


def test_submit_and_a_worker_meet_through_the_embedded_broker(
    installation: Installation, checkpoints: Path, tmp_path: Path
) -> None:
    first = installation.document("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL)
    assert [entry["state"] for entry in first["evaluations"]] == ["queued"]
    worker = installation.start("worker", "--threads", "1")
    waited = installation.document("submit", checkpoints, "--data", "digits:test", *SMALL, "--wait", "--timeout", "100")
    assert (waited["created"], waited["existing"]) == (2, 1)
    assert [entry["state"] for entry in waited["evaluations"]] == ["finished"] * 3
    alive = installation.document("status", "--workers")["workers"]
    assert [entry["is_alive"] for entry in alive] == [True]
    linear_gaussian_vae(np.full((64, 1), 1e100), np.zeros(64), 1.0, (8, 8, 1)).save(tmp_path / "diverged")
    failed = installation.run("submit", tmp_path / "diverged", "--data", "digits:test", *SMALL, "--wait")
    assert failed.returncode == 3
    assert "no finite number" in failed.stderr
    worker.terminate()
    assert worker.wait(PATIENCE_SECONDS) == 0


def test_the_scheduler_announces_what_a_broker_that_was_down_missed(
    installation: Installation, checkpoints: Path
) -> None:
    down = Installation(installation.home, {**installation.variables, "VAEVAL_BROKER_URL": "redis://127.0.0.1:1/0"})
    submitted = down.run("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL)
    assert submitted.returncode == 5
    assert "nothing is lost" in submitted.stderr
    with EmbeddedBroker(installation.home) as broker:
        bell = CeleryWorkQueue(broker.url)
        assert bell.waiting() == 0
        watching = installation.start("scheduler")
        # 300 samples are three shards of 128, 200 reference images are two.
        wait_for(lambda: bell.waiting() == 5, "the bell")
        watching.terminate()
        assert watching.wait(PATIENCE_SECONDS) == 0
    assert "Stopped." in installation.output

"""The service as a team runs it: PostgreSQL and a password-protected Valkey over TCP, found by two variables."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from scheduler.queue.celery_queue import CeleryWorkQueue
from scheduler.queue.embedded_broker import server_binary
from vaeval_core.checkpoints.linear_gaussian import fit_linear_gaussian
from vaeval_core.images.digits import digits_split

pytestmark = pytest.mark.service

VAEVAL = str(Path(sys.executable).with_name("vaeval"))
PASSWORD = "S3CRET"
PATIENCE_SECONDS = 120


@pytest.fixture
def broker_url(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(server_binary()),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--requirepass",
        PASSWORD,
        "--save",
        "",
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        client = redis.Redis(port=port, password=PASSWORD)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                assert time.monotonic() < deadline, "Valkey did not start"
        client.close()
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
        server.terminate()


def test_submit_work_and_rank_over_postgresql_and_valkey(
    tmp_path: Path, empty_postgresql_url: str, broker_url: str
) -> None:
    said: list[str] = []
    environment = os.environ | {
        "VAEVAL_HOME": str(tmp_path / "home"),
        "VAEVAL_DATABASE_URL": empty_postgresql_url.replace("postgresql+psycopg://", "postgresql://"),
        "VAEVAL_BROKER_URL": broker_url,
    }

    def vaeval(*words: str | Path, code: int = 0) -> str:
        command = [VAEVAL, *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        said.extend([done.stdout, done.stderr])
        assert done.returncode == code, done.stderr
        return done.stdout

    fit_linear_gaussian(digits_split("train")[0], 4).save(tmp_path / "ppca" / "step-4")
    submission = ["submit", tmp_path / "ppca", "--data", "digits:test", "--protocol", "quick"]
    submission += ["--extractor", "pixels-8x8", "--json"]

    vaeval("leaderboard", code=6)  # no tables yet
    vaeval("db", "upgrade")
    vaeval(*submission)
    assert CeleryWorkQueue(broker_url).waiting() == 8  # four shards of the evaluation, four of its reference

    log = tmp_path / "worker.log"
    with log.open("w") as output:
        worker = subprocess.Popen(
            [VAEVAL, "worker", "--devices", "cpu", "--workers", "2"], env=environment, stdout=output, stderr=output
        )
    try:
        vaeval(*submission, "--wait", "--timeout", "100")
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_SECONDS) == 0

    (row,) = json.loads(vaeval("leaderboard", "--json"))["rows"]
    assert row["checkpoint"] == "ppca/step-4"
    assert row["step"] == 4
    assert row["rank"] == 1
    assert min(row["fid"], row["rfid"], row["mse"], row["kl"]) > 0
    answer = json.loads(vaeval("sql", "SELECT checkpoint, fid FROM leaderboard ORDER BY fid", "--json"))
    assert answer["rows"] == [{"checkpoint": "ppca/step-4", "fid": row["fid"]}]
    vaeval("sql", "DELETE FROM scores", code=2)
    vaeval("doctor")
    vaeval("config")
    vaeval("status", "--workers")
    assert PASSWORD not in "".join(said) + log.read_text()
    assert not (tmp_path / "home" / "broker").exists()

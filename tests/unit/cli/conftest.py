"""A home folder with a real SQLite database, two checkpoints that need no TensorFlow, and the program itself.

Work is done in this process by the workers' own shard runner, so that finished evaluations are real ones.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import program
from vaeval_core.checkpoints.linear_gaussian import fit_linear_gaussian
from vaeval_core.images.digits import digits_images
from vaeval_core.types import IndexRange

SHAPE = (8, 8, 1)
SMALL = (
    *("--samples", "40", "--reconstructions", "40", "--reference", "64", "--extractor", "pixels-8x8"),
    *("--noise-floor", "off"),
)


@dataclass(frozen=True)
class Outcome:
    """What a command gave."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """VAEVAL_HOME, not made yet."""
    folder = tmp_path / "home"
    monkeypatch.setenv("VAEVAL_HOME", str(folder))
    return folder


def invoke(*words: str | Path | int, stdin: str | None = None, columns: int | None = None) -> Outcome:
    """One command line in this process, with the commands that were made for the first one.

    Args:
        words: What is typed after `vaeval`.
        stdin: What it may read.
        columns: Width of the terminal that stdout and stderr shall be; None for pipes.
    """
    environment = None if columns is None else {"COLUMNS": str(columns), "TERM": "dumb"}
    with CliRunner().isolation(input=stdin, env=environment) as (out, err, _), pytest.MonkeyPatch.context() as patch:
        for stream in (sys.stdout, sys.stderr):
            patch.setattr(stream, "isatty", lambda: columns is not None)
        with pytest.raises(SystemExit) as leaving:
            program().main([str(word) for word in words])
        sys.stdout.flush()
        sys.stderr.flush()
        code = leaving.value.code
        assert isinstance(code, int)
        return Outcome(code, out.getvalue().decode("utf-8"), err.getvalue().decode("utf-8"))


@pytest.fixture
def vaeval(home: Path) -> Callable[..., Outcome]:
    """The program, in this process, with a home of this test."""
    return invoke


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models of the bundled digits: step-2 with two latents, step-10 with ten."""
    folder = tmp_path_factory.mktemp("runs")
    pixels = digits_images("train").read(IndexRange(0, 600), SHAPE, "exact")
    for latent_size in (2, 10):
        fit_linear_gaussian(pixels, latent_size).save(folder / f"step-{latent_size}")
    return folder


UNREACHABLE_BROKER = "redis://me:S3CRET@127.0.0.1:1/0"


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker address where nobody answers."""
    monkeypatch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)


def work_off_everything() -> None:
    """Does all that can be claimed, as a worker would."""
    from scheduler.composition import open_application
    from scheduler.settings import Settings
    from workers.shard_runner import RunOutcome, make_runner

    with open_application(Settings.from_environment()) as application:
        runner = make_runner(application, "test")
        while runner.run_one() is not RunOutcome.NOTHING_TO_DO:
            pass


@pytest.fixture
def work_off(home: Path) -> Callable[[], None]:
    """Does everything that can be claimed in the home of this test."""
    return work_off_everything


@dataclass(frozen=True)
class _Made:
    """A home folder to copy, and what the submission said."""

    queued: Path
    finished: Path
    outcome: Outcome


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory, checkpoints: Path) -> _Made:
    """Both checkpoints submitted with the broker down, then evaluated: made once, copied for each test."""
    queued, finished = tmp_path_factory.mktemp("queued"), tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEVAL_HOME", str(queued))
        patch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)
        outcome = invoke("submit", checkpoints, "--data", "digits:test", *SMALL, "--tag", "kind=linear", "--json")
        shutil.copytree(queued, finished, dirs_exist_ok=True)
        patch.setenv("VAEVAL_HOME", str(finished))
        work_off_everything()
    return _Made(queued, finished, outcome)


@pytest.fixture
def submitted(_made: _Made, home: Path, no_broker: None) -> Outcome:
    """Both checkpoints are registered; nobody was told, for the broker is down."""
    shutil.copytree(_made.queued, home)
    return _made.outcome


@pytest.fixture
def finished(_made: _Made, home: Path, no_broker: None) -> Outcome:
    """Both checkpoints are evaluated."""
    shutil.copytree(_made.finished, home)
    return _made.outcome

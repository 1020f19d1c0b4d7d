"""`vaeval demo`, around its training and its evaluation: what it finds done, what it writes and what it tells to type."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.demo import PROTOCOL_TEXT, command_prefix, train
from cli.demo_training import checkpoint_folders
from cli.exit_codes import ExitCode
from cli.main import app
from scheduler.settings import Settings
from tests.unit.cli.conftest import UNREACHABLE_BROKER, invoke, work_off_everything
from vaeval_core.errors import VaevalError
from vaeval_core.presets import read_protocol

pytestmark = pytest.mark.slow


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment in the current folder, with the program in it, that PATH does not know."""
    program = tmp_path / ".venv" / "bin" / "vaeval"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return program


def test_checkpoints_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    folders = checkpoint_folders(tmp_path / "digits-vae")
    for folder in folders:
        folder.mkdir(parents=True)
    assert train(tmp_path) == folders
    assert not (tmp_path / "logs").exists()


def test_a_training_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "digits-vae").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(VaevalError) as failure:
        train(tmp_path)
    assert "exit code 1" in failure.value.what
    assert "FileExistsError" in str(failure.value.received)
    assert str(tmp_path / "logs" / "training.log") in str(failure.value.next_step)


def test_the_protocol_of_the_demo_can_be_used_for_other_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(PROTOCOL_TEXT.format(path=path, images=120, extractor="inception-v3-random"), encoding="utf-8")
    request = read_protocol(str(path))
    assert (request.name, request.samples, request.reconstructions, request.reference) == ("demo", 120, 120, 120)
    assert request.extractor == "inception-v3-random"


def test_a_picture_that_is_no_png_is_refused_before_any_work(tmp_path: Path) -> None:
    home = tmp_path / "home"
    result = CliRunner().invoke(app, ["demo", "--home", str(home), "--output", "pictures.jpeg"])
    assert result.exit_code == ExitCode.USAGE
    assert "pictures.jpeg" in result.stderr
    assert ".png" in result.stderr
    assert not home.exists()


def test_the_demo_says_what_submit_says_about_its_input(
    tmp_path: Path, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The work is done beforehand, with models and features that take no time; the demo finds it done.
    home = tmp_path / "demo"
    monkeypatch.setattr("cli.demo.choose_extractor", lambda _home: "pixels-8x8")
    for folder in checkpoint_folders(home / "digits-vae"):
        shutil.copytree(checkpoints / "step-2", folder)
    protocol = home / "demo.yaml"
    protocol.write_text(PROTOCOL_TEXT.format(path=protocol, images=501, extractor="pixels-8x8"), encoding="utf-8")
    monkeypatch.setenv("VAEVAL_HOME", str(home))
    monkeypatch.setenv("VAEVAL_BROKER_URL", UNREACHABLE_BROKER)
    submitted = invoke("submit", home / "digits-vae", "--data", "digits:test", "--protocol", protocol)
    work_off_everything()
    shown = invoke("demo", "--home", home, "--images", 501)
    assert shown.exit_code == 0
    assert "demo · digits:test · pixels-8x8 · 501 samples" in shown.out
    notes = [line for line in submitted.err.splitlines() if "the protocol demo asks for 501" in line]
    assert len(notes) == 1
    assert notes[0] in shown.err.splitlines()


def test_processes_of_the_demo_see_its_settings_whatever_the_shell_says(tmp_path: Path) -> None:
    elsewhere = tmp_path / "url"
    elsewhere.write_text("redis://elsewhere:6379/0", encoding="utf-8")
    shell = {
        "VAEVAL_HOME": "/elsewhere",
        "VAEVAL_DATABASE_URL": "postgresql://me:secret@db/vaeval",
        "VAEVAL_BROKER_URL_FILE": str(elsewhere),
        "VAEVAL_ARTIFACTS": "s3://elsewhere",
    }
    settings = Settings.from_environment({"VAEVAL_HOME": str(tmp_path)})
    assert Settings.from_environment(settings.as_environment(shell)) == settings


def test_a_program_that_path_does_not_know_is_called_by_its_place(installed: Path) -> None:
    assert command_prefix(Path("vaeval-demo")) == "VAEVAL_HOME=vaeval-demo .venv/bin/vaeval"


def test_a_program_that_path_knows_is_called_by_its_name(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(installed.parent))
    assert command_prefix(Path("my demo")) == "VAEVAL_HOME='my demo' vaeval"


def test_another_program_of_that_name_is_not_taken_for_it(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "bin" / "vaeval"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n", encoding="utf-8")
    other.chmod(0o755)
    assert command_prefix(Path("demo")) == "VAEVAL_HOME=demo .venv/bin/vaeval"


def test_variables_that_would_lead_elsewhere_are_unset(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEVAL_HOME", "/elsewhere")
    monkeypatch.setenv("VAEVAL_DATABASE_URL", "postgresql://me:secret@db/vaeval")
    monkeypatch.setenv("VAEVAL_BROKER_URL_FILE", "/run/secrets/broker")
    prefix = command_prefix(Path("demo"))
    assert prefix == "env -u VAEVAL_DATABASE_URL -u VAEVAL_BROKER_URL_FILE VAEVAL_HOME=demo .venv/bin/vaeval"

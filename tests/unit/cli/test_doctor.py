"""`vaeval doctor`: what each check finds, and what the command says and returns."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli import doctor as command
from cli import machine_checks
from cli.exit_codes import ExitCode
from cli.finding import Check, Verdict
from cli.machine_checks import (
    check_devices,
    check_home,
    check_python,
    check_space,
    check_sqlite_place,
    check_tensorflow,
    check_weights,
    file_system_of,
)
from cli.main import app
from cli.service_checks import check_artifacts, check_broker, check_database, check_workers, local_folder
from scheduler.settings import Settings


def settings_in(folder: Path, **variables: str) -> Settings:
    return Settings.from_environment({"VAEVAL_HOME": str(folder), **variables})


def check(name: str, verdict: Verdict) -> Check:
    return Check(name=name, verdict=verdict, finding=f"{name} is {verdict}")


# --- the machine ------------------------------------------------------------------------------------------------------


def test_an_old_python_is_named_with_what_is_needed() -> None:
    found = check_python((3, 10, 14))
    assert found.verdict == "fail"
    assert "3.10.14" in found.finding
    assert "3.11" in found.finding
    assert check_python((3, 11, 0)).verdict == "ok"


def test_a_home_that_does_not_exist_yet_is_fine_and_stays_unmade(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    assert check_home(home).verdict == "ok"
    assert not (tmp_path / "new").exists()


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir: Path) -> None:  # noqa: A002
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(machine_checks.tempfile, "TemporaryFile", refuse)
    found = check_home(tmp_path)
    assert found.verdict == "fail"
    assert f"{tmp_path} cannot be written (Permission denied)." in found.finding
    assert "VAEVAL_HOME" in str(found.next_step)


@pytest.mark.parametrize(("free_bytes", "verdict"), [(50 * 10**9, "ok"), (10**9, "warn"), (10**7, "fail")])
def test_little_space_is_a_warning_and_none_a_failure(tmp_path: Path, free_bytes: int, verdict: str) -> None:
    found = check_space([tmp_path], free_bytes=free_bytes)
    assert found.verdict == verdict
    assert str(tmp_path) in found.finding


@pytest.mark.parametrize(
    ("kind", "verdict"), [("ext4", "ok"), ("nfs4", "fail"), ("cifs", "fail"), ("fuse.sshfs", "warn")]
)
def test_sqlite_belongs_on_a_local_disk(tmp_path: Path, kind: str, verdict: str) -> None:
    mounts = f"disk / ext4 rw 0 0\nother {tmp_path.resolve()} {kind} rw 0 0\n"
    found = check_sqlite_place(settings_in(tmp_path / "home"), mounts)
    assert found.verdict == verdict
    assert kind in found.finding


def test_where_postgresql_is_used_the_file_system_does_not_matter(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, VAEVAL_DATABASE_URL="postgresql://vaeval@localhost/vaeval")
    assert check_sqlite_place(settings, "server / nfs4 rw 0 0").verdict == "ok"


def test_the_innermost_mount_decides_and_of_two_on_one_point_the_later() -> None:
    mounts = "a / ext4 rw\nb /data nfs4 rw\nc /data/local xfs rw\nd /with\\040space cifs rw\ne /data/local tmpfs rw"
    assert file_system_of(Path("/data/local/x"), mounts) == "tmpfs"
    assert file_system_of(Path("/data/localised"), mounts) == "nfs4"
    assert file_system_of(Path("/with space/x"), mounts) == "cifs"
    assert file_system_of(Path("/home"), mounts) == "ext4"
    assert file_system_of(Path("/home"), "") is None


def test_a_gpu_that_tensorflow_does_not_see_is_a_warning() -> None:
    found = check_devices(["NVIDIA H200", "NVIDIA H200"], {"gpus": 0})
    assert found.verdict == "warn"
    assert "2 × NVIDIA H200" in found.finding
    assert "vaeval[gpu]" in str(found.next_step)
    assert check_devices(["NVIDIA H200"], {"gpus": 1}).verdict == "ok"
    assert check_devices([], {"gpus": 0}).verdict == "ok"


def test_a_tensorflow_that_cannot_be_imported_fails_with_its_last_words() -> None:
    script = "import sys; sys.exit('ImportError: libcudart is missing')"
    probe = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found, said = check_tensorflow(probe)
    assert found.verdict == "fail"
    assert "ImportError: libcudart is missing" in found.finding
    assert said is None


def test_weights_that_are_not_there_are_named_with_the_way_to_them(tmp_path: Path) -> None:
    found = check_weights(tmp_path / "weights")
    assert found.verdict == "ok"
    assert found.finding == (
        f"In {tmp_path / 'weights'}: none. Not there, and fetched when first used: inception-v3-fid, inception-v3-keras."
        " Other extractors need no file."
    )
    assert found.next_step == "vaeval weights fetch inception-v3-fid"


def test_a_weights_folder_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    # A label that leads to a name longer than names may be: the system refuses to look, for any user.
    (tmp_path / "weights" / "inception-v3-fid.sha256").symlink_to(tmp_path / ("f" * 300))
    found = check_weights(tmp_path / "weights")
    assert found.verdict == "fail"
    assert str(tmp_path / "weights") in found.finding


# --- the services -----------------------------------------------------------------------------------------------------


def test_a_database_that_is_not_there_yet_is_fine_and_stays_unmade(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert check_database(settings).verdict == "ok"
    assert check_workers(settings).verdict == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_database_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vaeval.db").write_bytes(b"this is no database " * 100)
    settings = settings_in(tmp_path)
    found = check_database(settings)
    assert found.verdict == "fail"
    assert str(tmp_path / "vaeval.db") in found.finding
    assert check_workers(settings).verdict == "warn"


def test_a_database_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://vaeval:secret@127.0.0.1:1/vaeval"
    found = check_database(settings_in(tmp_path, VAEVAL_DATABASE_URL=url))
    assert found.verdict == "fail"
    assert "127.0.0.1:1" in found.finding
    assert "secret" not in found.finding


def test_a_broker_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    found = check_broker(settings_in(tmp_path, VAEVAL_BROKER_URL="redis://:secret@127.0.0.1:1/0"))
    assert found.verdict == "fail"
    assert "127.0.0.1:1" in found.finding
    assert "secret" not in found.finding
    assert "VAEVAL_BROKER_URL" in str(found.next_step)


def test_the_embedded_broker_is_there_and_is_not_started(tmp_path: Path) -> None:
    found = check_broker(settings_in(tmp_path))
    assert found.verdict == "ok"
    assert "Embedded" in found.finding
    assert list(tmp_path.iterdir()) == []


def test_the_artifact_store_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / "kept").write_text("kept", encoding="utf-8")
    found = check_artifacts(settings_in(tmp_path))
    assert found.verdict == "ok"
    assert [path.name for path in artifacts.iterdir()] == ["kept"]


def test_an_artifact_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("a file where a folder should be", encoding="utf-8")
    found = check_artifacts(settings_in(tmp_path))
    assert found.verdict == "fail"
    assert str(tmp_path / "artifacts") in found.finding


@pytest.mark.parametrize(
    ("url", "folder"), [("/data/a", Path("/data/a")), ("file:///data/a", Path("/data/a")), ("s3://bucket/a", None)]
)
def test_only_a_path_or_a_file_url_is_a_local_folder(url: str, folder: Path | None) -> None:
    assert local_folder(url) == folder


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checks", "code"),
    [
        ([check("python", "ok"), check("disk", "warn")], ExitCode.OK),
        ([check("python", "fail"), check("database", "warn")], ExitCode.UNEXPECTED),
        ([check("python", "fail"), check("database", "fail")], ExitCode.UNREACHABLE),
        ([check("broker", "fail")], ExitCode.UNREACHABLE),
    ],
)
def test_warnings_pass_and_a_failed_service_has_a_code_of_its_own(checks: list[Check], code: ExitCode) -> None:
    assert command.exit_code_for(checks) is code


@pytest.mark.tensorflow
def test_a_working_installation_passes_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEVAL_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    document = json.loads(result.stdout)
    assert document["schema"] == "vaeval.doctor/1"
    verdicts = {found["name"]: found["verdict"] for found in document["checks"]}
    assert list(verdicts) == [
        *(
            "python",
            "home",
            "disk",
            "database",
            "sqlite",
            "broker",
            "artifacts",
            "weights",
            "workers",
            "tensorflow",
            "devices",
        )
    ]
    # A machine that runs the tests may be short of space or lie on an odd file system; nothing else may be wrong.
    assert {name for name, verdict in verdicts.items() if verdict == "fail"} <= {"disk", "sqlite"}
    assert result.exit_code == document["exit_code"]


def test_what_failed_is_printed_with_its_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Check(name="broker", verdict="fail", finding="The broker does not answer.", next_step="start the broker")
    monkeypatch.setattr(command, "examine", lambda _settings: (check("python", "ok"), failed))
    monkeypatch.setenv("VAEVAL_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "The broker does not answer." in result.stdout
    assert "broker: next: start the broker" in result.stderr

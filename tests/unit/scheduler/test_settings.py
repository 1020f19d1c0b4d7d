"""Settings from the environment: defaults, files, refusals, and passwords that stay out of sight."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.settings import VARIABLES, Settings, is_home, passwords_in, sources, without_password
from vaeval_core.errors import InvalidInput

SERVICE = {
    "VAEVAL_HOME": "/srv/vaeval",
    "VAEVAL_DATABASE_URL": "postgresql://kim:S3CRET@db:5432/vaeval",
    "VAEVAL_BROKER_URL": "redis://:S3CRET@broker:6379/0",
    "VAEVAL_ARTIFACTS": "s3://bucket/vaeval",
    "VAEVAL_LEASE_SECONDS": "30",
    "VAEVAL_SWEEP_SECONDS": "2.5",
    "VAEVAL_STALL_SECONDS": "120",
    "VAEVAL_METRICS_PORT": "9464",
}


def test_without_any_variable_everything_is_in_one_folder() -> None:
    settings = Settings.from_environment({})
    assert settings.home == Path.home() / ".vaeval"
    assert settings.database_url == f"sqlite:///{settings.home / 'vaeval.db'}"
    assert settings.artifacts == str(settings.home / "artifacts")
    assert settings.broker_url is None
    assert (settings.lease_seconds, settings.sweep_seconds, settings.stall_seconds) == (60, 15, 300)
    assert settings.is_sqlite


def test_every_variable_is_read() -> None:
    settings = Settings.from_environment(SERVICE)
    assert settings.home == Path("/srv/vaeval")
    assert settings.broker_url == SERVICE["VAEVAL_BROKER_URL"]
    assert settings.artifacts == "s3://bucket/vaeval"
    assert (settings.lease_seconds, settings.sweep_seconds, settings.stall_seconds) == (30, 2.5, 120)
    assert settings.metrics_address == ("0.0.0.0", 9464)
    assert not settings.is_sqlite


@pytest.mark.parametrize(
    ("value", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("monitor.example.org:80", ("monitor.example.org", 80))],
)
def test_prometheus_may_be_answered_on_one_address_alone(value: str, address: tuple[str, int]) -> None:
    settings = Settings.from_environment({"VAEVAL_METRICS_PORT": value})
    assert settings.metrics_address == address
    assert settings.shown()["VAEVAL_METRICS_PORT"] == value


@pytest.mark.parametrize("value", ["0", "65536", "-1", "9464/metrics", "host:", "ⅸ"])
def test_what_is_no_port_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({"VAEVAL_METRICS_PORT": value})
    assert caught.value.received == value
    assert "1 to 65535" in str(caught.value.expected)


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("rediss://broker:6379/0", "rediss://broker:6379/0?ssl_cert_reqs=required"),
        ("rediss://broker/0?ssl_ca_certs=/ca.pem", "rediss://broker/0?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required"),
        ("rediss://broker/0?ssl_cert_reqs=none", "rediss://broker/0?ssl_cert_reqs=none"),
        ("redis://broker/0", "redis://broker/0"),
    ],
)
def test_the_certificate_of_a_broker_is_verified_unless_told_otherwise(url: str, resolved: str) -> None:
    assert Settings.from_environment({"VAEVAL_BROKER_URL": url}).broker_url == resolved


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_driver_is_always_named(scheme: str) -> None:
    settings = Settings.from_environment({"VAEVAL_DATABASE_URL": f"{scheme}://kim@db/vaeval"})
    assert settings.database_url == "postgresql+psycopg://kim@db/vaeval"


def test_the_home_folder_may_be_relative(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({"VAEVAL_HOME": "here"}).home == tmp_path / "here"


def test_a_value_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "database_url"
    secret.write_text("postgresql://kim:S3CRET@db/vaeval\n", encoding="utf-8")
    settings = Settings.from_environment({"VAEVAL_DATABASE_URL_FILE": str(secret)})
    assert settings.database_url == "postgresql+psycopg://kim:S3CRET@db/vaeval"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({"VAEVAL_BROKER_URL_FILE": str(missing)})
    assert "VAEVAL_BROKER_URL_FILE" in caught.value.what
    assert str(missing) in str(caught.value.received)


@pytest.mark.parametrize("url", ["mysql://kim:S3CRET@db/vaeval", "vaeval.db"])
def test_another_database_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({"VAEVAL_DATABASE_URL": url})
    assert caught.value.received == url.replace("S3CRET", "***")
    assert "postgresql://" in str(caught.value.expected)


@pytest.mark.parametrize("url", ["amqp://kim:S3CRET@broker", "localhost:6379"])
def test_another_broker_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({"VAEVAL_BROKER_URL": url})
    assert caught.value.received == url.replace("S3CRET", "***")
    assert "redis://" in str(caught.value.expected)


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "1e9"])
@pytest.mark.parametrize("name", ["VAEVAL_LEASE_SECONDS", "VAEVAL_SWEEP_SECONDS"])
def test_a_time_that_makes_no_sense_is_refused(name: str, seconds: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({name: seconds})
    assert name in caught.value.what
    assert (caught.value.received, caught.value.expected) == (seconds, "0.1 to 86400")


def test_what_is_shown_has_every_variable_and_no_password() -> None:
    shown = Settings.from_environment(SERVICE).shown()
    assert shown.keys() == VARIABLES.keys()
    assert "S3CRET" not in str(shown)
    assert shown["VAEVAL_DATABASE_URL"] == "postgresql+psycopg://kim:***@db:5432/vaeval"
    assert shown["VAEVAL_BROKER_URL"] == "redis://:***@broker:6379/0"


def test_passwords_are_in_no_representation_of_settings() -> None:
    """As it stands in a traceback, a log, or the report of a test."""
    settings = Settings.from_environment(SERVICE | {"VAEVAL_ARTIFACTS": "s3://key:S3CRET@bucket/folder"})
    assert "S3CRET" not in repr(settings)
    assert "S3CRET" not in f"{settings}"
    assert "VAEVAL_DATABASE_URL='postgresql+psycopg://kim:***@db:5432/vaeval'" in repr(settings)


@pytest.mark.parametrize("environment", [{}, SERVICE])
def test_another_process_with_these_variables_has_the_same_settings(environment: dict[str, str]) -> None:
    settings = Settings.from_environment(environment)
    assert Settings.from_environment(settings.as_environment()) == settings


def test_where_a_value_comes_from_can_be_asked() -> None:
    told = sources({"VAEVAL_HOME": "here", "VAEVAL_DATABASE_URL_FILE": "/run/secrets/url"})
    assert told["VAEVAL_HOME"] == "environment"
    assert told["VAEVAL_DATABASE_URL"] == "file /run/secrets/url"
    assert told["VAEVAL_BROKER_URL"] == "default"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://kim:S3CRET@db/vaeval", "postgresql://kim:***@db/vaeval"),
        ("postgresql://kim:p%40ss@db/vaeval", "postgresql://kim:***@db/vaeval"),
        ("redis://:S3CRET@broker", "redis://:***@broker"),
        ("redis://broker:6379/0?password=S3CRET", "redis://broker:6379/0?password=***"),
        ("postgresql://db/vaeval?user=kim&sslpassword=S3CRET", "postgresql://db/vaeval?user=kim&sslpassword=***"),
        ("redis://:S3/C@RET@broker", "redis://:***@broker"),
        ("redis://:[S3CRET@broker", "redis://:***@broker"),
        ("postgresql://kim@db/vaeval", "postgresql://kim@db/vaeval"),
        ("sqlite:////srv/vaeval.db", "sqlite:////srv/vaeval.db"),
        ("/srv/artifacts", "/srv/artifacts"),
    ],
)
def test_only_the_password_is_hidden(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_passwords_are_found_as_written_and_decoded() -> None:
    assert passwords_in("postgresql://kim:p%40ss@db/x?sslpassword=two") == ("p%40ss", "p@ss", "two")
    assert passwords_in("sqlite:////srv/vaeval.db") == ()


@pytest.mark.parametrize("url", ["redis://:[S3CRET@broker/0", "redis://:S3/CRET@broker", "redis://:S3CRET@a;redis://b"])
def test_a_broker_address_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="VAEVAL_BROKER_URL") as caught:
        Settings.from_environment({"VAEVAL_BROKER_URL": url})
    assert "***" in str(caught.value.received)
    assert "S3" not in str(caught.value)


def test_a_home_with_a_question_mark_is_refused_where_the_database_would_lie_in_it() -> None:
    with pytest.raises(InvalidInput, match=r"Received: /srv/what\? Expected: a path without"):
        Settings.from_environment({"VAEVAL_HOME": "/srv/what?"})


@pytest.mark.parametrize("made", ["vaeval.db", "artifacts/references/1", "artifacts/evaluations/7"])
def test_a_folder_where_vaeval_has_worked_is_a_home(tmp_path: Path, made: str) -> None:
    (tmp_path / made).mkdir(parents=True) if "." not in made else (tmp_path / made).touch()
    assert is_home(tmp_path)


@pytest.mark.parametrize(
    "made", ["artifacts", "weights", "artifacts/wandb", "artifacts/evaluations/plots", "runs/vaeval.db"]
)
def test_a_project_with_folders_of_such_names_is_none(tmp_path: Path, made: str) -> None:
    (tmp_path / made).mkdir(parents=True)
    assert not is_home(tmp_path)


def test_own_folders_are_homes_and_what_vaeval_makes_in_them(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"VAEVAL_HOME": str(tmp_path / "mine"), "VAEVAL_ARTIFACTS": str(tmp_path / "shared" / "arrays")}
    )
    other = tmp_path / "other"
    (other / "artifacts" / "references" / "1").mkdir(parents=True)
    own = ["mine", "mine/weights", "shared/arrays", "other", "other/artifacts", "other/logs"]
    assert [name for name in own if not settings.is_own_folder(tmp_path / name)] == []
    foreign = ["shared", "shared/weights", "mine/runs", "other/runs", "weights"]
    assert [name for name in foreign if settings.is_own_folder(tmp_path / name)] == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:S3CRET?x@127.0.0.1:1/db",
        "redis://:S3CRET?@host/0",
        "postgresql:/me:S3CRET@host/db",
        "redis://host/0?password=S3@CRET",
    ],
)
def test_where_readings_of_a_url_differ_nothing_of_it_is_shown(url: str) -> None:
    assert "S3" not in without_password(url)
    assert "CRET" not in without_password(url)


def test_a_password_with_a_question_mark_is_kept_out_of_other_texts() -> None:
    assert "S3CRET?x" in passwords_in("postgresql://me:S3CRET?x@127.0.0.1:1/db")


def test_a_database_address_that_cannot_be_read_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({"VAEVAL_DATABASE_URL": "postgresql://me:S3CRET@host:port/db"})
    assert "VAEVAL_DATABASE_URL cannot be read as an address" in str(caught.value)
    assert "host:port" in str(caught.value.received)
    assert "S3CRET" not in str(caught.value)
    assert "%XX" in str(caught.value.expected)


def test_a_broker_password_among_the_parameters_is_refused_with_where_it_belongs() -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({"VAEVAL_BROKER_URL": "redis://host:6379/0?password=S3CRET"})
    assert "password among the parameters" in caught.value.what
    assert "S3CRET" not in str(caught.value)
    assert "redis://:password@host" in str(caught.value.expected)

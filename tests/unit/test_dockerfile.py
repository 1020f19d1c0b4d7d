"""The Dockerfile, held against the project that it installs. No Docker engine is needed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _instructions(name: str) -> list[str]:
    """Arguments of all instructions of one kind, continued lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.removeprefix(name).strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def _copied() -> list[str]:
    """What is copied from the repository."""
    copies = [shlex.split(arguments) for arguments in _instructions("COPY")]
    return [source for words in copies if not words[0].startswith("--from") for source in words[:-1]]


def test_what_is_copied_exists_and_is_let_through() -> None:
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in let_through
    for source in _copied():
        assert (ROOT / source).exists()
        assert f"!{source}" in let_through


def test_all_packages_of_the_wheel_are_copied() -> None:
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(_copied())


def test_the_files_that_the_build_reads_are_copied() -> None:
    project = PROJECT["project"]
    assert {"pyproject.toml", project["readme"], *project["license-files"]} <= set(_copied())


def test_dependencies_are_installed_before_the_code_is_copied() -> None:
    assert DOCKERFILE.index("--requirement requirements.txt") < DOCKERFILE.index("COPY cli ")


def test_the_entry_point_is_a_script_of_the_project() -> None:
    [entry_point] = _instructions("ENTRYPOINT")
    [program] = json.loads(entry_point)
    assert program in PROJECT["project"]["scripts"]


def test_the_image_has_a_python_that_the_project_supports() -> None:
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    versions = re.findall(r"python:(\d+\.\d+)-slim", DOCKERFILE)
    assert len(versions) == len(_instructions("FROM")) == 2
    assert all(version in supported for version in versions)
    assert len(set(versions)) == 1


def test_the_program_runs_as_a_user_who_owns_its_home() -> None:
    [user] = _instructions("USER")
    home = COMPOSE["x-vaeval"]["environment"]["VAEVAL_HOME"]
    assert user not in {"root", "0"}
    assert f"install --directory --owner {user} --group {user} {home}" in DOCKERFILE
    assert DOCKERFILE.index("USER ") < DOCKERFILE.index("ENTRYPOINT ")


@pytest.mark.parametrize("extra", ["", "gpu"])
def test_the_list_of_dependencies_is_that_of_the_project(extra: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    [command] = [line for line in _instructions("RUN") if "requirements.txt" in line]
    script = command[command.index("python -c") : command.index(" > requirements.txt")].replace("${EXTRA}", extra)
    _, *arguments = shlex.split(script)
    listed = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True)
    project = PROJECT["project"]
    expected = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    assert listed.stdout.splitlines() == expected

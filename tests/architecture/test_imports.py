"""Who may import whom, and what is not loaded before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
NETWORK_LIBRARIES = {"jax", "keras", "tensorflow", "torch"}
SLOW_TO_IMPORT = NETWORK_LIBRARIES | {
    "alembic",
    "celery",
    "matplotlib",
    "numpy",
    "redis",
    "scipy",
    "sklearn",
    "sqlalchemy",
}

IMPORT_ALL_OF = """
import importlib, json, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""

WHAT_SUBMITTING_LOADS = """
import json, sys
import cli.gathering, cli.submit, scheduler.composition, scheduler.submission
import vaeval_core.checkpoints.catalogue, vaeval_core.checkpoints.digest_cache
import vaeval_core.features.catalogue, vaeval_core.images.catalogue
print(json.dumps(sorted(sys.modules)))
"""

ONLY_FOR_COMPUTING = {"alembic", "celery", "keras", "matplotlib", "sklearn", "tensorflow"}
"""Also parts of SciPy, each of which takes tenths of a second; `import scipy` alone loads none of them."""

HELP_OF_EVERY_COMMAND = """
import contextlib, io, json, sys
from typer.main import get_command
from cli.main import app
def words(command, prefix=()):
    yield prefix
    for name, inner in getattr(command, "commands", {}).items():
        yield from words(inner, (*prefix, name))
shown = []
for prefix in list(words(get_command(app))):
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        app([*prefix, "--help"])
    shown.append([" ".join(prefix), text.getvalue()])
print(json.dumps([shown, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_the_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


@pytest.mark.parametrize("package", ["cli", "scheduler", "vaeval_core", "workers"])
def test_importing_a_package_loads_no_network_library(package: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL_OF, package], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert set(json.loads(result.stdout)) & NETWORK_LIBRARIES == set()


def test_help_of_every_command_loads_nothing_slow() -> None:
    result = subprocess.run(
        [sys.executable, "-c", HELP_OF_EVERY_COMMAND], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    shown, modules = json.loads(result.stdout)
    assert ["vaeval" in text for _, text in shown] == [True] * len(shown)
    assert {"", "run", "submit", "db upgrade"} <= {command for command, _ in shown}
    assert set(modules) & SLOW_TO_IMPORT == set()


def test_to_submit_loads_nothing_that_only_computing_needs() -> None:
    result = subprocess.run(
        [sys.executable, "-c", WHAT_SUBMITTING_LOADS], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    loaded = set(json.loads(result.stdout))
    parts_of_scipy = {f"scipy.{name}" for name in ("linalg", "optimize", "sparse", "spatial", "special", "stats")}
    assert loaded & (ONLY_FOR_COMPUTING | parts_of_scipy) == set()

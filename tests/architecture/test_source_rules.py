"""Rules about the text of the source that no linter knows. Each rule is first shown to catch what it is for."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("cli", "migrations", "scheduler", "vaeval_core", "workers")
SOURCES = tuple(path for package in PACKAGES for path in sorted((PROJECT / package).rglob("*.py")))

MOST_LINES = 320
UNSAFE_TO_LOAD = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}

Rule = Callable[[ast.Module], Iterator[int]]
"""Gives the line numbers of what breaks it."""


def lines_that_print(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in {"print", "typer.echo", "typer.secho", "sys.stdout.write", "sys.stderr.write"}:
                yield node.lineno


def lines_that_read_settings(tree: ast.Module) -> Iterator[int]:
    """Reads of a VAEVAL_ variable out of an environment; writing one, for a child process, is no read."""
    for node in ast.walk(tree):
        source, key = "", None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            source, key = ast.unparse(node.value), node.slice
        elif isinstance(node, ast.Call) and node.args:
            source, key = ast.unparse(node.func), node.args[0]
        is_setting = isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value.startswith("VAEVAL_")
        if is_setting and re.search(r"environ|getenv", source):
            yield node.lineno  # type: ignore[attr-defined]


def lines_that_unpickle(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
        if any(name.partition(".")[0] in UNSAFE_TO_LOAD for name in imported):
            yield node.lineno  # type: ignore[attr-defined]
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            yield node.value.lineno


def offences(rule: Rule, *, allowed_in: tuple[str, ...] = ()) -> list[str]:
    found = []
    for path in SOURCES:
        name = path.relative_to(PROJECT).as_posix()
        if name not in allowed_in:
            found += [f"{name}:{line}" for line in rule(ast.parse(path.read_text(encoding="utf-8")))]
    return found


@pytest.mark.parametrize(
    ("rule", "source", "lines"),
    [
        (lines_that_print, "x = 1\nprint(x)", [2]),
        (lines_that_print, "import typer\ntyper.echo('x')\nsys.stderr.write('y')", [2, 3]),
        (lines_that_print, "rendering.note('print(x)')", []),
        (lines_that_read_settings, "import os\nos.environ['VAEVAL_HOME']\nos.environ.get('VAEVAL_HOME')", [2, 3]),
        (lines_that_read_settings, "os.getenv('VAEVAL_HOME', 'x')", [1]),
        (lines_that_read_settings, "environment['VAEVAL_HOME'] = 'x'\nother = {'VAEVAL_HOME': 'x'}", []),
        (lines_that_read_settings, "settings.shown()['VAEVAL_HOME']", []),
        (lines_that_unpickle, "import pickle", [1]),
        (lines_that_unpickle, "from joblib import load\nimport os, dill", [1, 2]),
        (lines_that_unpickle, "numpy.load(f, allow_pickle=True)\nnumpy.load(f, allow_pickle=False)", [1]),
    ],
)
def test_a_rule_sees_what_it_is_for(rule: Rule, source: str, lines: list[int]) -> None:
    assert list(rule(ast.parse(source))) == lines


def test_there_are_sources_to_check() -> None:
    assert {path.relative_to(PROJECT).parts[0] for path in SOURCES} == set(PACKAGES)


def test_only_rendering_prints() -> None:
    # A worker cannot import the command line, and tells whoever typed `vaeval worker` why it cannot work.
    assert offences(lines_that_print, allowed_in=("cli/rendering.py", "workers/program.py")) == []


def test_only_the_settings_read_the_vaeval_variables() -> None:
    assert offences(lines_that_read_settings, allowed_in=("scheduler/settings.py",)) == []


def test_nothing_is_unpickled() -> None:
    assert offences(lines_that_unpickle) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_a_module_says_what_it_is_and_stays_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module begins with a docstring"
    assert len(text.splitlines()) <= MOST_LINES, "one idea per file: split it along its ideas"

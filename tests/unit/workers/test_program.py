"""How a worker program tells an error: to the person who typed it, or to the program that started it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from vaeval_core.errors import InvalidInput, ServiceUnreachable, StorageFailed, VaevalError
from workers.program import run_program


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def failing(error: VaevalError) -> int:
    raise error


ERROR = InvalidInput("There is no such GPU.", received="7", expected="0\nor 1", next_step="nvidia-smi")


def test_a_person_reads_the_block_of_every_other_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(lambda: failing(ERROR), is_read_by_a_program=False) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "error: There is no such GPU.",
        "  received:  7",
        "  expected:  0",
        "             or 1",
        "  next:      nvidia-smi",
    ]


def test_a_program_reads_one_event_with_the_same_parts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(lambda: failing(ERROR)) == 2
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert line["event"] == "cannot_work"
    assert {name: line[name] for name in ERROR.parts()} == ERROR.parts()


@pytest.mark.parametrize(
    ("error", "code"), [(ServiceUnreachable("x"), 5), (StorageFailed("x"), 5), (VaevalError("x"), 1)]
)
def test_the_exit_code_is_that_of_the_command_line(error: VaevalError, code: int) -> None:
    assert run_program(lambda: failing(error), is_read_by_a_program=False) == code

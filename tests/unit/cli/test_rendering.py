"""What is printed where, and tables that fit."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli import rendering
from cli.rendering import Column
from scheduler.lifecycle import EvaluationState
from vaeval_core.errors import NotFound

NUMBER = Column(title="N", align="right")
NAME = Column(title="NAME", shrinkable=True)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Terminal:
    """Make stdout a terminal of 40 columns."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "40", **environment}.items():
        monkeypatch.setenv(name, value)
    return stream


def test_data_goes_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    rendering.data("12.5")
    rendering.note("a note")
    assert capsys.readouterr() == ("12.5\n", "a note\n")


def test_square_brackets_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    rendering.note("[bold]runs[/bold]")
    rendering.table([NAME], [["[red]x"]])
    captured = capsys.readouterr()
    assert captured.err == "[bold]runs[/bold]\n"
    assert captured.out == "NAME\n[red]x\n"


def test_a_table_in_a_pipe_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a-very-long-name/" * 20
    hidden = rendering.table([NUMBER, NAME, Column(title="WHY", droppable=1)], [["7", name, "because"]])
    lines = capsys.readouterr().out.splitlines()
    assert hidden == ()
    assert lines[1] == f"7  {name}  because"


def test_numbers_stand_right_and_words_left(capsys: pytest.CaptureFixture[str]) -> None:
    rendering.table([NAME, NUMBER], [["a", "1"], ["bcdef", "100"]])
    assert capsys.readouterr().out.splitlines() == ["NAME     N", "a        1", "bcdef  100"]


@pytest.mark.parametrize("kind", ["xterm-256color", "dumb"])
def test_a_table_on_a_terminal_fits_its_width(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    stream = terminal(monkeypatch, TERM=kind, NO_COLOR="1")
    columns = [NUMBER, NAME, Column(title="OPTIONAL", droppable=1), Column(title="SCORE", align="right")]
    hidden = rendering.table(columns, [["1", "experiment-17/checkpoints/step-000100", "x" * 20, "12.345"]])
    lines = re.sub(r"\x1b\[\d*m", "", stream.getvalue()).splitlines()
    assert hidden == ("OPTIONAL",)
    assert max(map(len, lines)) <= 40
    assert lines[1].endswith("12.345")
    assert "…" in lines[1]
    assert "step-000100" in lines[1]


def test_the_least_important_column_goes_first() -> None:
    columns = [NUMBER, Column(title="B", droppable=1), Column(title="C", droppable=2)]
    rows = [["1", "b" * 10, "c" * 10]]
    assert rendering.fitted(columns, rows, 30)[0] == [0, 1, 2]
    assert rendering.fitted(columns, rows, 20)[0] == [0, 1]
    assert rendering.fitted(columns, rows, 5)[0] == [0]


def test_a_number_is_never_shortened() -> None:
    _, widths = rendering.fitted([NUMBER, NAME], [["123456789", "n" * 50]], 30)
    assert widths == [9, 19]


def test_where_nothing_helps_nothing_is_shortened() -> None:
    _, widths = rendering.fitted([NUMBER, NAME], [["123456789", "n" * 50]], 20)
    assert widths == [9, 50]


def test_there_is_no_colour_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    rendering.table([NAME], [["x"]], marked=[0])
    rendering.error(NotFound("Gone."), 4, as_json=False)
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err


def test_a_terminal_has_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    rendering.table([NAME], [["x"]], marked=[0])
    assert "\x1b[1;32m" in stream.getvalue()


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    stream = terminal(monkeypatch, **{variable: value})
    rendering.table([NAME], [["x"]], marked=[0])
    assert "32m" not in stream.getvalue()


def test_a_document_says_its_schema_first(capsys: pytest.CaptureFixture[str]) -> None:
    rendering.document(
        "thing", {"at": datetime(2026, 1, 31, tzinfo=UTC), "state": EvaluationState.QUEUED, "file": Path("a")}
    )
    text = capsys.readouterr().out
    assert list(json.loads(text).items()) == [
        ("schema", "vaeval.thing/1"),
        ("at", "2026-01-31T00:00:00+00:00"),
        ("state", "queued"),
        ("file", "a"),
    ]


def test_a_document_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    rendering.document_line("thing", {"rows": [1, 2]})
    assert capsys.readouterr().out == '{"schema": "vaeval.thing/1", "rows": [1, 2]}\n'


def test_an_error_shows_its_parts_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    failure = NotFound("There is no such run.", received="17", expected="1 to 3", next_step="vaeval status")
    rendering.error(failure, 4, as_json=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "error: There is no such run.",
        "  received:  17",
        "  expected:  1 to 3",
        "  next:      vaeval status",
    ]


def test_an_error_as_json_is_a_document_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    rendering.error(NotFound("There is no such run.", received="17"), 4, as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "schema": "vaeval.error/1",
        "error": {"type": "NotFound", "what": "There is no such run.", "received": "17"},
        "exit_code": 4,
    }

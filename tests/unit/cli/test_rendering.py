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
def test_without_colour_nothing_is_bold_or_dim_either(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    stream = terminal(monkeypatch, **{variable: value})
    monkeypatch.setattr(sys, "stderr", stream)
    rendering.table([NAME], [["x"]], marked=[0])
    rendering.heading(["quick", "seed 0"])
    rendering.note("A note.")
    rendering.error(NotFound("Gone."), 4, as_json=False)
    assert stream.getvalue() == "NAME\nx\nquick · seed 0\nA note.\nerror: Gone.\n"


@pytest.mark.parametrize("kind", ["xterm-256color", "dumb"])
def test_sentences_on_a_terminal_fit_its_width(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    stream = terminal(monkeypatch, TERM=kind, NO_COLOR="1")
    monkeypatch.setattr(sys, "stderr", stream)
    rendering.heading(["quick", "digits:test", "pixels-8x8", "500 samples", "seed 0"])
    rendering.prose("The database went from one revision to another.")
    rendering.fact("protocol    ", "quick · fingerprint 01a5446ea08a")
    rendering.list_of(["#0 1.299", "#1 1.212", "#2 1.111", "#3 1.01", "#4 1"], "  ")
    rendering.note("The scores of these two checkpoints rank only against others.")
    failure = NotFound("There is no such set of images.", received="photos", expected="a folder of PNG or JPEG images")
    rendering.error(failure, 4, as_json=False)
    assert stream.getvalue().splitlines() == [
        "quick · digits:test · pixels-8x8",
        "  500 samples · seed 0",
        "The database went from one revision to",
        "  another.",
        "protocol    quick · fingerprint",
        "            01a5446ea08a",
        "  #0 1.299  #1 1.212  #2 1.111  #3 1.01",
        "  #4 1",
        "The scores of these two checkpoints rank",
        "  only against others.",
        "error: There is no such set of images.",
        "  received:  photos",
        "  expected:  a folder of PNG or JPEG",
        "             images",
    ]


def test_sentences_in_a_pipe_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "The scores rank only against others with as many images. " * 10
    rendering.heading(["quick"] * 40)
    rendering.note(sentence)
    rendering.error(NotFound("Gone.", received=sentence), 4, as_json=False)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [" · ".join(["quick"] * 40)]
    assert captured.err.splitlines() == [sentence, "error: Gone.", f"  received:  {sentence}"]


def test_a_table_too_wide_for_a_terminal_is_shown_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch, NO_COLOR="1")
    rendering.table([Column(title="NAME"), Column(title="VALUE")], [["a", "x" * 40], ["b", "y" * 40]])
    assert stream.getvalue().splitlines() == [
        "NAME   a",
        f"VALUE  {'x' * 40}",
        "",
        "NAME   b",
        f"VALUE  {'y' * 40}",
    ]


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

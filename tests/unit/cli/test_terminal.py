"""What a person sees on a terminal of 80 columns: every command that reads, and the errors of those that do more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.doctor import print_checks
from cli.finding import Check
from tests.unit.cli.conftest import SMALL, Outcome

Vaeval = Callable[..., Outcome]

WIDE = "SELECT evaluation, checkpoint, fid FROM leaderboard ORDER BY evaluation"
LONG_WORD = 50
"""A word as long as this, such as a path of a test, may run over: it is of use only whole."""


def too_long(text: str, columns: int = 80) -> list[str]:
    return [line for line in text.splitlines() if len(line) > columns and max(map(len, line.split())) < LONG_WORD]


@pytest.mark.parametrize(
    "words",
    [
        ["leaderboard"],
        ["status"],
        ["status", "--workers"],
        ["show", "1"],
        ["config"],
        ["db", "current"],
        ["db", "upgrade"],
        ["weights", "list"],
        ["weights", "verify"],
        ["sql", "SELECT * FROM leaderboard"],
        ["sql", "SELECT * FROM scores_long"],
        ["sql", "SELECT * FROM leaderboard WHERE rank > 99"],
        ["sql", "SELECT no_such_column FROM leaderboard"],
        ["show", "77"],
        ["leaderboard", "--protocol", "nobody-has-ever-named-a-protocol-so"],
        ["run", "runs"],
        ["run", "runs", "--data", "digits", "--extractor", "pixels"],
        ["submit", "CHECKPOINTS", "--data", "digits:test", *SMALL, "--wait"],
        ["submit", "CHECKPOINTS", "--data", "digits:test", "--reference", "501"],
    ],
    ids=" ".join,
)
def test_no_line_is_longer_than_the_terminal(
    vaeval: Vaeval, checkpoints: Path, finished: Outcome, words: list[str]
) -> None:
    outcome = vaeval(*(str(checkpoints) if word == "CHECKPOINTS" else word for word in words), columns=80)
    assert outcome.out + outcome.err != ""
    assert "\x1b" not in outcome.out + outcome.err
    assert too_long(outcome.out + outcome.err) == []


def test_what_is_compared_is_said_in_two_lines_above_a_leaderboard(vaeval: Vaeval, finished: Outcome) -> None:
    in_a_pipe, on_a_terminal = (
        vaeval("leaderboard").out.splitlines(),
        vaeval("leaderboard", columns=80).out.splitlines(),
    )
    first, second = on_a_terminal[:2]
    assert f"{first} · {second.strip()}" == in_a_pipe[0]
    assert on_a_terminal[2].split()[0] == "RANK"


def test_the_mark_of_a_row_is_explained_where_it_is_used(vaeval: Vaeval, checkpoints: Path, finished: Outcome) -> None:
    legend = "▸ marks the evaluations of this command."
    marked = vaeval("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL, "--wait")
    assert [line.split()[:2] for line in marked.out.splitlines() if "▸" in line] == [["▸", "2?"]], (
        "40 images tell no order"
    )
    assert marked.err.splitlines().count(legend) == 1
    unmarked = vaeval("leaderboard")
    assert "▸" not in unmarked.out + unmarked.err


def test_columns_without_room_are_named_with_the_command_that_has_them(
    vaeval: Vaeval, checkpoints: Path, finished: Outcome
) -> None:
    outcome = vaeval("submit", checkpoints, "--data", "digits:test", *SMALL, "--wait", columns=80)
    assert "CROSS-ENTROPY" not in outcome.out
    assert "No room for" in outcome.err
    assert "CROSS-ENTROPY ↓" in outcome.err
    assert "`vaeval leaderboard --format csv`" in outcome.err


def test_an_answer_in_sql_is_a_table_where_it_fits(vaeval: Vaeval, finished: Outcome) -> None:
    lines = vaeval("sql", WIDE, columns=80).out.splitlines()
    assert [line.split()[0] for line in lines] == ["evaluation", "1", "2"]


def test_an_answer_in_sql_is_one_field_a_line_where_it_does_not_fit(vaeval: Vaeval, finished: Outcome) -> None:
    lines = vaeval("sql", WIDE, columns=30).out.splitlines()
    assert [line.split(maxsplit=1)[0] if line else "" for line in lines] == [
        *("evaluation", "checkpoint", "fid"),
        "",
        *("evaluation", "checkpoint", "fid"),
    ]
    assert lines[1].startswith("checkpoint  ")
    assert lines[1].endswith("step-2")


def test_an_answer_in_sql_is_a_table_in_a_pipe_however_wide(vaeval: Vaeval, finished: Outcome) -> None:
    assert len(vaeval("sql", "SELECT * FROM leaderboard").out.splitlines()) == 3


def test_an_answer_in_sql_without_rows_says_so(vaeval: Vaeval, finished: Outcome) -> None:
    outcome = vaeval("sql", f"SELECT checkpoint FROM ({WIDE}) WHERE fid < 0")
    assert (outcome.out, outcome.err) == ("checkpoint\n", "No rows.\n")


def test_a_refused_statement_ends_in_one_full_stop(vaeval: Vaeval, finished: Outcome) -> None:
    for statement in ("SELECT 1; SELECT 2", "SELECT nothing FROM leaderboard"):
        first = vaeval("sql", statement).err.splitlines()[0]
        assert first.endswith(".")
        assert not first.endswith("..")


def test_the_same_warning_of_several_metrics_is_said_once(vaeval: Vaeval, finished: Outcome) -> None:
    sentences = [line.partition(": ")[2] for line in vaeval("show", "1").err.splitlines()]
    assert len(sentences) == len(set(sentences)) > 0


def test_findings_of_the_doctor_are_wrapped_in_their_column(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = "No network file system, no lock that does not hold, and room for a whole week of evaluations."
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    print_checks([Check(name="disk", verdict="ok", finding=finding)])
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["CHECK", "VERDICT", "FINDING"]
    assert " ".join(line[heading.index("FINDING") :] for line in lines) == finding
    assert all(len(line) <= 80 for line in lines)


def test_pictures_into_a_file_are_wrong_input_and_no_full_disk(
    vaeval: Vaeval, finished: Outcome, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no folder", encoding="utf-8")
    for folder in (file, file / "drawn"):
        outcome = vaeval("show", "1", "--pictures", folder)
        assert outcome.exit_code == 2
        assert outcome.err.splitlines() == [
            "error: Pictures go into a folder, and this is a file.",
            f"  received:  {file}",
            "  expected:  a folder; one that is missing is made",
            "  next:      --pictures pictures/",
        ]


def test_pictures_of_a_run_into_a_file_are_refused_before_the_work(
    vaeval: Vaeval, checkpoints: Path, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no folder", encoding="utf-8")
    outcome = vaeval("run", checkpoints, "--data", "digits:test", *SMALL, "--pictures", file / "sheet.png")
    assert outcome.exit_code == 2
    assert f"received:  {file}" in outcome.err
    assert not home.exists()

"""The program as a whole: help, versions, exit codes, and errors that are sentences."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from cli import main as program
from cli.exit_codes import EPILOG, ExitCode, exit_code_of
from tests.unit.cli.conftest import invoke as invoke_program
from vaeval_core import errors

COMMANDS = [
    "demo",
    "run",
    "submit",
    "status",
    "leaderboard",
    "show",
    "compare",
    "judge",
    "cancel",
    "retry",
    "sql",
    "worker",
    "scheduler",
    "doctor",
    "config",
    "gc",
]
SUBCOMMANDS = ["weights list", "weights fetch", "weights import", "weights verify", "db upgrade", "db current"]


def invoke(*arguments: str, app: typer.Typer | None = None) -> tuple[int, str, str]:
    if app is None:
        outcome = invoke_program(*arguments)
        return outcome.exit_code, outcome.out, outcome.err
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def failing(failure: BaseException) -> typer.Typer:
    """A program with one command, which fails."""
    app = typer.Typer(cls=program.ErrorsAsSentences, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.callback()
    def _root() -> None:
        """Needed by Typer so that `fail` is a command."""

    @app.command()
    def fail(names: list[str] | None = None, as_json: bool = typer.Option(False, "--json")) -> None:
        raise failure

    return app


def test_help_lists_every_command() -> None:
    code, out, _ = invoke("--help")
    listed = re.findall(r"^  (\w+) {2,}\S", out.split("Commands:")[1].split("Exit codes:")[0], flags=re.MULTILINE)
    assert code == 0
    assert listed == [*COMMANDS, "weights", "reference", "db"]


def test_no_command_at_all_shows_the_help() -> None:
    assert invoke()[:2] == invoke("--help")[:2]


@pytest.mark.parametrize("command", COMMANDS + SUBCOMMANDS)
def test_the_help_of_every_command_has_an_example(command: str) -> None:
    code, out, _ = invoke(*command.split(), "--help")
    assert code == 0
    assert re.search(rf"Examples?:\n(.*\n)*?.*\bvaeval {command}\b", out)


@pytest.mark.parametrize("command", [*COMMANDS, "weights", "reference", "db"])
def test_the_list_of_commands_cuts_no_sentence(command: str) -> None:
    line = next(line for line in invoke("--help")[1].splitlines() if line.startswith(f"  {command} "))
    assert line.endswith(".")
    assert not line.endswith("...")


def test_help_fits_80_columns() -> None:
    for command in ["", *COMMANDS, *SUBCOMMANDS]:
        lines = invoke(*command.split(), "--help")[1].splitlines()
        assert [line for line in lines if len(line) > 80] == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['vaeval', '--help']\n"
        "from cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ['tensorflow', 'keras', 'celery', 'redis', 'sqlalchemy', 'alembic', 'numpy', 'scipy', 'pydantic', 'rich']\n"
        "print('HEAVY', [name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_the_version_is_that_of_the_package() -> None:
    code, out, _ = invoke("--version")
    assert code == 0
    assert re.fullmatch(r"vaeval \d+\.\d+\.\d+\S*\n", out)


def test_every_exit_code_is_explained_in_the_help() -> None:
    explained = {int(number) for number in re.findall(r"^  (\d+) ", EPILOG, flags=re.MULTILINE)}
    assert explained == set(ExitCode)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.VaevalError("x"), 1),
        (errors.InvalidInput("x"), 2),
        (errors.CheckpointRejected("x"), 2),
        (errors.ImagesRejected("x"), 2),
        (errors.TooFewImages("x"), 2),
        (errors.NotFound("x"), 4),
        (errors.WeightsUnavailable("x"), 4),
        (errors.ServiceUnreachable("x"), 5),
        (errors.StorageFailed("x"), 5),
        (errors.SchemaMismatch("x"), 6),
        (errors.WaitTimedOut("x"), 7),
    ],
)
def test_each_error_has_its_exit_code(failure: errors.VaevalError, code: int) -> None:
    assert exit_code_of(failure) == code
    assert invoke("fail", app=failing(failure))[0] == code


def test_an_error_is_told_without_a_traceback() -> None:
    failure = errors.NotFound("There is no such run.", received="17", expected="1 to 3", next_step="vaeval status")
    code, out, err = invoke("fail", app=failing(failure))
    assert (code, out) == (4, "")
    assert err.splitlines() == [
        "error: There is no such run.",
        "  received:  17",
        "  expected:  1 to 3",
        "  next:      vaeval status",
    ]


@pytest.mark.parametrize("words", [("--debug", "fail"), ("fail", "--debug")])
def test_debug_shows_where_it_arose_wherever_it_stands(words: tuple[str, ...]) -> None:
    code, _, err = invoke(*words, app=failing(errors.NotFound("Gone.")))
    assert code == 4
    assert "Traceback (most recent call last)" in err
    assert "raise failure" in err


def test_after_two_dashes_debug_is_a_name() -> None:
    code, _, err = invoke("show", "--", "--debug")
    assert code == 2
    assert "received:  --debug" in err


def test_an_unexpected_exception_is_one_sentence_and_a_way_on() -> None:
    code, _, err = invoke("fail", app=failing(KeyError("posterior")))
    assert code == 1
    assert err.splitlines()[0] == "error: KeyError: 'posterior'"
    assert "--debug" in err
    assert "Traceback" not in err


def test_an_unexpected_exception_keeps_its_traceback_for_debug() -> None:
    _, _, err = invoke("fail", "--debug", app=failing(ZeroDivisionError("by zero")))
    assert "ZeroDivisionError: by zero" in err
    assert "raise failure" in err


def test_a_full_disk_is_no_fault_of_the_program() -> None:
    code, _, err = invoke("fail", app=failing(OSError(errno.ENOSPC, "No space left on device", "x.log")))
    assert code == 5
    assert "There is no space left." in err
    assert "x.log" in err
    assert "make room" in err


def test_ctrl_c_ends_with_130() -> None:
    assert invoke("fail", app=failing(KeyboardInterrupt()))[0] == 130


@pytest.mark.parametrize(
    ("failure", "kind", "code"),
    [(errors.NotFound("Gone.", received="17"), "NotFound", 4), (KeyError("x"), "VaevalError", 1)],
)
def test_with_json_an_error_is_a_document(failure: Exception, kind: str, code: int) -> None:
    exit_code, out, err = invoke("fail", "--json", app=failing(failure))
    document = json.loads(out)
    assert exit_code == code
    assert document["schema"] == "vaeval.error/1"
    assert document["error"]["type"] == kind
    assert document["exit_code"] == code
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["sqll"], ["vaeval has no such command.", "sqll", "perhaps sql", "vaeval --help"]),
        (["db", "down"], ["vaeval db has no such command.", "down", "one of upgrade, current", "vaeval db --help"]),
        (["show"], ["The argument EVALUATION is missing.", "vaeval show", "EVALUATION: Its id", "vaeval show --help"]),
        (
            ["run", "x"],
            ["The option --data is missing.", "vaeval run x", "--data FOLDER|FILE|SET: ", "vaeval run --help"],
        ),
        (
            ["show", "one"],
            ["argument EVALUATION has a value that cannot", "one", "a whole number", "vaeval show --help"],
        ),
        (["show", "1", "2"], ["vaeval show takes fewer words", "2", "EVALUATION", "vaeval show --help"]),
        (
            ["run", "x", "--sample", "3"],
            ["vaeval run has no such option", "--sample", "perhaps --samples", "run --help"],
        ),
        (
            ["run", "--tag"],
            ["The option --tag has no value.", "--tag as the last", "--tag KEY=VALUE: ", "vaeval run --help"],
        ),
        (
            ["show", "--pictures"],
            ["--pictures has no value.", "--pictures as", "--pictures FOLDER: ", "vaeval show --help"],
        ),
        (["config", "--json=1"], ["The option --json takes no value.", "--json=1", "--json", "vaeval config --help"]),
        (["run", "--samples", "x"], ["--samples has a value", "x", "a whole number, at least 0", "vaeval run --help"]),
        (["run", "--samples", "-1"], ["--samples has a value", "-1", "at least 0", "vaeval run --help"]),
        (["run", "--shard-size", "9999"], ["--shard-size has a value", "9999", "at most 4096", "vaeval run --help"]),
        (["submit", "--timeout", "nan"], ["--timeout has a value", "nan", "at least 0", "vaeval submit --help"]),
        (
            ["leaderboard", "--format", "xml"],
            ["--format has a value", "xml", "one of table, csv, markdown, json", "--help"],
        ),
    ],
)
def test_wrong_words_are_a_usage_error_in_four_parts(words: list[str], parts: list[str]) -> None:
    code, out, err = invoke(*words)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert [line.partition(":")[0].strip() for line in lines] == ["error", "received", "expected", "next"]
    for line, part in zip(lines, parts, strict=True):
        assert part in line


@pytest.mark.parametrize(
    ("words", "what", "expected"),
    [
        (["demo", "--home", ""], "The option --home is empty.", "--home FOLDER: "),
        (["demo", "--home="], "The option --home is empty.", "--home FOLDER: "),
        (["run", "vae.keras", "--data", " "], "The option --data is empty.", "digits:test"),
        (["run", "", "--data", "digits:test"], "The argument CHECKPOINT is empty.", "CHECKPOINT: "),
        (["run", "vae.keras", "--resize", ""], "The argument CHECKPOINT is empty.", "CHECKPOINT: "),
        (["weights", "import", "--as", ""], "The option --as is empty.", "--as NAME: "),
        (["show", ""], "The argument EVALUATION is empty.", "EVALUATION: "),
    ],
)
def test_an_empty_word_is_refused_before_it_means_the_current_folder(
    words: list[str], what: str, expected: str
) -> None:
    code, out, err = invoke(*words)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert lines[0] == f"error: {what}"
    assert lines[1].startswith("  received:  '")
    assert expected in lines[2]
    assert "shell variable" in lines[3]


def test_an_empty_word_among_several_arguments_is_told_without_guessing_which() -> None:
    code, _, err = invoke("compare", "12", "")
    assert code == 2
    assert err.splitlines()[0] == "error: An argument is empty."
    assert "vaeval compare 12 ''" in err


@pytest.mark.parametrize("words", [["--bogus"], ["run", "--bogus"]])
def test_an_option_that_resembles_none_is_told_with_the_help_to_read(words: list[str]) -> None:
    code, _, err = invoke(*words)
    assert code == 2
    assert err.splitlines()[1:] == ["  received:  --bogus", f"  next:      {' '.join(['vaeval', *words[:-1]])} --help"]


def test_a_usage_error_is_json_too() -> None:
    code, out, _ = invoke("leaderboard", "--format", "json", "--xyzzy")
    assert code == 2
    assert json.loads(out)["error"] == {
        "type": "InvalidInput",
        "what": "vaeval leaderboard has no such option.",
        "received": "--xyzzy",
        "next": "vaeval leaderboard --help",
    }

"""The program `vaeval`: which commands there are, and the one place where an error becomes a message and an exit code.

Command modules import nothing heavy at their top: what a command needs, it imports when it runs, so that `vaeval --help`
answers at once.
"""

from __future__ import annotations

import errno
import importlib.metadata
import io
import itertools
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from cli import rendering
from cli.cancel import cancel
from cli.config import config
from cli.db import current, upgrade
from cli.demo import demo
from cli.doctor import doctor
from cli.exit_codes import EPILOG, ExitCode, exit_code_of
from cli.gc import gc
from cli.leaderboard import leaderboard
from cli.retry import retry
from cli.run import run
from cli.scheduler import scheduler
from cli.show import show
from cli.sql import sql
from cli.status import status
from cli.submit import submit
from cli.weights import fetch, import_, list_, verify
from cli.worker import worker
from vaeval_core.errors import InvalidInput, StorageFailed, VaevalError


class ErrorsAsSentences(TyperGroup):
    """The group of all commands, which ends with our exit codes and messages instead of a traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command line and leave by SystemExit."""
        arguments = list(sys.argv[1:] if args is None else args)
        # --debug is taken wherever it stands, for the advice is to run the same command again with it.
        options = _options(arguments)
        understood = [word for word in options if word != "--debug"] + arguments[len(options) :]
        try:
            result = super().main(understood, "vaeval", complete_var, standalone_mode=False, **extra)
        except TyperException as failure:  # wrong options: the library's own words, our form
            _leave(_usage_error(failure), arguments)
        except VaevalError as failure:
            _leave(failure, arguments)
        except typer.Abort:
            sys.exit(ExitCode.INTERRUPTED)
        except Exception as failure:  # noqa: BLE001  the last door: whatever it is, the user gets a sentence
            _leave(_unexpected(failure), arguments)
        sys.exit(result if isinstance(result, int) else ExitCode.OK)


def _usage_error(failure: TyperException) -> InvalidInput:
    context = getattr(failure, "ctx", None)
    command = context.command_path if context is not None else "vaeval"
    sentence = " ".join(failure.format_message().split())
    return InvalidInput(
        sentence if sentence.endswith((".", "?", ")")) else f"{sentence}.",
        received=_refused_value(failure.__cause__),
        next_step=f"{command} --help",
    )


def _refused_value(cause: BaseException | None) -> str | None:
    """What was typed where Typer's message only says what was expected: its validator, pydantic, knows."""
    problems = getattr(cause, "errors", None)
    return None if problems is None else ", ".join(str(problem["input"]) for problem in problems())


def _unexpected(failure: Exception) -> VaevalError:
    text = " ".join(str(failure).split())
    if isinstance(failure, OSError) and failure.errno in {errno.ENOSPC, errno.EDQUOT}:
        full = StorageFailed(
            "There is no space left.",
            received=text,
            expected="room for the database, logs and artifacts",
            next_step="make room, or move VAEVAL_HOME or VAEVAL_ARTIFACTS; then run the same command again, it goes on",
        )
        full.__cause__ = failure
        return full
    error = VaevalError(
        f"{type(failure).__name__}: {text}" if text else f"{type(failure).__name__}.",
        next_step="run again with --debug to see where; this is a fault of vaeval or of its surroundings, please report it",
    )
    error.__cause__ = failure
    return error


def _leave(failure: VaevalError, arguments: Sequence[str]) -> None:
    """Print the error and end the program."""
    code = exit_code_of(failure)
    if "--debug" in _options(arguments):
        rendering.note("".join(traceback.format_exception(failure)).rstrip())
    rendering.error(failure, code, as_json=_wants_json(arguments))
    sys.exit(code)


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether errors are to be JSON as well: known from the words, because an error may come before they are parsed."""
    words = _options(arguments)
    return "--json" in words or "--format=json" in words or ("--format", "json") in itertools.pairwise(words)


def _options(arguments: Sequence[str]) -> list[str]:
    """The words before `--`: after it a word is a name, whatever it looks like."""
    return list(arguments[: arguments.index("--")] if "--" in arguments else arguments)


app = typer.Typer(
    cls=ErrorsAsSentences,
    help="Evaluate variational autoencoders in bulk: sharded, durable, ranked in SQL.",
    epilog=EPILOG,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        rendering.data(f"vaeval {importlib.metadata.version('vaeval')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _vaeval(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="With an error, also show where in the program it arose.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    _print_help_without_command(context)


def _print_help_without_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        rendering.data(context.get_help())


app.command(short_help="See it work: train a small VAE, evaluate it, rank it.")(demo)
for _command in (run, submit, status, leaderboard, show, cancel, retry, sql, worker, scheduler):
    app.command()(_command)
app.command(short_help="Check this installation.")(doctor)
app.command()(config)
app.command()(gc)

_weights = typer.Typer(
    help="Weights of feature networks: list, fetch, import, verify.",
    callback=_print_help_without_command,
    invoke_without_command=True,
)
_weights.command("list")(list_)
_weights.command("fetch")(fetch)
_weights.command("import")(import_)
_weights.command("verify")(verify)
app.add_typer(_weights, name="weights")

_db = typer.Typer(
    help="Schema of the database: upgrade, current.", callback=_print_help_without_command, invoke_without_command=True
)
for _command in (upgrade, current):
    _db.command()(_command)
app.add_typer(_db, name="db")


def main() -> None:
    """Entry point of the `vaeval` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± gets a question mark, not a traceback
    app()

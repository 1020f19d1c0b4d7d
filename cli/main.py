"""The program `vaeval`: which commands there are, and the one place where an error becomes a message and an exit code.

Command modules import nothing heavy at their top: what a command needs, it imports when it runs, so that `vaeval --help`
answers at once.
"""

from __future__ import annotations

import errno
import functools
import importlib.metadata
import io
import itertools
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_group

from cli import rendering
from cli.cancel import cancel
from cli.compare import compare
from cli.config import config
from cli.db import current, upgrade
from cli.demo import demo
from cli.doctor import doctor
from cli.empty_words import refuse_empty_words
from cli.exit_codes import EPILOG, ExitCode, exit_code_of
from cli.gc import gc
from cli.judge import judge
from cli.leaderboard import leaderboard
from cli.reference import export
from cli.reference import import_ as import_reference
from cli.reference import list_ as list_references
from cli.retry import retry
from cli.run import run
from cli.scheduler import scheduler
from cli.show import show
from cli.sql import sql
from cli.status import status
from cli.submit import submit
from cli.usage_errors import usage_error
from cli.weights import fetch, import_, list_, verify
from cli.worker import worker
from vaeval_core.errors import StorageFailed, VaevalError


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
        try:
            code = self._run(arguments, complete_var, extra)
            sys.stdout.flush()  # here and not at the end of Python, which would show its own traceback
        except BrokenPipeError:
            code = _closed_pipe()
        sys.exit(code)

    def _run(self, arguments: list[str], complete_var: str | None, extra: dict[str, Any]) -> int:
        # --debug is taken wherever it stands, for the advice is to run the same command again with it.
        options = _options(arguments)
        understood = [word for word in options if word != "--debug"] + arguments[len(options) :]
        try:
            refuse_empty_words(understood, self)
            result = super().main(understood, "vaeval", complete_var, standalone_mode=False, **extra)
        except TyperException as failure:  # wrong options: the library's own words, our form
            return _told(usage_error(failure, understood, self), arguments)
        except VaevalError as failure:
            return _told(failure, arguments)
        except typer.Abort:  # Ctrl-C where a command does not say itself what becomes of its work
            rendering.note("Interrupted.")
            return ExitCode.INTERRUPTED
        except SystemExit as ended:
            if isinstance(ended.__context__, BrokenPipeError):  # Typer makes a 1 of it
                return _closed_pipe()
            raise
        except BrokenPipeError:
            raise
        except Exception as failure:  # noqa: BLE001  the last door: whatever it is, the user gets a sentence
            return _told(_unexpected(failure), arguments)
        return result if isinstance(result, int) else ExitCode.OK


def _closed_pipe() -> ExitCode:
    """Whoever read has seen enough, as in `vaeval leaderboard | head`: end without a word, like any other program."""
    if sys.__stdout__ is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())
    return ExitCode.PIPE_CLOSED


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


def _told(failure: VaevalError, arguments: Sequence[str]) -> ExitCode:
    """Print the error; the exit code to end with."""
    code = exit_code_of(failure)
    if "--debug" in _options(arguments):
        rendering.note("".join(traceback.format_exception(failure)).rstrip())
    rendering.error(failure, code, as_json=_wants_json(arguments))
    return code


def _wants_json(arguments: Sequence[str]) -> bool:
    """Whether errors are to be JSON as well: known from the words, because an error may come before they are parsed."""
    words = _options(arguments)
    return "--json" in words or "--format=json" in words or ("--format", "json") in itertools.pairwise(words)


def _options(arguments: Sequence[str]) -> list[str]:
    """The words before `--`: after it a word is a name, whatever it looks like."""
    return list(arguments[: arguments.index("--")] if "--" in arguments else arguments)


class PlainHelp(TyperCommand):
    """A command whose help calls an argument by its name alone, without its type in Python."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            records = [
                parameter.get_help_record(ctx)
                for parameter in self.get_params(ctx)
                if parameter.param_type_name == kind
            ]
            lines = [(re.sub(r" <.*>$", "", name), text) for name, text in filter(None, records)]
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


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


app.command(cls=PlainHelp, short_help="See it work: train a small VAE, evaluate it, rank it.")(demo)
for _command in (run, submit, status, leaderboard, show, compare, judge, cancel, retry, sql, worker, scheduler):
    app.command(cls=PlainHelp)(_command)
app.command(cls=PlainHelp, short_help="Check this installation.")(doctor)
app.command(cls=PlainHelp)(config)
app.command(cls=PlainHelp)(gc)

_weights = typer.Typer(
    help="Weights of feature networks: list, fetch, import, verify.",
    callback=_print_help_without_command,
    invoke_without_command=True,
)
_weights.command("list", cls=PlainHelp)(list_)
_weights.command("fetch", cls=PlainHelp)(fetch)
_weights.command("import", cls=PlainHelp)(import_)
_weights.command("verify", cls=PlainHelp)(verify)
app.add_typer(_weights, name="weights")

_reference = typer.Typer(
    help="Statistics of real images: import, export, list.",
    callback=_print_help_without_command,
    invoke_without_command=True,
)
_reference.command("import", cls=PlainHelp)(import_reference)
_reference.command("export", cls=PlainHelp)(export)
_reference.command("list", cls=PlainHelp)(list_references)
app.add_typer(_reference, name="reference")

_db = typer.Typer(
    help="Schema of the database: upgrade, current.", callback=_print_help_without_command, invoke_without_command=True
)
for _command in (upgrade, current):
    _db.command(cls=PlainHelp)(_command)
app.add_typer(_db, name="db")


@functools.cache
def program() -> TyperGroup:
    """The group of all commands. Typer takes many milliseconds to make it, so it is made once per process."""
    return get_group(app)


def main() -> None:
    """Entry point of the `vaeval` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± gets a question mark, not a traceback
    program()()

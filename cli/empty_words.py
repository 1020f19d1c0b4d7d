"""A word that is empty, as `--data "$PHOTOS"` gives where the variable is not set: refused before it is taken for a default.

An empty path is the current folder to the libraries below, an empty name is none: neither is what somebody meant.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup

from cli.usage_errors import command_of, described, form
from vaeval_core.errors import InvalidInput


def refuse_empty_words(arguments: Sequence[str], program: TyperGroup) -> None:
    """Raise InvalidInput if a word, or what follows the `=` of an option, is empty.

    Args:
        arguments: The words that were typed.
        program: The group of all commands.
    """
    before = ""
    for word in arguments:
        option, equals, value = word.partition("=")
        if equals and option.startswith("--") and not value.strip():
            raise _empty(option, value, arguments, program)
        if not word.strip():
            raise _empty(before, word, arguments, program)
        before = word


def _empty(before: str, word: str, arguments: Sequence[str], program: TyperGroup) -> InvalidInput:
    path, command = command_of(arguments, program)
    parameter = _meant(before, command)
    return InvalidInput(
        "An argument is empty." if parameter is None else f"The {described(parameter)} is empty.",
        received=f"{word!r} in: {shlex.join(['vaeval', *arguments])}",
        expected=None if parameter is None else form(parameter),
        next_step=f"if it came from a shell variable, see whether that is set; `.` is the current folder; {path} --help",
    )


def _meant(before: str, command: Any) -> Any | None:
    """The option that stands before the word, else the command's one argument, if it has exactly one."""
    takes_value = [
        parameter
        for parameter in command.params
        if before in parameter.opts and not getattr(parameter, "is_flag", False)
    ]
    positional = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    return next(iter(takes_value), positional[0] if len(positional) == 1 else None)

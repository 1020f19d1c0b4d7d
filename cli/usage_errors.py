"""A command line that cannot be understood, told in the four parts of every other error.

Typer finds the mistake; its sentences name no received value, and for values they are pydantic's. Its exception classes
are private, so they are told apart by what they carry.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from typer.core import TyperGroup, TyperOption
from typer.exceptions import TyperException

from vaeval_core.errors import InvalidInput
from vaeval_core.wrong_values import Problem, expectation


def usage_error(failure: TyperException, arguments: Sequence[str], program: TyperGroup) -> InvalidInput:
    """The error to show.

    Args:
        failure: What Typer raised.
        arguments: The words that were typed.
        program: The group of all commands.
    """
    path, command = command_of(arguments, program)
    next_step = f"{path} --help"
    parameter = getattr(failure, "param", None)
    problems = getattr(failure.__cause__, "errors", None)
    if parameter is not None and problems is not None:
        found = problems()
        return InvalidInput(
            f"The {described(parameter)} has a value that cannot be used.",
            received=", ".join(str(problem["input"]) for problem in found),
            expected=", ".join(dict.fromkeys(_wanted(problem, parameter) for problem in found)),
            next_step=next_step,
        )
    if parameter is not None:
        return InvalidInput(
            f"The {described(parameter)} is missing.",
            received=shlex.join(["vaeval", *arguments]),
            expected=form(parameter),
            next_step=next_step,
        )
    option = getattr(failure, "option_name", None)
    if option is not None and hasattr(failure, "possibilities"):
        near = ", ".join(failure.possibilities or ())
        return InvalidInput(
            f"{path} has no such option.",
            received=option,
            expected=f"perhaps {near}" if near else None,
            next_step=next_step,
        )
    if option is not None:
        return _wrong_number_of_values(option, command, arguments, next_step)
    sentence = " ".join(failure.format_message().split())
    unknown = re.fullmatch(r"No such command '(.*?)'\.(?: Did you mean (.*)\?)?", sentence)
    if unknown is not None:
        near = (unknown[2] or "").replace("'", "")
        return InvalidInput(
            f"{path} has no such command.",
            received=unknown[1],
            expected=f"perhaps {near}" if near else f"one of {', '.join(command.commands)}",
            next_step=next_step,
        )
    extra = re.fullmatch(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", sentence)
    if extra is not None:
        return InvalidInput(
            f"{path} takes fewer words than these.", received=extra[1], expected=_usage(command), next_step=next_step
        )
    return InvalidInput(sentence if sentence.endswith((".", "?")) else f"{sentence}.", next_step=next_step)


def command_of(arguments: Sequence[str], program: TyperGroup) -> tuple[str, Any]:
    """The command that the words begin with: how it is called, and what it is."""
    path, command = "vaeval", program
    for word in arguments:
        inner = getattr(command, "commands", {}).get(word)
        if inner is not None:
            path, command = f"{path} {word}", inner
        elif not word.startswith("-"):
            break
    return path, command


def described(parameter: Any) -> str:
    """`option --samples` or `argument EVALUATION`."""
    if isinstance(parameter, TyperOption):
        return f"option {parameter.opts[0]}"
    return f"argument {parameter.metavar}"


def form(parameter: Any) -> str:
    """How to give the parameter, and what it is."""
    name = f"{parameter.opts[0]} {parameter.metavar}" if isinstance(parameter, TyperOption) else parameter.metavar
    return f"{name}: {parameter.help.removesuffix('.')}"


def _wanted(problem: Problem, parameter: Any) -> str:
    wanted = expectation(problem)
    choices = re.search(r" is not one of (.*?)\.?$", wanted)
    if choices is not None:  # an enumeration, for which Typer has a check of its own
        return f"one of {choices[1]}".replace("'", "")
    bounds = [
        f"{word} {bound}"
        for word, bound in (("at least", parameter.min), ("at most", parameter.max))
        if bound is not None
    ]
    return ", ".join([wanted, *bounds]) if problem["type"].endswith("_parsing") else wanted


def _wrong_number_of_values(option: str, command: Any, arguments: Sequence[str], next_step: str) -> InvalidInput:
    """An option without its value, or one with a value that it does not take."""
    attached = next((word for word in arguments if word.startswith(f"{option}=")), None)
    if attached is not None:
        return InvalidInput(
            f"The option {option} takes no value.", received=attached, expected=option, next_step=next_step
        )
    parameter = next((parameter for parameter in command.params if option in parameter.opts), None)
    return InvalidInput(
        f"The option {option} has no value.",
        received=f"{option} as the last word",
        expected=None if parameter is None else form(parameter),
        next_step=next_step,
    )


def _usage(command: Any) -> str:
    """The arguments of a command, or that it has none."""
    names = [parameter.metavar for parameter in command.params if not isinstance(parameter, TyperOption)]
    return " ".join(names) if names else "options alone"

"""What a refused value should have been, in the words of a person who writes a YAML file or an option.

Pydantic checks the values; its messages ("Input should be…", "Extra inputs are not permitted") speak of programs. Protocol
files, `vaeval.yaml` and the options of the command line all say what they expected through `expectation`.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_KINDS = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text, in quotes if it looks like a number",
    "tuple_type": "a list such as [0, 1]",
    "missing": "one value more",
    "invalid_key": "the name of a field",
    "model_type": "lines such as `name: value`",
    "model_attributes_type": "lines such as `name: value`",
}

_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}

Problem = Mapping[str, Any]
"""One entry of pydantic's `ValidationError.errors()`: type, loc, msg, input, ctx."""


def expectation(problem: Problem) -> str:
    """What would have been accepted, as words that can follow "expected:".

    >>> expectation({"type": "greater_than_equal", "msg": "Input should be …", "ctx": {"ge": 2}})
    'at least 2'
    >>> expectation({"type": "literal_error", "msg": "Input should be …", "ctx": {"expected": "'a', 'b' or 'c'"}})
    'a, b or c'
    """
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        bound = context[name]
        return f"{words} {bound:g}" if isinstance(bound, float) else f"{words} {bound}"
    if kind == "too_long":
        return f"{context['max_length']} values"
    if kind in {"literal_error", "enum"}:
        return str(context["expected"]).replace("'", "")
    if kind == "value_error":  # raised by a check of ours: its words are a person's
        return str(context["error"])
    return str(problem["msg"]).removeprefix("Input should be ")


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxother = 2, 8, 8, 80, 80
"""A YAML file of a few lines can stand for a value of gigabytes: what is shown of one is short."""


def shortly(value: object) -> str:
    """The value in a few words, whatever size it has; it is never written out as a whole."""
    return _SHORT.repr(value)


def told(problems: Sequence[Problem], fields: Iterable[str]) -> tuple[str, str]:
    """What was received and what was expected, for all refused values of a file.

    Args:
        problems: From pydantic.
        fields: Every name that the file may hold.

    >>> told([{"type": "extra_forbidden", "loc": ("sampels",), "input": 5, "msg": ""}], ["name", "samples"])
    ('sampels: 5', 'instead of sampels perhaps samples; the fields are name, samples')
    """
    known = list(fields)
    received = [f"{_place(problem)}: {shortly(problem['input'])}" for problem in problems]
    expected = [_wanted(problem, known) for problem in problems]
    return "; ".join(received), "; ".join([*expected, f"the fields are {', '.join(known)}"])


def _place(problem: Problem) -> str:
    """`image_range[1]`: where in the file the value stands."""
    place = problem["loc"][:-1] if problem["type"] == "missing" else problem["loc"]
    first, *inner = place or ("the file",)
    return f"{first}{''.join(f'[{part}]' for part in inner)}"


def _wanted(problem: Problem, known: Sequence[str]) -> str:
    place = _place(problem)
    if problem["type"] != "extra_forbidden":
        return f"{place}: {expectation(problem)}"
    close = difflib.get_close_matches(place, known, n=1)
    return f"instead of {place} perhaps {close[0]}" if close else f"no field {place}"

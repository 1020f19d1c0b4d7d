"""A clock that is off by CHAOS_CLOCK seconds, for a whole Python process: with this folder on PYTHONPATH, Python imports this
module before any other, so that whoever asks for the time, by `time` or by `datetime`, gets it from here.

`datetime.now` does not ask `time.time`, so both are replaced. What the database says about time comes from its own clock;
SQLite's is that of the machine, which no Python code can change.
"""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

_OFF = float(os.environ.get("CHAOS_CLOCK", "0"))
_RIGHT = datetime.datetime
_time, _time_ns, _gmtime, _localtime = time.time, time.time_ns, time.gmtime, time.localtime


class _TakesOthers(type):
    """Libraries written in C make the real kind, and that is to pass for this one."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RIGHT) if cls is _Off else type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _RIGHT) if cls is _Off else type.__subclasscheck__(cls, other)


class _Off(_RIGHT, metaclass=_TakesOthers):
    __slots__ = ()  # the size that libraries written in C expect

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return _RIGHT.now(tz) + datetime.timedelta(seconds=_OFF)

    @classmethod
    def utcnow(cls) -> Any:
        return _RIGHT.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=_OFF)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


if _OFF:
    time.time = lambda: _time() + _OFF
    time.time_ns = lambda: _time_ns() + round(_OFF * 10**9)
    time.gmtime = lambda seconds=None: _gmtime(time.time() if seconds is None else seconds)
    time.localtime = lambda seconds=None: _localtime(time.time() if seconds is None else seconds)
    _Off.__name__ = _Off.__qualname__ = "datetime"
    _Off.__module__ = "datetime"
    datetime.datetime = _Off  # type: ignore[misc]

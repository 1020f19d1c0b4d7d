"""Threads that stand for processes must share no locks: one of them waits for its turn while it holds one, and nobody goes on.

Until Python 3.11 `functools.cached_property` has a lock for all instances of a class, held while a value is computed; from 3.12
on it has none. Here it has none either.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock


def no_shared_locks() -> AbstractContextManager[Any]:
    """For as long as the context lasts, in the whole program."""
    return mock.patch.object(functools.cached_property, "__get__", _get)


def _get(self: functools.cached_property[Any], instance: object, owner: type | None = None) -> Any:
    if instance is None:
        return self
    assert self.attrname is not None
    if self.attrname not in instance.__dict__:
        instance.__dict__[self.attrname] = self.func(instance)
    return instance.__dict__[self.attrname]

"""A property that is computed when it is first asked for, and then kept.

`functools.cached_property` without its lock, which Python 3.11 shares between all objects of a class: two threads that score
two evaluations would wait for each other while one of them reads files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

Value = TypeVar("Value")


class computed_once(Generic[Value]):  # noqa: N801 - used like `property`
    """Decorates a method without arguments.

    >>> class Square:
    ...     side = 3
    ...     @computed_once
    ...     def area(self) -> int:
    ...         print("computed")
    ...         return self.side**2
    >>> square = Square()
    >>> square.area + square.area
    computed
    18
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...

    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        # Found there from now on, before this descriptor is asked: it has no __set__.
        value = instance.__dict__[self._name] = self._compute(instance)
        return value

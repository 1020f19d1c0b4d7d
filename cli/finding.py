"""A finding of `vaeval doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vaeval_core.errors import VaevalError

Verdict = Literal["ok", "warn", "fail"]
"""`warn`: works, or might, but somebody should look. `fail`: an evaluation would not get through."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a check found."""

    name: str
    verdict: Verdict
    finding: str
    next_step: str | None = None

    @classmethod
    def failed(cls, name: str, error: VaevalError) -> Check:
        """An error that a check ran into, as its finding."""
        received = f" Received: {error.received}." if error.received else ""
        return cls(name=name, verdict="fail", finding=error.what + received, next_step=error.next_step)

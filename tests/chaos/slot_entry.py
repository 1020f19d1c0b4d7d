"""A slot as the chaos suite starts it: the real one, with named points in its pool process where a schedule may strike.

The points exist in no other process: production code knows nothing of them. They are looked up in the folder that CHAOS_ORDERS
names. A file there, called like a point, is an order for whoever comes to it first, and says what is to happen:

    kill          kill -9 of this process              stop         SIGSTOP of this process, until somebody sends SIGCONT
    kill parent   kill -9 of the slot above it         disk full    the file does not fit
    hold          stays there, heart beating, until somebody removes the file `POINT.held` that it makes

Points are `before NAME` and `after NAME` for every call to the database and the artifacts, such as `after write_arrays`, which
is between the rename of a shard's file and its row, and `within write_arrays`, which is before the rename.
An order is left for the next where it would strike the last attempt at some work. Whom it strikes goes into the file `struck`
beside the folder, a line each. CHAOS_SECONDS is how long a shard takes, without using the processor.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scheduler.composition import Application
from scheduler.settings import MAX_ATTEMPTS
from scheduler.store.base import CheckpointLocation, FinaliseClaim, ShardClaim
from tests.chaos.workload import POISON
from vaeval_core.checkpoints.base import VaeAdapter
from workers import shard_runner, slot
from workers.loaded_models import LoadedModels
from workers.tasks import SlotLoader


class Hand:
    """What this process holds.

    Attributes:
        worker: Its name, once it has asked for work.
        is_last: The work that it got last must not fail once more. A finalisation has one attempt less to spare, for it may
            come upon a damaged file.
    """

    worker = ""
    is_last = False

    @classmethod
    def take(cls, worker: str, claim: object) -> None:
        """Hold what was claimed."""
        cls.worker = worker
        if isinstance(claim, ShardClaim):
            cls.is_last = claim.attempt >= MAX_ATTEMPTS
        else:
            cls.is_last = isinstance(claim, FinaliseClaim) and claim.token >= MAX_ATTEMPTS - 1


def at(point: str) -> None:
    """Carry out the order for this point, if there is one: whoever removes the file has it."""
    order = Path(os.environ["CHAOS_ORDERS"], point)
    try:
        what = order.read_text(encoding="utf-8")
        if what != "hold" and Hand.is_last:
            return
        order.unlink()
    except FileNotFoundError:
        return
    if what != "hold":
        with order.parent.with_name("struck").open("a", encoding="utf-8") as struck:
            struck.write(f"{Hand.worker}\n")
    if what == "hold":
        held = order.with_name(f"{point}.held")
        held.touch()
        while held.exists():
            time.sleep(0.02)
        return
    if what == "disk full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if what == "kill parent":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGSTOP if what == "stop" else signal.SIGKILL)


class Pointed:
    """A port with a point before and after each call."""

    def __init__(self, port: object) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)

        def call(*arguments: Any, **named: Any) -> Any:
            at(f"before {name}")
            answer = method(*arguments, **named)
            if name in {"claim_shard", "claim_finalise"}:
                Hand.take(arguments[0], answer)
            at(f"after {name}")
            return answer

        return call


_ADAPTER, _MAKE_RUNNER = LoadedModels.adapter, shard_runner.make_runner


def adapter(models: LoadedModels, checkpoint: CheckpointLocation) -> VaeAdapter:
    """`LoadedModels.adapter` of models that take their time, and of which one kills."""
    time.sleep(float(os.environ.get("CHAOS_SECONDS", "0")))
    at("within a shard")
    if checkpoint.uri.endswith(POISON):
        os.kill(os.getpid(), signal.SIGKILL)
    return _ADAPTER(models, checkpoint)


def make_runner(application: Application, *more: Any) -> shard_runner.ShardRunner:
    """The real runner on ports with points."""
    pointed: dict[str, Any] = {"work": Pointed(application.work), "artifacts": Pointed(application.artifacts)}
    return _MAKE_RUNNER(dataclasses.replace(application, **pointed), *more)


_REPLACE = Path.replace


def replace(path: Path, target: Path) -> Path:
    """`Path.replace` with a point before it."""
    at("within write_arrays")
    return _REPLACE(path, target)


class ChaosLoader(SlotLoader):
    """Sets the points in parent and pool process; only the latter comes to any."""

    def on_worker_init(self) -> None:
        """As the real one."""
        super().on_worker_init()
        shard_runner.make_runner = make_runner
        LoadedModels.adapter = adapter  # type: ignore[assignment,method-assign]
        Path.replace = replace  # type: ignore[assignment,method-assign]


if __name__ == "__main__":
    slot.LOADER = "tests.chaos.slot_entry:ChaosLoader"
    raise SystemExit(slot.main(sys.argv[1], {int(core) for core in sys.argv[2:]}))

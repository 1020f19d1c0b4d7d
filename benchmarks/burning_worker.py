"""`python -m workers` whose shards take a given time of pure Python on top of their own: what scaling is measured with.

    BURN_SECONDS=0.1 python -m benchmarks.burning_worker --devices cpu --workers 2 --threads 1

The supervisor is the real one; its slots run this module again, told apart by their name.
"""

from __future__ import annotations

import os
import sys
import time

from scheduler.store.base import CheckpointLocation
from vaeval_core.checkpoints.base import VaeAdapter
from workers import slot, slot_process
from workers.__main__ import main
from workers.loaded_models import LoadedModels
from workers.tasks import SlotLoader

_ADAPTER = LoadedModels.adapter


def burning_adapter(models: LoadedModels, checkpoint: CheckpointLocation) -> VaeAdapter:
    """`LoadedModels.adapter`, after counting for a while."""
    end = time.process_time() + float(os.environ.get("BURN_SECONDS", "0"))
    while time.process_time() < end:
        pass
    return _ADAPTER(models, checkpoint)


class BurningLoader(SlotLoader):
    """The real one, with models that take their time."""

    def on_worker_init(self) -> None:
        """As the real one."""
        super().on_worker_init()
        LoadedModels.adapter = burning_adapter  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("slot"):
        slot.LOADER = "benchmarks.burning_worker:BurningLoader"  # type: ignore[attr-defined]
        raise SystemExit(slot.main(sys.argv[1]))
    slot_process.SLOT_PROGRAM = "benchmarks.burning_worker"
    raise SystemExit(main())

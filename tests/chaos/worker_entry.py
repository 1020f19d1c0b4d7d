"""`python -m workers` as the chaos suite starts it: its slots run `tests.chaos.slot_entry`."""

from __future__ import annotations

from workers import slot_process
from workers.__main__ import main

if __name__ == "__main__":
    slot_process.SLOT_PROGRAM = "tests.chaos.slot_entry"
    raise SystemExit(main())

"""A database that is brought to another revision under running programs: they stop and change nothing; on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scheduler.store.schema import head_revision
from tests.laws.stores import Stores
from vaeval_core.errors import SchemaMismatch

ASKS: dict[str, Callable[[Stores], object]] = {
    "claim a shard": lambda stores: stores.work.claim_shard("old"),
    "claim a finalisation": lambda stores: stores.work.claim_finalise("old"),
    "report": lambda stores: stores.work.report_worker("old", host="node", pid=7, device="cpu", threads=1, versions={}),
    "look after lost work": lambda stores: stores.recovery.hold_maintenance("old", 60.0),
}


@pytest.mark.parametrize("ask", ASKS)
def test_an_older_program_is_refused_with_the_way_on(stores: Stores, ask: str) -> None:
    stores.submit_one()
    if ask == "claim a finalisation":
        stores.compute_shards()
    before = {
        table: stores.query(f"SELECT * FROM {table}") for table in ("shards", "reference_sets", "workers", "leases")
    }
    stores.execute("UPDATE alembic_version SET version_num = '9999_newer'")
    try:
        with pytest.raises(SchemaMismatch) as caught:
            ASKS[ask](stores)
    finally:
        stores.execute(f"UPDATE alembic_version SET version_num = '{head_revision()}'")
    assert caught.value.received == "revision 9999_newer"
    assert caught.value.expected == f"revision {head_revision()}, as when it started"
    assert caught.value.next_step == "restart it, in the version of vaeval that changed the database"
    assert {table: stores.query(f"SELECT * FROM {table}") for table in before} == before


@pytest.mark.parametrize("ask", ASKS)
def test_a_program_of_the_same_revision_is_not(stores: Stores, ask: str) -> None:
    stores.submit_one()
    ASKS[ask](stores)

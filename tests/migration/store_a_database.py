"""Makes the files in `stored/`: a database as this revision of the program leaves it, with work in every state.

    python -m tests.migration.store_a_database

Run it once, before the next migration is written, and commit the two files that it writes: <revision>.sqlite.sql and
<revision>.postgresql.sql. They are never made again: what they hold is what people have.

    evaluation 1   finished with FID 12.5     evaluation 2   failed         evaluation 3   one shard running, one queued
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from sqlalchemy import URL

from scheduler.faults import Fault
from scheduler.store import schema
from scheduler.store.database import Database
from tests.laws.stores import Stores
from tests.postgresql_server import postgresql_program, running_postgresql

FOLDER = Path(__file__).parent / "stored"


def fill(database: Database) -> None:
    """Make the tables, and the three evaluations."""
    schema.upgrade(database)
    stores = Stores(database)
    versions = {"python": "3.11.0", "keras": "3.15.1"}
    stores.work.report_worker("slot0-7@node", host="node", pid=7, device="gpu 0 (H200)", threads=4, versions=versions)
    stores.submit_one("beta4/step-100")
    stores.finish_everything(fid=12.5)
    stores.submit_one("beta4/step-200")
    assert stores.work.fail_shard(stores.claim("slot0-7@node"), "The decoder gives no images.", fault=Fault.INPUT)
    stores.submit_one("beta4/step-300")
    stores.claim("slot0-7@node")
    stores.recovery.hold_maintenance("node:7", 60)


def sqlite_dump(folder: Path) -> str:
    """The filled SQLite database as SQL."""
    database = Database(f"sqlite:///{folder / 'stored.db'}")
    fill(database)
    database.dispose()
    with sqlite3.connect(folder / "stored.db") as connection:
        return "\n".join(connection.iterdump()) + "\n"


def postgresql_dump(server: URL) -> str:
    """The filled PostgreSQL database as SQL that any client can run: without commands of psql."""
    database = Database(server.render_as_string(hide_password=False))
    fill(database)
    database.dispose()
    command = [str(postgresql_program("pg_dump")), "--inserts", "--no-owner", "--no-privileges"]
    command += ["--host", str(server.query["host"]), "--username", str(server.username), str(server.database)]
    dumped = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=True)
    return "\n".join(line for line in dumped.stdout.splitlines() if not line.startswith("\\")) + "\n"


def main() -> None:
    """Write both files, unless this revision has them."""
    revision = schema.head_revision()
    with tempfile.TemporaryDirectory() as folder, running_postgresql() as server:
        for kind, text in (("sqlite", sqlite_dump(Path(folder))), ("postgresql", postgresql_dump(server))):
            with (FOLDER / f"{revision}.{kind}.sql").open("x", encoding="utf-8") as file:
                file.write(text)


if __name__ == "__main__":
    main()

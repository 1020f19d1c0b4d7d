"""The schema through time, on both databases: up, down, and what the tables in the program say."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

import migrations
from scheduler.store import schema
from scheduler.store.database import Database
from scheduler.store.tables import metadata
from tests.factories import score, stored_file
from tests.laws.stores import Stores
from vaeval_core.errors import SchemaMismatch

REVISIONS = sorted(path.stem for path in (Path(migrations.__file__).parent / "versions").glob("[0-9]*.py"))


def everything(database: Database) -> dict[str, Any]:
    """All that the database says about its tables and views, as text that can be compared."""

    def work(connection: Connection) -> dict[str, Any]:
        inspector = inspect(connection)
        found: dict[str, Any] = {
            name: _words(inspector.get_view_definition(name)) for name in inspector.get_view_names()
        }
        for name in inspector.get_table_names():
            if name == "alembic_version":
                continue
            found[name] = {
                "columns": sorted((c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(name)),
                "primary key": inspector.get_pk_constraint(name)["constrained_columns"],
                "unique": sorted((c["name"], c["column_names"]) for c in inspector.get_unique_constraints(name)),
                "foreign keys": sorted(
                    (c["name"], c["constrained_columns"], c["referred_table"]) for c in inspector.get_foreign_keys(name)
                ),
                "checks": sorted((c["name"], _words(c["sqltext"])) for c in inspector.get_check_constraints(name)),
                "indices": sorted(
                    (i["name"], i["column_names"], str(i.get("column_sorting"))) for i in inspector.get_indexes(name)
                ),
            }
        return found

    return database.read(work)


def _words(sql: str) -> str:
    return " ".join(sql.split())


def test_there_is_one_file_per_revision_and_it_is_called_like_it() -> None:
    assert REVISIONS[-1] == schema.head_revision()
    for name in REVISIONS:
        source = (Path(migrations.__file__).parent / "versions" / f"{name}.py").read_text(encoding="utf-8")
        assert re.search(rf'^revision = "{name}"$', source, re.MULTILINE)


class TestUpAndDown:
    def test_an_empty_database_comes_to_the_revision_of_the_program(self, empty_database: Database) -> None:
        assert schema.is_empty(empty_database)
        assert schema.current_revision(empty_database) is None
        schema.upgrade(empty_database)
        assert schema.current_revision(empty_database) == schema.head_revision()
        assert not schema.is_empty(empty_database)
        schema.require_current(empty_database)

    def test_upgrading_twice_changes_nothing(self, empty_database: Database) -> None:
        schema.upgrade(empty_database)
        before = everything(empty_database)
        schema.upgrade(empty_database)
        assert everything(empty_database) == before

    def test_down_and_up_again_gives_the_same_tables(self, empty_database: Database) -> None:
        schema.upgrade(empty_database)
        before = everything(empty_database)
        schema.downgrade(empty_database, "base")
        assert everything(empty_database) == {}
        assert schema.current_revision(empty_database) is None
        schema.upgrade(empty_database)
        assert everything(empty_database) == before

    def test_every_step_down_can_be_gone_up_again(self, empty_database: Database) -> None:
        schema.upgrade(empty_database)
        for revision in ["base", *REVISIONS][-2::-1]:
            schema.downgrade(empty_database, revision)
            assert schema.current_revision(empty_database) == (None if revision == "base" else revision)
        schema.upgrade(empty_database)
        schema.require_current(empty_database)

    def test_processes_that_start_together_make_the_tables_once(self, empty_database: Database) -> None:
        def upgrade(_: int) -> None:
            another = Database(empty_database.url)
            try:
                schema.upgrade(another)
            finally:
                another.dispose()

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(upgrade, range(4)))
        schema.require_current(empty_database)

    def test_an_upgrade_leaves_logging_alone(self, empty_database: Database) -> None:
        ours = logging.getLogger("vaeval.test")
        root = logging.getLogger()
        before = (root.level, list(root.handlers), ours.disabled)
        schema.upgrade(empty_database)
        assert (root.level, list(root.handlers), ours.disabled) == before


class TestRowsOfAnOlderProgram:
    def test_an_evaluation_from_before_influences_were_kept_stays_readable(self, database: Database) -> None:
        stores = Stores(database)
        stores.submit_one()
        stores.make_reference()
        stores.compute_shards()
        given = score("fid", 12.25, std_error=0.5, bias=1.5)
        files = stored_file("pictures"), stored_file("influence")
        assert stores.work.finish_evaluation(stores.claim_finalise(), [given], *files)
        schema.downgrade(database, "0001_initial")  # where there was no place for either
        schema.upgrade(database)
        record = stores.reads.evaluation(1)
        assert record.scores == (score("fid", 12.25, std_error=0.5),)
        assert (record.pictures, record.influence) == (files[0], None)
        (row,) = stores.reads.leaderboard()
        assert (row["fid"], row["fid_std_error"], row["fid_bias"]) == (12.25, 0.5, None)


class TestAgainstTheTablesOfTheProgram:
    def test_alembic_finds_no_difference(self, database: Database) -> None:
        options = {"compare_type": True, "compare_server_default": True}
        found = database.read(lambda c: compare_metadata(MigrationContext.configure(c, opts=options), metadata))
        assert found == []

    def test_tables_made_from_the_program_would_be_the_same_to_the_last_check(self, empty_database: Database) -> None:
        """Alembic compares neither CHECK constraints nor the order in an index."""
        empty_database.write(metadata.create_all)
        from_program = everything(empty_database)
        empty_database.write(metadata.drop_all)
        schema.upgrade(empty_database)
        migrated = everything(empty_database)
        assert migrated.pop("leaderboard")
        assert migrated.pop("scores_long")
        assert migrated == from_program


class TestAnotherRevision:
    def test_a_database_without_tables_is_refused_with_the_command_that_makes_them(
        self, empty_database: Database
    ) -> None:
        with pytest.raises(SchemaMismatch) as caught:
            schema.require_current(empty_database)
        assert "no tables of vaeval yet" in caught.value.what
        assert caught.value.next_step == "vaeval db upgrade"
        assert caught.value.expected == f"revision {schema.head_revision()}"

    def test_a_database_of_a_newer_program_is_refused_and_left_alone(self, database_url: str) -> None:
        database = Database(database_url)
        database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999_future'")))
        before = everything(database)
        for refused in (schema.require_current, schema.upgrade):
            with pytest.raises(SchemaMismatch) as caught:
                refused(database)
            assert "newer program" in caught.value.what
            assert "9999_future" in str(caught.value.received)
            assert schema.head_revision() in str(caught.value.expected)
        assert everything(database) == before
        database.dispose()

    def test_a_database_of_another_program_is_refused_and_left_alone(self, empty_database: Database) -> None:
        empty_database.write(lambda c: c.execute(text("CREATE TABLE invoices (id INTEGER PRIMARY KEY)")))
        with pytest.raises(SchemaMismatch) as caught:
            schema.upgrade(empty_database)
        assert "another program" in caught.value.what
        assert list(everything(empty_database)) == ["invoices"]

    def test_there_is_no_way_to_a_revision_that_does_not_exist(self, database: Database) -> None:
        with pytest.raises(SchemaMismatch) as caught:
            schema.downgrade(database, "0000_nowhere")
        assert "0000_nowhere" in str(caught.value.received)
        assert REVISIONS[0] in str(caught.value.expected)
        schema.require_current(database)


def test_a_question_about_a_missing_file_does_not_make_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'missing.db'}")
    assert schema.current_revision(database) is None
    assert schema.is_empty(database)
    with pytest.raises(SchemaMismatch):
        schema.require_current(database)
    assert not (tmp_path / "missing.db").exists()
    database.dispose()

"""Opening the application: a new SQLite file is made ready, everything else must be ready."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from scheduler.composition import open_application
from scheduler.settings import Settings
from scheduler.store import schema
from scheduler.store.database import Database
from tests.factories import evaluation_request, stored_file
from vaeval_core.errors import SchemaMismatch, ServiceUnreachable, StorageFailed


def settings_in(folder: Path, **variables: str) -> Settings:
    return Settings.from_environment({"VAEVAL_HOME": str(folder), **variables})


def test_the_embedded_default_needs_no_setting_up(tmp_path: Path) -> None:
    with open_application(settings_in(tmp_path / "new" / "home")) as application:
        assert schema.current_revision(application.database) == schema.head_revision()
        assert application.submissions.submit([evaluation_request()]).new_shards == 4
        claim = application.work.claim_shard("worker-1")
        assert claim is not None
        assert application.work.finish_shard(claim, stored_file("a"), 1.0)
        assert application.reads.progress().images_done == 32
        assert application.recovery.claimable() == 3
        assert not application.artifacts.exists("a")


def test_what_was_submitted_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with open_application(settings_in(tmp_path)) as application:
        application.submissions.submit([evaluation_request()])
    with open_application(settings_in(tmp_path)) as application:
        assert len(application.reads.evaluations()) == 1


def test_an_empty_file_counts_as_new(tmp_path: Path) -> None:
    (tmp_path / "vaeval.db").touch()
    with open_application(settings_in(tmp_path)) as application:
        assert application.reads.evaluations() == ()


def test_a_file_of_another_revision_is_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with open_application(settings) as application:
        application.database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999_future'")))
    with pytest.raises(SchemaMismatch) as caught:
        open_application(settings)
    assert "9999_future" in str(caught.value.received)
    assert schema.head_revision() in str(caught.value.expected)


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed) as caught:
        open_application(settings_in(tmp_path / "file" / "home"))
    assert str(tmp_path / "file" / "home") in str(caught.value.received)
    assert "VAEVAL_HOME" in str(caught.value.next_step)


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://kim:S3CRET@/vaeval?host={tmp_path}"
    with pytest.raises(ServiceUnreachable) as caught:
        open_application(settings_in(tmp_path, VAEVAL_DATABASE_URL=url))
    assert "kim:***@" in str(caught.value.received)
    assert "S3CRET" not in str(caught.value)


@pytest.mark.service
def test_the_tables_of_a_server_are_not_made_by_opening_it(tmp_path: Path, empty_postgresql_url: str) -> None:
    settings = settings_in(tmp_path, VAEVAL_DATABASE_URL=empty_postgresql_url)
    with pytest.raises(SchemaMismatch) as caught:
        open_application(settings)
    assert caught.value.next_step == "vaeval db upgrade"
    database = Database(settings.database_url)
    assert schema.is_empty(database)
    schema.upgrade(database)
    database.dispose()
    with open_application(settings) as application:
        assert application.reads.evaluations() == ()

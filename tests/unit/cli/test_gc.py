"""`vaeval gc`: lists, and removes only when told to."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Outcome

Vaeval = Callable[..., Outcome]


@pytest.fixture
def orphan(home: Path, finished: Outcome) -> Path:
    """A shard file of a claim that was lost, two days ago."""
    file = home / "artifacts" / "evaluations" / "1" / "shards" / "0-99.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * 1500)
    two_days_ago = time.time() - 2 * 86_400
    os.utime(file, (two_days_ago, two_days_ago))
    return file


def test_finished_evaluations_leave_nothing_behind(vaeval: Vaeval, finished: Outcome) -> None:
    outcome = vaeval("gc", "--older-than", "0")
    assert (outcome.exit_code, outcome.out) == (0, "")
    assert "No file older than 0 h that nobody needs." in outcome.err


def test_what_is_left_behind_is_listed_and_stays(vaeval: Vaeval, orphan: Path) -> None:
    outcome = vaeval("gc")
    assert outcome.out.splitlines()[1].split() == ["evaluations/1/shards/0-99.safetensors", "1.5", "kB", "2", "d"]
    assert "1 file that nobody needs, 1.5 kB. Next: vaeval gc --delete" in outcome.err
    assert orphan.exists()


def test_it_is_removed_when_told_to_and_nothing_else_is(vaeval: Vaeval, home: Path, orphan: Path) -> None:
    before = {path for path in (home / "artifacts").rglob("*") if path.is_file()}
    outcome = vaeval("gc", "--delete", "--json")
    assert outcome.document["schema"] == "vaeval.gc/1"
    assert (outcome.document["deleted"], outcome.document["bytes"]) == (True, 1500)
    assert [file["key"] for file in outcome.document["files"]] == ["evaluations/1/shards/0-99.safetensors"]
    assert {path for path in (home / "artifacts").rglob("*") if path.is_file()} == before - {orphan}
    assert vaeval("show", 1, "--pictures", home / "drawn").exit_code == 0


def test_younger_files_can_be_left_alone(vaeval: Vaeval, orphan: Path) -> None:
    assert vaeval("gc", "--older-than", "72", "--json").document["files"] == []


def test_another_database_removes_nothing(
    vaeval: Vaeval, home: Path, orphan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAEVAL_DATABASE_URL", f"sqlite:///{home / 'another.db'}")
    outcome = vaeval("gc", "--delete", "--older-than", "0")
    assert outcome.exit_code == 2
    assert "No file was removed" in outcome.err
    assert "VAEVAL_DATABASE_URL" in outcome.err
    assert orphan.exists()


def test_history_of_long_ago_is_told_and_removed_when_told_to(vaeval: Vaeval, home: Path, finished: Outcome) -> None:
    with sqlite3.connect(home / "vaeval.db") as database:
        database.execute("UPDATE events SET at = '2020-01-01 00:00:00.000000'")
    database.close()
    told = vaeval("gc").err
    assert re.search(r"\d+ lines of the journal and 0 workers older than 90 days\. Next: vaeval gc --delete", told)
    board = vaeval("leaderboard").out
    assert vaeval("gc", "--history", "4000").err.count("journal") == 0
    assert re.search(r"Removed \d+ lines of the journal", vaeval("gc", "--delete").err)
    assert vaeval("gc", "--json").document["history"] == {"lines": 0, "workers": 0}
    assert vaeval("leaderboard").out == board

"""Stamps: what makes a file count as another one."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from vaeval_core.file_stamps import SETTLED_NANOSECONDS, FileStamp

STATUS: dict[str, Any] = {"st_size": 5, "st_mtime_ns": 10, "st_ctime_ns": 20, "st_ino": 7, "st_dev": 3}


def stamp(**changes: int) -> FileStamp | None:
    return FileStamp.from_status(cast("os.stat_result", SimpleNamespace(**STATUS | changes)))


@pytest.mark.parametrize("what", STATUS)
def test_each_part_tells_files_apart(what: str) -> None:
    assert stamp(**{what: 99}) != stamp()


def test_a_file_system_without_times_of_change_is_not_trusted() -> None:
    assert stamp(st_ctime_ns=0) is None


def test_a_file_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert FileStamp.of(tmp_path / "gone") is None


def test_a_file_is_settled_two_seconds_after_its_last_change_whichever_kind_it_was() -> None:
    found = stamp()
    assert found is not None
    assert not found.is_settled(20 + SETTLED_NANOSECONDS)
    assert found.is_settled(21 + SETTLED_NANOSECONDS)

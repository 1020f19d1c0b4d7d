"""Stores on both databases: every law is tested on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from scheduler.store.database import Database
from tests.laws.stores import Stores


@pytest.fixture
def stores(database: Database) -> Stores:
    return Stores(database)

"""What every test stands on: no VAEVAL_* variable of the developer's shell reaches a test."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("VAEVAL_") and not name.startswith("VAEVAL_TEST_"):
            monkeypatch.delenv(name)

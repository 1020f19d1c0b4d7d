"""Comparisons with programs of others: each in a process of its own, as a benchmark, and only where these are installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def parity(module: str, packages: Sequence[str]) -> str:
    """What the benchmark prints; fails if it found a difference beyond its bar, and skips without one of the packages."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    ended = subprocess.run(
        [sys.executable, "-m", module],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout

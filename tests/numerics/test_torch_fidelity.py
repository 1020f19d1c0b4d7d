"""`inception-v3-fid` against torch-fidelity, with one file of weights in both; skipped where that is not installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.backend
@pytest.mark.tensorflow
@pytest.mark.timeout(600)
def test_features_and_logits_are_those_of_torch_fidelity() -> None:
    for package in ("torch", "torch_fidelity"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.parity_torch_fidelity"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    # 1 if a difference is beyond 2e-5 of the largest value.
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("×") == 3

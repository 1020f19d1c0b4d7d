"""`inception-v3-fid` against torch-fidelity, with one file of weights in both; skipped where that is not installed."""

from __future__ import annotations

import pytest

from tests.numerics.parity import parity


@pytest.mark.backend
@pytest.mark.tensorflow
@pytest.mark.timeout(600)
def test_features_and_logits_are_those_of_torch_fidelity() -> None:
    """Within 2e-5 of the largest value."""
    assert parity("benchmarks.parity_torch_fidelity", ("torch", "torch_fidelity")).count("×") == 3

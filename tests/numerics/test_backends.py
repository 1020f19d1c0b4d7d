"""The extractors on Keras's three backends: one program, one set of features.

Each backend runs in a process of its own, for Keras chooses when it is imported. JAX and PyTorch are extras; where they
are not installed their tests are skipped.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaeval_core.types import Float32

pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]

PROJECT = Path(__file__).parents[2]

TOLERANCE = 1e-4
"""Largest difference of a feature, as a share of the largest feature."""

PROGRAM = """
import sys
from pathlib import Path

import keras
import numpy as np

from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.features.inception_v3 import build_network, scale_to_graph_range
from vaeval_core.features.network_extractor import NetworkExtractor
from vaeval_core.features.random_weights import random_weights

backend, folder = sys.argv[1], Path(sys.argv[2])
assert keras.backend.backend() == backend, keras.backend.backend()
images = np.load(folder / "images.npy")
network = build_network(random_weights())
for resize in ("tf1-bilinear", "clean", "half-pixel"):
    spec = resolve_extractor("inception-v3-random", weights=None, weights_folder=folder, resize=resize)
    extractor = NetworkExtractor(spec, network, scale_to_graph_range, batch=len(images))
    np.save(folder / f"{backend}-{resize}.npy", extractor.extract(images))
    if resize == "tf1-bilinear":
        alone = NetworkExtractor(spec, network, scale_to_graph_range, batch=len(images)).extract(images[1:2])
        np.save(folder / f"{backend}-alone.npy", alone)
        np.save(folder / f"{backend}-backwards.npy", extractor.extract(images[::-1]))
"""


def run_backend(backend: str, folder: Path) -> dict[str, Float32]:
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend, str(folder)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return {path.stem.removeprefix(f"{backend}-"): np.load(path) for path in folder.glob(f"{backend}-*.npy")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backends")
    images = np.random.default_rng(5).integers(0, 256, (4, 40, 56, 3), dtype=np.uint8)
    images[2], images[3, 20:] = images[2] // 4, 255
    np.save(folder / "images.npy", images)
    return folder


@pytest.fixture(scope="module")
def on_tensorflow(folder: Path) -> dict[str, Float32]:
    return run_backend("tensorflow", folder)


@pytest.fixture
def installed(backend: str) -> str:
    """The backend; skips before anything is computed for nothing."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    return backend


@pytest.mark.backend
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_features_are_those_of_tensorflow(installed: str, folder: Path, request: pytest.FixtureRequest) -> None:
    features = run_backend(installed, folder)
    on_tensorflow = request.getfixturevalue("on_tensorflow")
    taken = {"tf1-bilinear", "clean", "half-pixel", "alone", "backwards"}
    assert features.keys() == on_tensorflow.keys() == taken
    for resize, expected in on_tensorflow.items():
        atol = TOLERANCE * float(np.abs(expected).max())
        np.testing.assert_allclose(features[resize], expected, rtol=0, atol=atol, err_msg=resize)
    np.testing.assert_array_equal(features["alone"], features["tf1-bilinear"][1:2])
    np.testing.assert_array_equal(features["backwards"], features["tf1-bilinear"][::-1])

"""Weight files as Keras 2 and TensorFlow wrote them, for the tests beside this file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from tests.inception_tensors import GRAPH, SMALL_SHAPES, graph_bytes, published_as, small_tensors
from vaeval_core.features import converted_weights, fid_weights
from vaeval_core.features.inception_v3_architecture import kernel_shapes

Layers = dict[str, list[tuple[str, tuple[int, ...]]]]
"""Layer name → (weight name, shape) of its weights."""


@pytest.fixture
def keras_layers() -> Layers:
    """The layers of keras.applications.InceptionV3 without its top, named and shaped as in the published file."""
    return _keras_layers()


def _keras_layers() -> Layers:
    layers: Layers = {"input_1": []}
    for number, kernel in enumerate(kernel_shapes().values(), start=1):
        convolution, normalisation = f"conv2d_{number}", f"batch_normalization_{number}"
        layers[convolution] = [(f"{convolution}/kernel:0", kernel)]
        layers[normalisation] = [
            (f"{normalisation}/{name}:0", kernel[-1:]) for name in ("beta", "moving_mean", "moving_variance")
        ]
        layers[f"activation_{number}"] = []
    return layers


@pytest.fixture
def write_layers(tmp_path: Path) -> Callable[[Layers], Path]:
    """Writes Keras 2's HDF5 format."""
    return lambda layers: _write_layers(tmp_path / "given.h5", layers)


def _write_layers(path: Path, layers: Layers) -> Path:
    """Data sets are declared and never filled, so that the file stays small."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.0.8"
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name, _ in weights]
            for name, shape in weights:
                group.create_dataset(name, shape, "f4")
    return path


@pytest.fixture(scope="session")
def _keras_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_layers(tmp_path_factory.mktemp("keras") / "whole.h5", _keras_layers())


@pytest.fixture
def keras_weights_path(_keras_weights: Path, tmp_path: Path) -> Path:
    """A file that has the right structure; of this test alone."""
    return Path(shutil.copy(_keras_weights, tmp_path / "given.h5"))


@pytest.fixture(scope="session")
def graph_content() -> bytes:
    """A graph file with random weights, of a network that has only the `SMALL_SHAPES`."""
    return graph_bytes(small_tensors())


@pytest.fixture(scope="session")
def graph_path(graph_content: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on disk; not to be written to."""
    path = tmp_path_factory.mktemp("published") / GRAPH
    path.write_bytes(graph_content)
    return path


NOWHERE = "http://127.0.0.1:9"
"""Port 9 is `discard`: nobody listens."""


@pytest.fixture
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network has only the `SMALL_SHAPES`: quick, and enough for the ways that files take."""
    monkeypatch.setattr(converted_weights, "tensor_shapes", lambda: dict(SMALL_SHAPES))


@pytest.fixture
def _published(_small_network: None, graph_content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That graph is the published one; there is no way to it, and no cache of PyTorch."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fid_weights, "SOURCES", published_as(graph_content, NOWHERE))

"""Weight files as Keras 2 wrote them, for the tests beside this file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from vaeval_core.features.inception_v3_architecture import kernel_shapes

Layers = dict[str, list[tuple[str, tuple[int, ...]]]]
"""Layer name → (weight name, shape) of its weights."""


@pytest.fixture
def keras_layers() -> Layers:
    """The layers of keras.applications.InceptionV3 without its top, named and shaped as in the published file."""
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
    """Writes Keras 2's HDF5 format; data sets are declared and never filled, so that the file stays small."""

    def write(layers: Layers) -> Path:
        path = tmp_path / "given.h5"
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

    return write


@pytest.fixture
def keras_weights_path(keras_layers: Layers, write_layers: Callable[[Layers], Path]) -> Path:
    """A file that has the right structure."""
    return write_layers(keras_layers)

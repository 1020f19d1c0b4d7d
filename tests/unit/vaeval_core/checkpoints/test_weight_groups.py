"""Weights files: groups found, renamed, and never followed out of the file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.unit.vaeval_core.checkpoints.keras_files import an_encoder, functional, layer
from vaeval_core.checkpoints.keras_graph import read_graph
from vaeval_core.checkpoints.weight_groups import counted_names, weight_groups, write_selected
from vaeval_core.errors import CheckpointRejected

REBUILT = [("image", "InputLayer"), ("flatten", "Flatten"), ("z_log_var", "Dense"), ("z_mean", "Dense")]
"""The encoder of `keras_files` rebuilt with its two heads the other way round."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Weights of that encoder as it was saved: z_mean in `dense`, z_log_var in `dense_1`."""
    file = tmp_path / "source.weights.h5"
    with h5py.File(file, "w") as weights:
        weights["layers/dense/vars/0"] = np.float32([1])
        weights["layers/dense_1/vars/0"] = np.float32([2])
    return file


def selected(source: Path, group: str = "") -> dict[str, float]:
    destination = source.with_name("selected.weights.h5")
    write_selected(source, destination, read_graph(an_encoder(), "encoder"), [group], REBUILT)
    with h5py.File(destination) as weights:
        return {name: float(weights["layers"][name]["vars/0"][0]) for name in weights["layers"]}


def test_groups_get_the_names_of_the_rebuilt_order(source: Path) -> None:
    assert selected(source) == {"dense": 2.0, "dense_1": 1.0}


def test_recorded_names_decide_over_the_order_of_saving(source: Path) -> None:
    with h5py.File(source, "r+") as weights:
        weights["layers/dense/vars"].attrs["name"] = "z_log_var"
        weights["layers/dense_1/vars"].attrs["name"] = "z_mean"
    assert selected(source) == {"dense": 1.0, "dense_1": 2.0}


def test_a_model_inside_another_is_found_by_its_group_or_its_name(source: Path) -> None:
    with h5py.File(source, "r+") as weights:
        weights.copy("layers", weights.create_group("encoder"), name="layers")
        weights["_hidden/layers/dense/vars/0"] = np.float32([3])
        weights["layers/dense/vars/0"][...] = 9
    assert selected(source, "encoder") == {"dense": 2.0, "dense_1": 1.0}
    with h5py.File(source, "r+") as weights:
        weights.create_group("_hidden/vars").attrs["name"] = "encoder"
    assert selected(source, "encoder") == {"dense_1": 3.0}


def test_a_model_that_is_not_there_is_named(source: Path) -> None:
    with pytest.raises(CheckpointRejected, match="weights of the model encoder are not where") as caught:
        selected(source, "decoder")
    assert "layers/dense, layers/dense_1" in str(caught.value.received)
    assert caught.value.expected == "decoder"


@pytest.mark.parametrize("kind", ["soft link", "external link", "external storage", "virtual"])
def test_data_outside_the_file_is_never_read(source: Path, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as other:
        other["data"] = np.float32([42])
    with h5py.File(source, "r+") as weights:
        variables = weights["layers/dense/vars"]
        if kind == "soft link":
            variables["1"] = h5py.SoftLink("/layers/dense_1/vars/0")
        elif kind == "external link":
            variables["1"] = h5py.ExternalLink(str(secret), "data")
        elif kind == "external storage":
            variables.create_dataset("1", (4,), "u1", external=[(str(secret), 0, 4)])
        else:
            layout = h5py.VirtualLayout((1,), "f4")
            layout[:] = h5py.VirtualSource(str(secret), "data", (1,))
            variables.create_virtual_dataset("1", layout)
    with pytest.raises(CheckpointRejected, match="refers to data outside itself") as caught:
        selected(source)
    assert "layers/dense/vars/1" in str(caught.value.received)


def test_operations_take_no_part_in_the_count() -> None:
    layers = [
        layer("InputLayer", "in", batch_shape=[None, 4]),
        layer("Add", "op", [("in", (4,)), ("in", (4,))], module="keras.src.ops.numpy"),
        layer("Add", "layer", [("op", (4,)), ("in", (4,))]),
    ]
    graph = read_graph(functional("net", layers, ["layer", 0, 0]), "net")
    assert weight_groups(graph) == {"in": "input_layer", "layer": "add"}


@pytest.mark.tensorflow
def test_groups_are_called_as_keras_calls_them() -> None:
    from keras import layers
    from keras.src.utils.naming import to_snake_case

    classes = sorted(name for name in dir(layers) if name[0].isupper())
    assert len(classes) > 100
    assert counted_names((name, name) for name in classes) == {name: to_snake_case(name) for name in classes}

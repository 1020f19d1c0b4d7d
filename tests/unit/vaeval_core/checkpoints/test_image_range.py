"""Ranges read off the ends of networks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.vaeval_core.checkpoints.keras_files import functional, layer
from vaeval_core.checkpoints.image_range import encoder_range, ending_of
from vaeval_core.checkpoints.keras_graph import ModelGraph, read_graph

OPS = "keras.src.ops.numpy"


def chain(*layers: tuple[str, dict[str, Any]]) -> ModelGraph:
    """A model whose layers follow each other."""
    entries, previous = [layer("InputLayer", "in", batch_shape=[None, 4])], "in"
    for place, (class_name, settings) in enumerate(layers):
        entries.append(layer(class_name, f"layer{place}", [(previous, (4,))], **settings))
        previous = f"layer{place}"
    return read_graph(functional("net", entries, [previous, 0, 0]), "net")


DENSE = ("Dense", {"units": 4, "activation": "sigmoid"})


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([DENSE], (0.0, 1.0)),
        ([("Dense", {"units": 4, "activation": "tanh"}), ("Reshape", {"target_shape": [2, 2]})], (-1.0, 1.0)),
        ([("Dense", {"units": 4}), ("Activation", {"activation": "tanh"}), ("Cropping2D", {})], (-1.0, 1.0)),
        ([("Dense", {"units": 4, "activation": None}), ("Sigmoid", {"module": "keras.src.ops.nn"})], (0.0, 1.0)),
        ([DENSE, ("Rescaling", {"scale": 255, "offset": 0.0})], (0.0, 255.0)),
        ([DENSE, ("Rescaling", {"scale": 2.0, "offset": -1}), ("Rescaling", {"scale": 10, "offset": 5})], (-5.0, 15.0)),
        ([("Dense", {"units": 4}), ("Clip", {"module": OPS, "x_min": -1, "x_max": 1})], (-1.0, 1.0)),
        ([DENSE, ("Dense", {"units": 4})], None),
        ([DENSE, ("Dropout", {}), ("Dense", {"units": 4, "activation": "relu"})], None),
        ([DENSE, ("BatchNormalization", {})], None),
        ([], None),
    ],
)
def test_the_range_of_an_output(layers: list[Any], expected: tuple[float, float] | None) -> None:
    graph = chain(*layers)
    assert ending_of(graph, graph.outputs[0]).image_range == expected


def test_a_model_inside_the_model_is_looked_into() -> None:
    inner = chain(DENSE).saved | {"name": "inner", "inbound_nodes": layer("x", "x", [("in", (4,))])["inbound_nodes"]}
    outer = functional("outer", [layer("InputLayer", "in", batch_shape=[None, 4]), inner], ["inner", 1, 0])
    graph = read_graph(outer, "outer")
    assert ending_of(graph, graph.outputs[0]).activation == "sigmoid"


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (1 / 255, 0.0, (0.0, 255.0)),
        (1 / 127.5, -1.0, (0.0, 255.0)),
        (2.0, -1.0, (0.0, 1.0)),
        (0.5, 0.5, (-1.0, 1.0)),
        (3.0, 0.0, None),
        ([0.2, 0.3, 0.4], 0.0, None),
    ],
)
def test_a_scaling_layer_asks_for_its_range(scale: Any, offset: float, expected: tuple[float, float] | None) -> None:
    graph = chain(("Rescaling", {"scale": scale, "offset": offset}), DENSE)
    assert encoder_range(graph, list(graph.outputs)) == expected


def test_a_scaling_layer_further_in_says_nothing() -> None:
    graph = chain(DENSE, ("Rescaling", {"scale": 1 / 255, "offset": 0.0}))
    assert encoder_range(graph, list(graph.outputs)) is None

"""`.keras` archives written by hand, without Keras: enough to be described, not to be run."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def layer(class_name: str, name: str, sources: Sequence[tuple[Any, ...]] = (), **settings: Any) -> dict[str, Any]:
    """A layer as Keras writes it; a source is (layer, shape) or (layer, shape, place)."""
    tensors = [
        {
            "class_name": "__keras_tensor__",
            "config": {"shape": [None, *source[1]], "keras_history": [source[0], 0, *(source[2:] or (0,))]},
        }
        for source in sources
    ]
    calls = [{"args": tensors if len(tensors) == 1 else [tensors], "kwargs": {}}] if tensors else []
    module = settings.pop("module", "keras.layers")
    return {
        "class_name": class_name,
        "module": module,
        "name": name,
        "config": {"name": name, **settings},
        "inbound_nodes": calls,
    }


def functional(name: str, layers: Sequence[dict[str, Any]], outputs: Any) -> dict[str, Any]:
    """A Functional model as Keras writes it."""
    config = {"name": name, "layers": list(layers), "input_layers": [layers[0]["name"], 0, 0], "output_layers": outputs}
    return {"class_name": "Functional", "module": "keras.src.models.functional", "config": config}


def archive(config: Any, **members: bytes | str) -> bytes:
    """The bytes of a `.keras` file; `members` replace or add by name, with __ for a dot."""
    content: dict[str, bytes | str] = {
        "metadata.json": json.dumps({"keras_version": "3.15.1"}),
        "config.json": json.dumps(config),
        "model.weights.h5": b"\x89HDF\r\n\x1a\n",
    }
    content |= {name.replace("__", "."): data for name, data in members.items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in content.items():
            if data:
                file.writestr(name, data)
    return stream.getvalue()


def an_encoder(size: int = 3, names: tuple[str, str] = ("z_mean", "z_log_var"), **spread: Any) -> dict[str, Any]:
    """8x8x1 to `size`, with a sampling layer of its author's own, as in the Keras example."""
    mean, log_variance = names
    return functional(
        "encoder",
        [
            layer("InputLayer", "image", batch_shape=[None, 8, 8, 1], dtype="float32"),
            layer("Flatten", "flatten", [("image", (8, 8, 1))]),
            layer("Dense", mean, [("flatten", (64,))], units=size, activation="linear"),
            layer("Dense", log_variance, [("flatten", (64,))], **({"units": size, "activation": "linear"} | spread)),
            layer("Sampling", "sampling", [(mean, (size,)), (log_variance, (size,))], module=None),
        ],
        [[mean, 0, 0], [log_variance, 0, 0], ["sampling", 0, 0]],
    )


def a_decoder(size: int = 3, activation: str = "sigmoid") -> dict[str, Any]:
    """`size` to 8x8x1."""
    return functional(
        "decoder",
        [
            layer("InputLayer", "latent", batch_shape=[None, size], dtype="float32"),
            layer("Dense", "pixels", [("latent", (size,))], units=64, activation=activation),
            layer("Reshape", "reshape", [("pixels", (64,))], target_shape=[8, 8, 1]),
        ],
        ["reshape", 0, 0],
    )


def replace_weights(file: Path, weights: bytes) -> None:
    """Put other bytes into the place of model.weights.h5."""
    with zipfile.ZipFile(file) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(file, "w") as target:
        for name, data in (members | {"model.weights.h5": weights}).items():
            target.writestr(name, data)

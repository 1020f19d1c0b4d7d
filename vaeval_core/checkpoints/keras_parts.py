"""Finds the encoder and the decoder in one or two `.keras` files.

Three forms are known:

- a pair, `encoder.keras` and `decoder.keras`;
- one model of the author's own class whose config holds both as `encoder` and `decoder`: the two are opened, the class
  around them is not;
- one Functional model with an encoder and a decoder as models inside it, and nothing of weight between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vaeval_core.checkpoints.keras_archive import SWEEPS_AT_ONCE, KerasArchive, parsed, read_keras_archive
from vaeval_core.checkpoints.keras_graph import Layer, ModelGraph, input_shape, is_model, read_graph
from vaeval_core.checkpoints.weight_groups import weight_groups
from vaeval_core.errors import CheckpointRejected

ENCODER_FILE = "encoder.keras"
DECODER_FILE = "decoder.keras"

_SAVE_BOTH = f'encoder.save("{ENCODER_FILE}"); decoder.save("{DECODER_FILE}"), both into one folder'


@dataclass(frozen=True)
class KerasPart:
    """A model and where its weights are.

    Attributes:
        graph: The model.
        archive: The `.keras` file that holds it.
        weight_groups: Where in model.weights.h5 its group may be; the first that exists counts. "" is the root.
    """

    graph: ModelGraph
    archive: Path
    weight_groups: tuple[str, ...]


@dataclass(frozen=True)
class KerasParts:
    """Encoder and decoder of one checkpoint.

    Attributes:
        encoder: Images to latents.
        decoder: Latents to images.
        notes: What was assumed in telling them apart.
    """

    encoder: KerasPart
    decoder: KerasPart
    notes: tuple[str, ...] = ()


def parts_of_pair(folder: Path) -> KerasParts:
    """Encoder and decoder of a folder that holds both files.

    Raises:
        CheckpointRejected: A file is no usable model.
    """
    parts = []
    for file_name in (ENCODER_FILE, DECODER_FILE):
        archive = read_keras_archive(folder / file_name)
        parts.append(KerasPart(_graph_of(archive.config, Path(file_name).stem), archive.path, ("",)))
    return KerasParts(parts[0], parts[1])


@lru_cache(maxsize=2 * SWEEPS_AT_ONCE)
def _graph_of(config: bytes, role: str) -> ModelGraph:
    """The graph of a config.json, once for all checkpoints of an architecture."""
    return read_graph(parsed(config), role)


def parts_of_whole(archive: KerasArchive) -> KerasParts:
    """Encoder and decoder inside one file.

    Raises:
        CheckpointRejected: It holds no two models, or something between them that would be left out.
    """
    config = archive.model["config"]
    encoder, decoder = config.get("encoder"), config.get("decoder")
    if is_model(encoder) and is_model(decoder):
        parts = [
            KerasPart(read_graph(saved, role), archive.path, (role, f"_{role}"))
            for role, saved in (("encoder", encoder), ("decoder", decoder))
        ]
        note = (
            f"The class {archive.model['class_name']} around encoder and decoder is not run: what it adds is left out."
        )
        return KerasParts(parts[0], parts[1], (note,))
    if is_model(archive.model):
        graph = read_graph(archive.model, "model")
        inner = [layer for layer in graph.layers.values() if layer.is_model]
        if len(inner) == 2:
            return _nested(archive.path, graph, inner)
        raise _not_two_models(archive.path, graph, inner)
    raise CheckpointRejected(
        "The file holds a model of its author's own class, and its config has no encoder and decoder of Keras.",
        received=f"{archive.path}: class {archive.model['class_name']} with keys {sorted(map(str, config))[:8]}",
        expected="`encoder` and `decoder` in the config, each a keras.Model(inputs, outputs) or keras.Sequential",
        next_step=_SAVE_BOTH,
    )


def missing_partner(present: Path, role: str) -> CheckpointRejected:
    """The error for an encoder without decoder, or the reverse."""
    partner = DECODER_FILE if role == "encoder" else ENCODER_FILE
    article = "an" if role == "encoder" else "a"
    return CheckpointRejected(
        f"The file is only {article} {role}: {partner} is missing beside it.",
        received=str(present),
        expected=f"{ENCODER_FILE} and {DECODER_FILE} in one folder",
        next_step=_SAVE_BOTH,
    )


def _nested(path: Path, graph: ModelGraph, inner: list[Layer]) -> KerasParts:
    encoder, decoder = inner
    if encoder.name not in graph.layers_before(decoder.name):
        encoder, decoder = decoder, encoder
    if encoder.name not in graph.layers_before(decoder.name):
        raise _not_two_models(path, graph, inner)
    notes = _check_around(path, graph, encoder, decoder)
    groups = weight_groups(graph)
    parts = [KerasPart(layer.as_graph(), path, (f"layers/{groups[layer.name]}",)) for layer in (encoder, decoder)]
    return KerasParts(parts[0], parts[1], notes)


def _check_around(path: Path, graph: ModelGraph, encoder: Layer, decoder: Layer) -> tuple[str, ...]:
    """Refuse layers around the two models that change images or latents and would be left out.

    A layer of the author's own between them is a sampling layer, one behind them computes the loss: both are known
    habits, neither changes mean images. Keras's own layers there are part of the model.
    """
    notes = []
    image_sources = _sources(encoder)
    if [graph.layers[source].class_name for source in image_sources] != ["InputLayer"]:
        raise _left_out(path, "before the encoder", image_sources)
    latent_sources = _sources(decoder)
    if latent_sources != [encoder.name]:
        between = [graph.layers[source] for source in latent_sources]
        if len(between) != 1 or not between[0].foreign or set(_sources(between[0])) != {encoder.name}:
            raise _left_out(path, "between encoder and decoder", latent_sources)
        notes.append(
            f"The layer {between[0].name} of class {between[0].foreign} between encoder and decoder is taken as "
            "the draw from the posterior and left out."
        )
    for layer in graph.layers.values():
        if decoder.name in _sources(layer):
            if not layer.foreign and len(_sources(layer)) == 1:
                raise _left_out(path, "behind the decoder", [layer.name])
            notes.append(f"The layer {layer.name} behind the decoder is taken as a part of the loss and left out.")
    return tuple(notes)


def _sources(layer: Layer) -> list[str]:
    """Names of the layers that feed a layer, without repeats."""
    return list(dict.fromkeys(tensor.layer for call in layer.calls for tensor in call))


def _left_out(path: Path, place: str, names: list[str]) -> CheckpointRejected:
    return CheckpointRejected(
        f"The model has layers {place} that belong to neither, so that evaluating the two alone would be wrong.",
        received=f"{path}: {', '.join(names)}",
        expected="an encoder that takes the model's input and a decoder that gives its output",
        next_step=f"move these layers into the encoder or the decoder, then {_SAVE_BOTH}",
    )


def _not_two_models(path: Path, graph: ModelGraph, inner: list[Layer]) -> CheckpointRejected:
    lone = _lone_role(graph)
    if lone:
        return missing_partner(path, lone)
    return CheckpointRejected(
        "The model cannot be told apart into an encoder and a decoder.",
        received=f"{path}: a {graph.class_name} model with {len(inner)} models inside"
        + (f" ({', '.join(layer.name for layer in inner)})" if inner else ""),
        expected="one encoder and one decoder inside it, the decoder behind the encoder",
        next_step=_SAVE_BOTH,
    )


def _lone_role(graph: ModelGraph) -> str | None:
    """`encoder` for images in and a vector out, `decoder` for the reverse; None if neither is plain."""
    inputs = graph.inputs(graph.outputs)
    taken = input_shape(inputs[0]) if inputs else None
    given = graph.shape_of(graph.outputs[0].tensor)
    if taken is None or given is None:
        return None
    ranks = (len(taken), len(given))
    return {(3, 1): "encoder", (2, 1): "encoder", (1, 3): "decoder", (1, 2): "decoder"}.get(ranks)

"""From two model graphs and a sidecar to a plan: everything that running a Keras VAE needs to know, without Keras.

keras_parts ─► graphs ─► input shape, output roles, ranges ─► KerasVaePlan ─► description (submit time)
vaeval.yaml ──────────────────────────────────────────────┘              └─► keras_adapter (worker)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vaeval_core.checkpoints.image_layout import image_shape_of, layout_of, require_decoder_fits
from vaeval_core.checkpoints.image_range import UNIT_RANGE, Ending, Range, encoder_range, ending_of
from vaeval_core.checkpoints.keras_archive import SWEEPS_AT_ONCE
from vaeval_core.checkpoints.keras_graph import Layer, ModelGraph, Output, input_shape
from vaeval_core.checkpoints.keras_parts import KerasPart, KerasParts
from vaeval_core.checkpoints.layer_shapes import Shape, size_of
from vaeval_core.checkpoints.output_roles import EncoderOutput, PosteriorPlan, plan_posterior, role_of
from vaeval_core.checkpoints.sidecar import SIDECAR_NAME, CheckpointSettings
from vaeval_core.errors import CheckpointRejected
from vaeval_core.likelihood import Likelihood
from vaeval_core.types import ImageShape


@dataclass(frozen=True, kw_only=True)
class KerasVaePlan:
    """How to run one checkpoint.

    Attributes:
        encoder: The encoder and its weights.
        decoder: The decoder and its weights.
        encoder_outputs: Outputs of the encoder to keep, mean first.
        decoder_output: The decoder's output to keep.
        posterior: How to read the kept outputs.
        image_shape: (height, width, channels).
        encoder_layout: Shape in which the encoder takes one image.
        latent_shape: Shape in which the decoder takes one latent.
        encoder_range: Black and white as the encoder sees them.
        decoder_range: Black and white as the decoder gives them, after the sigmoid if there is one to apply.
        is_logits: The decoder's output goes through a sigmoid.
        likelihood: What the sidecar declares, or None.
        notes: What was assumed.
    """

    encoder: KerasPart
    decoder: KerasPart
    encoder_outputs: tuple[Output, ...]
    decoder_output: Output
    posterior: PosteriorPlan
    image_shape: ImageShape
    encoder_layout: tuple[int, ...]
    latent_shape: tuple[int, ...]
    encoder_range: Range
    decoder_range: Range
    is_logits: bool
    likelihood: Likelihood | None
    notes: tuple[str, ...]


def plan_keras_vae(read_parts: Callable[[], KerasParts], settings: CheckpointSettings, path: Path) -> KerasVaePlan:
    """Make the plan, or say why there is none.

    Args:
        read_parts: Gives encoder and decoder.
        settings: The sidecar's content.
        path: The checkpoint, for messages.

    Raises:
        CheckpointRejected: The two are no VAE that can be evaluated.
    """
    try:
        return _plan(read_parts(), settings)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
        # config.json is a stranger's file: whatever is missing or of another type in it ends here.
        raise CheckpointRejected(
            "The model's config is not laid out as Keras 3 writes it.",
            received=f"{path}: {type(error).__name__}: {error}",
            expected="config.json of model.save('….keras') by Keras 3",
            next_step="save the model again with a current Keras 3",
        ) from error


def _plan(parts: KerasParts, settings: CheckpointSettings) -> KerasVaePlan:
    return _plan_of(parts.encoder.graph, parts.decoder.graph, settings)(parts)


@lru_cache(maxsize=SWEEPS_AT_ONCE)
def _plan_of(
    encoder: ModelGraph, decoder: ModelGraph, settings: CheckpointSettings
) -> Callable[[KerasParts], KerasVaePlan]:
    """The plan, but for whose weights it runs: once for all checkpoints of an architecture."""
    decoder_output = _image_output(decoder)
    latent_shape = _fixed_latent(_only_input(decoder, [decoder_output], "decoder"))
    posterior = plan_posterior(_encoder_outputs(encoder), latent_shape, settings.scale)
    kept = tuple(encoder.outputs[place] for place in posterior.places)
    taken = _shape_taken(_only_input(encoder, list(kept), "encoder"), "encoder")
    given = decoder.shape_of(decoder_output.tensor)
    image_shape, layout_notes = image_shape_of(taken, given, settings.image_shape)
    require_decoder_fits(given, image_shape)
    ending = ending_of(decoder, decoder_output)
    _require_not_sigmoid_twice(settings, ending)
    ranges, range_notes = _ranges(settings, ending, encoder_range(encoder, list(kept)))
    is_half = encoder.is_half_precision or decoder.is_half_precision
    half_note = ("The networks were trained in half precision and are evaluated in float32.",) if is_half else ()
    encoder_layout = layout_of(taken, image_shape) or image_shape

    def of_parts(parts: KerasParts) -> KerasVaePlan:
        return KerasVaePlan(
            encoder=parts.encoder,
            decoder=parts.decoder,
            encoder_outputs=kept,
            decoder_output=decoder_output,
            posterior=posterior,
            image_shape=image_shape,
            encoder_layout=encoder_layout,
            latent_shape=latent_shape,
            encoder_range=ranges[0],
            decoder_range=ranges[1],
            is_logits=settings.decoder_output == "logits",
            likelihood=settings.likelihood,
            notes=(*parts.notes, *posterior.notes, *layout_notes, *range_notes, *half_note),
        )

    return of_parts


def _encoder_outputs(graph: ModelGraph) -> list[EncoderOutput]:
    described = []
    for place, output in enumerate(graph.outputs):
        foreign = graph.foreign_source(output)
        described.append(
            EncoderOutput(
                place=place,
                name=output.key or graph.telling_name(output.tensor, lambda name: role_of(name) != "unknown"),
                shape=graph.shape_of(output.tensor),
                activation=None if foreign else ending_of(graph, output).activation,
                foreign=_described(foreign) if foreign else None,
            )
        )
    return described


def _image_output(graph: ModelGraph) -> Output:
    """The decoder's mean image: its only output, or the one called so."""
    named = [output for output in graph.outputs if role_of(output.key or output.tensor.layer) == "mean"]
    chosen = graph.outputs if len(graph.outputs) == 1 else named
    if len(chosen) != 1:
        raise CheckpointRejected(
            "The decoder has several outputs, and none is called its mean.",
            received=", ".join(output.key or output.tensor.layer for output in graph.outputs),
            expected="one output, the image",
            next_step="save the decoder as keras.Model(latents, image)",
        )
    foreign = graph.foreign_source(chosen[0])
    if foreign:
        raise CheckpointRejected(
            "The decoder cannot be opened without code of its author: a layer in it is none of Keras's own.",
            received=_described(foreign),
            expected="layers of Keras alone",
            next_step="write this layer with layers or keras.ops of Keras, then save the decoder again",
        )
    return chosen[0]


def _only_input(graph: ModelGraph, outputs: list[Output], role: str) -> Layer:
    inputs = graph.inputs(outputs)
    if len(inputs) != 1:
        raise CheckpointRejected(
            f"The {role} takes {len(inputs)} inputs: conditional models cannot be evaluated yet.",
            received=", ".join(layer.name for layer in inputs) or "no input",
            expected=f"one input, the {'image' if role == 'encoder' else 'latent'}",
            next_step="leave this checkpoint out, or save an encoder and a decoder that take one input",
        )
    return inputs[0]


def _shape_taken(layer: Layer, role: str) -> Shape:
    shape, dtype = input_shape(layer), layer.settings.get("dtype", "float32")
    if not shape:
        raise CheckpointRejected(
            f"The {role} was never built: the file does not say what it takes.",
            received=f"input {layer.name} without shape",
            expected="a model that begins with keras.Input(shape)",
            next_step="call the model once on real data, or begin it with keras.Input(shape), then save again",
        )
    if isinstance(dtype, str) and "float" not in dtype:
        raise CheckpointRejected(
            f"The {role} takes whole numbers, which would round images in [0, 1] to black.",
            received=f"input {layer.name} of dtype {dtype}",
            expected="float32",
            next_step='begin the model with keras.Input(shape, dtype="float32") and save again',
        )
    return shape


def _fixed_latent(layer: Layer) -> tuple[int, ...]:
    shape = _shape_taken(layer, "decoder")
    if size_of(shape) is None:
        raise CheckpointRejected(
            "The decoder leaves the latent size open, so that no prior can be drawn for it.",
            received=f"decoder input {shape}",
            expected="a fixed size, such as keras.Input((8, 8, 4))",
            next_step="build the decoder with the size that belongs to the images, copy the weights, save again",
        )
    return tuple(size for size in shape if size is not None)


def _require_not_sigmoid_twice(settings: CheckpointSettings, ending: Ending) -> None:
    if settings.decoder_output == "logits" and ending.image_range is not None:
        raise CheckpointRejected(
            f"{SIDECAR_NAME} calls the decoder's output logits, but the decoder ends in an activation.",
            received=f"decoder_output: logits with last activation {ending.activation or 'clip'}",
            expected="a decoder without last activation",
            next_step=f"take decoder_output out of {SIDECAR_NAME}",
        )


def _ranges(
    settings: CheckpointSettings, ending: Ending, own: Range | None
) -> tuple[tuple[Range, Range], tuple[str, ...]]:
    """Ranges of encoder and decoder, and what was assumed about them."""
    if settings.image_range is not None:
        return (settings.image_range, settings.image_range), (f"The image range is {SIDECAR_NAME}'s.",)
    if settings.decoder_output == "logits":
        given, notes = UNIT_RANGE, [f"The decoder's output goes through a sigmoid, as {SIDECAR_NAME} says."]
    elif ending.image_range is not None:
        given, notes = ending.image_range, []
    else:
        given = UNIT_RANGE
        unknown = "The decoder ends without sigmoid or tanh: its output is taken as images in [0, 1]. If not, write "
        notes = [f"{unknown}`image_range: [-1, 1]` or `decoder_output: logits` into {SIDECAR_NAME} beside it."]
    if own is not None and own != given:
        notes.append(f"The encoder scales its input itself: it gets images in [{own[0]:g}, {own[1]:g}].")
    return (own or given, given), tuple(notes)


def _described(layer: Layer) -> str:
    return f"layer '{layer.name}' of class {layer.foreign}"

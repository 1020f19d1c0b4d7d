"""What networks call black and white, found from how a decoder ends and how an encoder begins.

A sigmoid gives images in (0, 1), a tanh in (-1, 1). A network may also hold its own scaling: a Rescaling layer at the end
of a decoder or at the start of an encoder. Everything else is assumed to be (0, 1), and said so.
"""

from __future__ import annotations

from dataclasses import dataclass

from vaeval_core.checkpoints.keras_graph import Layer, ModelGraph, Output

Range = tuple[float, float]

UNIT_RANGE: Range = (0.0, 1.0)
SIGNED_RANGE: Range = (-1.0, 1.0)
BYTE_RANGE: Range = (0.0, 255.0)

_ACTIVATION_RANGES = {"hard_sigmoid": UNIT_RANGE, "sigmoid": UNIT_RANGE, "tanh": SIGNED_RANGE}
_ACTIVATION_CLASSES = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Exp": "exponential"}
# An Activation layer that does anything has been found before this set is asked.
_KEEP_VALUES = frozenset(["Activation", "Cropping2D", "Dropout", "Flatten", "Identity", "Permute", "Reshape"])


@dataclass(frozen=True)
class Ending:
    """How an output is made.

    Attributes:
        activation: The last activation, such as `sigmoid`; `linear` if there is none; None if it cannot be known.
        scale: Factor of Rescaling layers after it.
        offset: Offset of the same.
        clipped: Bounds of a last clip operation, or None.
    """

    activation: str | None
    scale: float = 1.0
    offset: float = 0.0
    clipped: Range | None = None

    @property
    def image_range(self) -> Range | None:
        """The range that follows; None if nothing tells."""
        base = self.clipped or _ACTIVATION_RANGES.get(self.activation or "")
        if base is None:
            return None
        ends = sorted(end * self.scale + self.offset for end in base)
        return (ends[0], ends[1])


def ending_of(graph: ModelGraph, output: Output) -> Ending:
    """Walk back from an output to the last thing that sets its values."""
    scale, offset = 1.0, 0.0
    tensor, inside = output.tensor, graph
    seen: set[int] = set()
    while True:
        layer = inside.layers[tensor.layer]
        if id(layer.saved) in seen:
            raise ValueError(f"layer {layer.name} feeds itself")
        seen.add(id(layer.saved))
        if layer.is_model:
            inside = layer.as_graph()
            tensor = inside.outputs[tensor.place].tensor
            continue
        clipped = _clip(layer)
        if clipped:
            return Ending(None, scale, offset, clipped)
        activation = activation_of(layer)
        if activation != "linear":
            return Ending(activation, scale, offset)
        sources = layer.calls[0] if len(layer.calls) == 1 else ()
        if len(sources) != 1:
            return Ending("linear", scale, offset)
        if layer.class_name == "Rescaling" and isinstance(layer.settings["scale"], int | float):
            # This layer comes before those already met: y = scale·(s·x + o) + offset.
            offset += scale * float(layer.settings["offset"])
            scale *= float(layer.settings["scale"])
        elif layer.class_name not in _KEEP_VALUES:
            return Ending("linear", scale, offset)
        tensor = sources[0]


def encoder_range(graph: ModelGraph, outputs: list[Output]) -> Range | None:
    """The input range that a Rescaling layer right behind the input asks for; None if there is no such layer.

    Of the three usual ranges the one that the layer maps to (0, 1) or (-1, 1): 1/255 can only mean bytes.
    """
    needed = [graph.layers[name] for name in graph.needed_layers(outputs)]
    if len(needed) < 2 or needed[1].class_name != "Rescaling":
        return None
    scale, offset = needed[1].settings["scale"], needed[1].settings["offset"]
    if not isinstance(scale, int | float) or not isinstance(offset, int | float):
        return None
    for candidate in (UNIT_RANGE, BYTE_RANGE, SIGNED_RANGE):
        ends = [end * scale + offset for end in candidate]
        for target in (UNIT_RANGE, SIGNED_RANGE):
            if all(abs(end - wanted) < 1e-2 for end, wanted in zip(ends, target, strict=True)):
                return candidate
    return None


def activation_of(layer: Layer) -> str | None:
    """Name of a layer's activation: `linear` if it has none, None if it is an object whose effect is unknown."""
    if layer.class_name in _ACTIVATION_CLASSES:
        return _ACTIVATION_CLASSES[layer.class_name]
    activation = layer.settings.get("activation", "linear")
    if activation is None:
        return "linear"
    if isinstance(activation, dict):
        activation = activation.get("config") if activation.get("class_name") == "function" else None
    return activation if isinstance(activation, str) else None


def _clip(layer: Layer) -> Range | None:
    if layer.class_name != "Clip":
        return None
    low, high = layer.settings.get("x_min"), layer.settings.get("x_max")
    return (float(low), float(high)) if isinstance(low, int | float) and isinstance(high, int | float) else None

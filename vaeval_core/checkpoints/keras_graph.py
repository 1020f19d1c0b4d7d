"""The graph of a saved Functional or Sequential model: layers, what feeds them, inputs and outputs.

Read from config.json alone. Both kinds come out as one `ModelGraph`, so that the rest of the package asks questions of a
graph (which layers does this output need? what shape has it?) and never looks at JSON again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vaeval_core.checkpoints.keras_objects import cleaned, foreign_class, is_from_keras, is_object, uses_half_precision
from vaeval_core.checkpoints.layer_shapes import Shape, output_shape
from vaeval_core.errors import CheckpointRejected

_PASS_VALUES_ON = frozenset(
    ["Activation", "ActivityRegularization", "Clip", "Dropout", "Flatten", "Identity", "Permute", "Reshape", "Squeeze"]
)
MODEL_CLASSES = frozenset(["Functional", "Model", "Sequential"])


@dataclass(frozen=True)
class Tensor:
    """One output of one call of a layer.

    Attributes:
        layer: Name of the layer.
        call: Which call of it, from 0.
        place: Which of the call's outputs, from 0.
        shape: Its shape as recorded where it is used; None if it was not.
    """

    layer: str
    call: int
    place: int
    shape: Shape | None = None


@dataclass(frozen=True)
class Layer:
    """A layer, nested model or operation.

    Attributes:
        name: Unique in its model.
        class_name: Keras class.
        settings: Its `config`.
        calls: For each call, the tensors that go in.
        saved: The object as it stands in the file.
        foreign: The class inside it that is not Keras's own, or None.
    """

    name: str
    class_name: str
    settings: Mapping[str, Any]
    calls: tuple[tuple[Tensor, ...], ...]
    saved: Mapping[str, Any]
    foreign: str | None

    @property
    def is_model(self) -> bool:
        """True for a model inside the model."""
        return is_model(self.saved)

    def as_graph(self) -> ModelGraph:
        """The graph of a model inside the model."""
        return read_graph(self.saved, self.name)


@dataclass(frozen=True)
class Output:
    """An output of a model.

    Attributes:
        tensor: What comes out.
        key: Its name where the model gives a dict, else None.
        saved: The reference as it stands in the file.
    """

    tensor: Tensor
    key: str | None
    saved: Any


@dataclass(frozen=True, eq=False)
class ModelGraph:
    """A model as a graph. Two are equal if they are one object, so that what is found out about one can be kept.

    Attributes:
        name: The model's name.
        class_name: `Functional` or `Sequential`.
        saved: The whole object.
        layers: By name, in saved order, which is the order of `model.layers`.
        outputs: In order.
    """

    name: str
    class_name: str
    saved: Mapping[str, Any]
    layers: Mapping[str, Layer]
    outputs: tuple[Output, ...]

    @cached_property
    def is_half_precision(self) -> bool:
        """True if any part of the model computes in half precision."""
        return uses_half_precision(self.saved)

    @cached_property
    def _tainted(self) -> dict[str, str]:
        """Layers that are foreign or get anything from a foreign one → the name of that one."""
        tainted = {name: name for name, layer in self.layers.items() if layer.foreign}
        found = bool(tainted)
        while found:
            found = False
            for name, layer in self.layers.items():
                sources = [tensor.layer for call in layer.calls for tensor in call]
                origin = next((tainted[source] for source in sources if source in tainted), None)
                if name not in tainted and origin:
                    tainted[name] = origin
                    found = True
        return tainted

    def foreign_source(self, output: Output) -> Layer | None:
        """The foreign layer that this output cannot do without, or None."""
        origin = self._tainted.get(output.tensor.layer)
        return None if origin is None else self.layers[origin]

    def needed_layers(self, outputs: Sequence[Output]) -> list[str]:
        """Names of the layers that the outputs depend on, in saved order."""
        needed: set[str] = set()
        for output in outputs:
            needed |= {output.tensor.layer, *self.layers_before(output.tensor.layer)}
        return [name for name in self.layers if name in needed]

    def layers_before(self, name: str) -> frozenset[str]:
        """Names of the layers that a layer depends on, itself left out."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            sources = {tensor.layer for call in self.layers[waiting.pop()].calls for tensor in call}
            waiting += sources - found
            found |= sources
        return frozenset(found)

    def inputs(self, outputs: Sequence[Output]) -> list[Layer]:
        """The input layers that the outputs depend on."""
        return [
            self.layers[name] for name in self.needed_layers(outputs) if self.layers[name].class_name == "InputLayer"
        ]

    def shape_of(self, tensor: Tensor) -> Shape | None:
        """Shape of a tensor without its batch axis: recorded, or computed from its layer; None if neither gives it."""
        if tensor.shape is not None:
            return tensor.shape
        for used in self._used_tensors():
            if (used.layer, used.call, used.place) == (tensor.layer, tensor.call, tensor.place):
                return used.shape
        layer = self.layers[tensor.layer]
        if layer.class_name == "InputLayer":
            return input_shape(layer)
        if layer.is_model:
            inner = layer.as_graph()
            return inner.shape_of(inner.outputs[tensor.place].tensor)
        if tensor.place or tensor.call >= len(layer.calls):
            return None
        return output_shape(
            layer.class_name, layer.settings, [self.shape_of(used) for used in layer.calls[tensor.call]]
        )

    def telling_name(self, tensor: Tensor, tells: Callable[[str], bool]) -> str:
        """The name of the tensor's layer, or of the nearest one before it that `tells` and only passes values on."""
        layer = self.layers[tensor.layer]
        if layer.is_model:
            inner = layer.as_graph()
            output = inner.outputs[tensor.place]
            found = output.key or inner.telling_name(output.tensor, tells)
            return found if tells(found) else layer.name
        passes_on = layer.class_name in _PASS_VALUES_ON and [len(call) for call in layer.calls] == [1]
        if tells(layer.name) or not passes_on:
            return layer.name
        found = self.telling_name(layer.calls[0][0], tells)
        return found if tells(found) else layer.name

    def reduced(self, outputs: Sequence[Output]) -> dict[str, Any]:
        """The saved object of a model with one input and these outputs, in this order, and only the layers they need."""
        if self.class_name == "Sequential":
            return dict(cleaned(self.saved))
        kept = self.needed_layers(outputs)
        config = {
            **self.saved["config"],
            "layers": [self.layers[name].saved for name in kept],
            "input_layers": [self.inputs(outputs)[0].name, 0, 0],
            "output_layers": [output.saved for output in outputs],
        }
        return dict(cleaned({**self.saved, "config": config}))

    def _used_tensors(self) -> Iterator[Tensor]:
        return (
            tensor
            for layer in self.layers.values()
            for call in layer.calls
            for tensor in call
            if tensor.shape is not None
        )


def is_model(saved: Any) -> bool:
    """True for the saved object of a Functional or Sequential model of Keras itself."""
    return is_object(saved) and saved["class_name"] in MODEL_CLASSES and is_from_keras(saved.get("module"))


def read_graph(saved: Mapping[str, Any], role: str) -> ModelGraph:
    """The graph of a saved model.

    Args:
        saved: Its object in config.json.
        role: What it is called in messages, such as `encoder`.

    Raises:
        CheckpointRejected: The model is of the author's own class.
        KeyError, TypeError, ValueError, IndexError: It is not laid out as Keras writes it; `keras_plan` says so.
    """
    if not is_model(saved):
        raise CheckpointRejected(
            f"The {role} is of a class of its author, which cannot be opened without his code.",
            received=f"class {saved.get('class_name')} of module {saved.get('module')}",
            expected="a model made with keras.Model(inputs, outputs) or keras.Sequential([...])",
            next_step=f"build the {role} with keras.Model(inputs, outputs) and save that",
        )
    read = _sequential if saved["class_name"] == "Sequential" else _functional
    return read(saved)


def input_shape(layer: Layer) -> Shape | None:
    """Shape that an InputLayer takes, without the batch axis."""
    return _without_batch(layer.settings.get("batch_shape", layer.settings.get("batch_input_shape")))


def _functional(saved: Mapping[str, Any]) -> ModelGraph:
    config = saved["config"]
    layers = {}
    for entry in config["layers"]:
        calls = tuple(tuple(_tensors_in(call)) for call in entry["inbound_nodes"])
        layers[str(entry["name"])] = _layer(entry, str(entry["name"]), calls)
    references = config["output_layers"]
    if isinstance(references, Mapping):
        keyed: list[tuple[str | None, Any]] = [(str(key), reference) for key, reference in references.items()]
    else:
        # A single output is its reference; several are a list of references.
        single = len(references) == 3 and isinstance(references[0], str)
        keyed = [(None, reference) for reference in ([references] if single else references)]
    outputs = []
    for key, (name, call, place) in keyed:
        # Keras counts the calls of a nested Functional model from 1 here, and from 0 everywhere else.
        offset = 1 if layers[name].is_model and layers[name].class_name != "Sequential" else 0
        outputs.append(Output(Tensor(name, call - offset, place), key, [name, call, place]))
    if not outputs:
        raise ValueError("a model without outputs")
    return ModelGraph(str(config["name"]), "Functional", saved, layers, tuple(outputs))


def _sequential(saved: Mapping[str, Any]) -> ModelGraph:
    config = saved["config"]
    shape = config.get("build_input_shape")
    entries = list(config["layers"])
    if not entries or entries[0]["class_name"] != "InputLayer":
        unwritten = {"name": "(input)", "batch_shape": shape, "dtype": "float32"}
        entries.insert(0, {"class_name": "InputLayer", "module": "keras.layers", "config": unwritten})
    layers: dict[str, Layer] = {}
    calls: tuple[tuple[Tensor, ...], ...] = ()
    for entry in entries:
        name = str(entry["config"]["name"])
        layers[name] = _layer(entry, name, calls)
        last = Tensor(name, 0, 0)
        calls = ((last,),)
    return ModelGraph(str(config["name"]), "Sequential", saved, layers, (Output(last, None, None),))


def _layer(entry: Mapping[str, Any], name: str, calls: tuple[tuple[Tensor, ...], ...]) -> Layer:
    return Layer(name, str(entry["class_name"]), entry["config"], calls, entry, foreign_class(entry))


def _tensors_in(node: Any) -> Iterator[Tensor]:
    """Tensors among the saved arguments of a call, in order."""
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__":
            layer, call, place = node["config"]["keras_history"]
            shape = _without_batch(node["config"]["shape"])
            if shape is None:
                raise ValueError(f"a tensor of {layer} without shape")
            yield Tensor(str(layer), int(call), int(place), shape)
            return
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _tensors_in(child)


def _without_batch(shape: Any) -> Shape | None:
    return None if shape is None else tuple(None if size is None else int(size) for size in shape[1:])

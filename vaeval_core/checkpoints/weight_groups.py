"""Where a model's weights lie in `model.weights.h5`, and how they get under the names that a rebuilt model looks for.

Keras names the groups of layers after their classes, counted in the order of `model.layers`: `layers/dense`,
`layers/dense_1`, … That order follows from the graph, so a model that has lost an output may count the same layers
differently, and two layers of one shape would swap their weights without an error. Newer files also record each layer's
own name; where they do, that decides, otherwise the order of the layers in config.json, which is the order of saving.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from vaeval_core.checkpoints.keras_graph import ModelGraph
from vaeval_core.errors import CheckpointRejected
from vaeval_core.hdf5_links import outside_data

_LAYERS = "layers"
_VARIABLES = "vars"


def weight_groups(graph: ModelGraph) -> dict[str, str]:
    """Layer name → name of its group, by the order of saving. Operations have no group and are left out."""
    layers = [
        (layer.name, layer.class_name)
        for layer in graph.layers.values()
        if not str(layer.saved.get("module")).startswith(("keras.ops", "keras.src.ops"))
    ]
    return counted_names(layers)


def counted_names(layers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Layer name → group name for pairs (name, class) in the order of `model.layers`.

    >>> counted_names([("a", "Dense"), ("b", "Conv2DTranspose"), ("c", "Dense")])
    {'a': 'dense', 'b': 'conv2d_transpose', 'c': 'dense_1'}
    """
    counts: dict[str, int] = {}
    names: dict[str, str] = {}
    for name, class_name in layers:
        base = _snake_case(class_name)
        counts[base] = counts.get(base, -1) + 1
        names[name] = f"{base}_{counts[base]}" if counts[base] else base
    return names


def write_selected(
    source: Path, destination: Path, graph: ModelGraph, candidates: Sequence[str], layers: Sequence[tuple[str, str]]
) -> None:
    """Copy one model's weights out of a weights file, under the group names that its rebuilt form looks for.

    Args:
        source: Extracted model.weights.h5.
        destination: New `.weights.h5` file.
        graph: The model as saved.
        candidates: Groups that may hold it, "" for the root.
        layers: (name, class) of the rebuilt model's layers, in its order.

    Raises:
        CheckpointRejected: The file links to other files, or does not hold the model.
        OSError: HDF5 cannot read the file, or cannot write.
    """
    import h5py

    with h5py.File(source, "r") as saved, h5py.File(destination, "w") as selected:
        _refuse_links(saved, source)
        group = _group_of_model(saved, graph, candidates, source)
        groups = _recorded_names(group) or weight_groups(graph)
        container = group.get(_LAYERS)
        target = selected.create_group(_LAYERS)
        for name, counted in counted_names(layers).items():
            place = groups.get(name)
            if place is not None and container is not None and place in container:
                container.copy(place, target, name=counted)


def _refuse_links(saved: Any, source: Path) -> None:
    """A link or external storage would read files outside the checkpoint."""
    found = outside_data(saved)
    if found is not None:
        raise CheckpointRejected(
            "The weights file refers to data outside itself.",
            received=f"{source.name}: {found}",
            expected="all weights inside the checkpoint",
            next_step="save the model again with Keras",
        )


def _group_of_model(saved: Any, graph: ModelGraph, candidates: Sequence[str], source: Path) -> Any:
    if "" in candidates:
        return saved
    places = [place for place in saved if place != _LAYERS]
    places += [f"{_LAYERS}/{place}" for place in saved.get(_LAYERS, ())]
    named = [place for place in places if _recorded_name(saved[place]) == graph.name]
    found = named if len(named) == 1 else [place for place in candidates if place in saved]
    if not found:
        raise CheckpointRejected(
            f"The weights of the model {graph.name} are not where its class should have put them.",
            received=f"groups {', '.join(places) or 'none'} in {source.name}",
            expected=" or ".join(candidates),
            next_step='encoder.save("encoder.keras"); decoder.save("decoder.keras"), both into one folder',
        )
    return saved[found[0]]


def _recorded_names(group: Any) -> dict[str, str]:
    """Layer name → group, as recorded; empty if any layer's name is not, or one comes twice."""
    names = [(_recorded_name(child), place) for place, child in group.get(_LAYERS, {}).items()]
    recorded = {name: place for name, place in names if name is not None}
    return recorded if len(recorded) == len(names) else {}


def _recorded_name(group: Any) -> str | None:
    variables = group.get(_VARIABLES) if hasattr(group, "get") else None
    name = None if variables is None else variables.attrs.get("name")
    return name if isinstance(name, str) else None


def _snake_case(class_name: str) -> str:
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()

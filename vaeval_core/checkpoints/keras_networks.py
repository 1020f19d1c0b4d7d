"""Builds networks from saved graphs, with Keras, and fills in their weights. No code from the file runs.

The graph is cut down to the outputs that are wanted before Keras sees it, `safe_mode` is on, and only classes of Keras
itself are left in it (see `keras_objects`).
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from vaeval_core.checkpoints.keras_archive import extract_weights
from vaeval_core.checkpoints.keras_graph import Output
from vaeval_core.checkpoints.keras_parts import KerasPart
from vaeval_core.checkpoints.weight_groups import write_selected
from vaeval_core.errors import CheckpointRejected, StorageFailed

# What Keras, h5py and NumPy raise about a bad file. Nothing else is caught: running out of memory, on the device or off
# it, is no fault of the checkpoint.
_FILE_FAULTS = (
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def open_network(part: KerasPart, outputs: Sequence[Output]) -> Any:
    """A built Keras model with the wanted outputs, in their order.

    Args:
        part: Model and place of its weights.
        outputs: Outputs to keep.

    Raises:
        CheckpointRejected: Keras cannot rebuild it, weights and layers do not fit, or weights are not finite.
        StorageFailed: No space to unpack the weights.
    """
    import keras

    with TemporaryDirectory(prefix="vaeval-") as folder:
        original, selected = Path(folder, "original.weights.h5"), Path(folder, "selected.weights.h5")
        extract_weights(part.archive, original)
        try:
            network = keras.saving.deserialize_keras_object(part.graph.reduced(outputs), safe_mode=True)
            layers = [(layer.name, type(layer).__name__) for layer in network.layers]
            write_selected(original, selected, part.graph, part.weight_groups, layers)
            network.load_weights(selected)
        except _FILE_FAULTS as error:
            raise _translated(part, error) from error
    _require_finite_weights(part, network)
    if keras.backend.backend() == "tensorflow":
        # XLA compiles for seconds and gains nothing at these sizes; the graph is compiled without it.
        network.jit_compile = False
    return network


def _require_finite_weights(part: KerasPart, network: Any) -> None:
    """Refuse a model that diverged. Its outputs need not show it: a compiled ReLU makes 0 of NaN, and so ordinary scores."""
    import keras

    broken = {}
    for variable in network.variables:
        values = keras.ops.convert_to_numpy(variable)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            broken[variable.path] = np.count_nonzero(~np.isfinite(values)), values.size
    if broken:
        name, (number, of) = next(iter(broken.items()))
        more = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise CheckpointRejected(
            f"The model {part.graph.name} has weights that are not finite: it diverged in training.",
            received=f"{part.archive}: {number:,} of {of:,} values of {name}{more} are NaN or infinite",
            expected="finite weights",
            next_step="evaluate a checkpoint from before it diverged",
        )


def _translated(part: KerasPart, error: Exception) -> Exception:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFailed(
            "There is no space left to unpack a checkpoint.",
            received=str(error),
            expected=f"room for the weights of {part.archive}",
            next_step="free space, or set TMPDIR to a larger disk",
        )
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return CheckpointRejected(
        f"Keras cannot rebuild the model {part.graph.name}.",
        received=f"{part.archive}: {first_line[:300]}",
        expected="a model and weights that belong together, of a Keras not newer than this one",
        next_step="keras.saving.load_model(path) in a Python session shows the whole error",
    )

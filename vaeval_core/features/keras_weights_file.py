"""Is this HDF5 file the weights of keras.applications.InceptionV3 without its top? Asked before a file is used.

Answered by h5py from names and shapes alone, so that a wrong file is refused when an evaluation is submitted and not by
a worker an hour later. The format is Keras's own of before version 3, in which the file is published: the attribute
`layer_names` at the root, `weight_names` at each layer's group, the weights as data sets below it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from vaeval_core.errors import InvalidInput
from vaeval_core.features.inception_v3_architecture import kernel_shapes
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.hdf5_links import outside_data

PUBLISHED = PublishedFile(
    name="inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    url="https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    algorithm="md5",
    digest="bcbd6486424b2319ff4ef7d526e38f63",
)
"""The ImageNet weights that `keras.applications.InceptionV3(include_top=False)` downloads."""

_SIGNATURE = b"\x89HDF\r\n\x1a\n"

LayerShapes = tuple[tuple[int, ...], ...]
"""The shapes of one layer's weights, in order."""


def require_hdf5(path: Path) -> None:
    """Refuse a file of another format by its first bytes; one that cannot be read is let through.

    Asked before anything vouches for the file, for the HDF5 library was not made to read what somebody made up.

    Raises:
        InvalidInput: It is no HDF5 file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(_SIGNATURE))
    except OSError:
        return  # for whoever reads it to say
    if start != _SIGNATURE:
        raise _rejected(path, "it is not an HDF5 file")


def check_keras_weights(path: Path) -> None:
    """Refuse a file that Keras could not load into InceptionV3 without its top.

    Args:
        path: A file that exists.

    Raises:
        InvalidInput: It is no HDF5 file, is written in another format, holds the network with its classifier, or
            holds other layers.
    """
    layers = _layer_shapes(path)
    if any(len(shape) == 2 for shapes in layers.values() for shape in shapes):
        raise _rejected(path, "it also holds a dense layer: this is the variant with the classifier on top")
    expected = _expected_layers()
    found = Counter(layers.values())
    missing, unknown = expected - found, found - expected
    if missing or unknown:
        differences = [f"{_count(missing)} missing, such as weights of shape {_shown(missing)}"] if missing else []
        differences += [f"{_count(unknown)} unknown, such as weights of shape {_shown(unknown)}"] if unknown else []
        raise _rejected(path, f"of its layers {' and '.join(differences)}")


def _layer_shapes(path: Path) -> dict[str, LayerShapes]:
    """Layer name → shapes of its weights, for the layers that have any."""
    import h5py

    try:
        if not h5py.is_hdf5(path):
            raise _rejected(path, "it is not an HDF5 file")
        with h5py.File(path, "r") as file:
            outside = outside_data(file)
            if outside is not None:
                raise _rejected(path, f"{outside} is kept outside the file, where its digest does not reach")
            if "layer_names" not in file.attrs:
                raise _rejected(path, f"it has no list of layers at its root, only {', '.join(file) or 'nothing'}")
            shapes: dict[str, LayerShapes] = {}
            for layer in _names(file.attrs["layer_names"]):
                weights = _names(file[layer].attrs["weight_names"])
                if weights:
                    shapes[layer] = tuple(tuple(file[layer][weight].shape) for weight in weights)
            return shapes
    except (AttributeError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        # What h5py raises over a damaged file depends on where the damage is.
        raise _rejected(path, f"HDF5 says: {' '.join(str(error).split())}") from error


def _names(attribute: Any) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in attribute]


def _expected_layers() -> Counter[LayerShapes]:
    """One kernel, and one shift, mean and variance, for each of the 94 convolutions."""
    expected: Counter[LayerShapes] = Counter()
    for kernel in kernel_shapes().values():
        expected[(kernel,)] += 1
        expected[(kernel[-1:],) * 3] += 1
    return expected


def _count(layers: Counter[LayerShapes]) -> str:
    number = sum(layers.values())
    return f"{number} is" if number == 1 else f"{number} are"


def _shown(layers: Counter[LayerShapes]) -> str:
    return " and ".join("×".join(map(str, shape)) for shape in next(iter(layers)))


def _rejected(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        "The file does not hold the weights that inception-v3-keras needs.",
        received=f"{path}: {found}",
        expected=f"an HDF5 file like {PUBLISHED.name}, with 94 convolutions and 94 batch normalisations",
        next_step=f"bring the file from {PUBLISHED.url}",
    )

"""The 2015 Inception weights in one form, whatever they were published in: 472 float32 tensors in a safetensors file.

    <scope>/conv2d_params                                            (rows, columns, in, out), 94 times
    <scope>/batchnorm/gamma, beta, moving_mean, moving_variance      (out,)
    softmax/weights, softmax/biases                                  (2048, 1008), (1008,)

Names are those of the published graph. Values are kept as published and not folded, so the two formats that they are
published in, a TensorFlow graph and a PyTorch state dict, give the same bits, and so the same digest (`tensor_files`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import load_file, save

from vaeval_core.errors import InvalidInput, WeightsUnavailable
from vaeval_core.features.inception_v3 import ConvolutionWeights, fold_batch_norm
from vaeval_core.features.inception_v3_architecture import FEATURES, kernel_shapes
from vaeval_core.features.tensor_files import Source, Tensors, tensors_digest, undamaged_tensors
from vaeval_core.features.verified_weights import WeightsFolder
from vaeval_core.types import Float32

LOGITS = 1008
"""Outputs of the published classifier."""

NORMALISATION = ("gamma", "beta", "moving_mean", "moving_variance")


def tensor_shapes() -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor.

    >>> tensor_shapes()["mixed_10/tower_2/conv/batchnorm/gamma"]
    (192,)
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for scope, kernel in kernel_shapes().items():
        shapes[f"{scope}/conv2d_params"] = kernel
        shapes |= {f"{scope}/batchnorm/{name}": kernel[-1:] for name in NORMALISATION}
    return shapes | {"softmax/weights": (FEATURES, LOGITS), "softmax/biases": (LOGITS,)}


def checked(found: Mapping[str, Float32], path: Path) -> Tensors:
    """The tensors of the network out of what a file holds; what else it holds is left out.

    Args:
        found: Name → value.
        path: The file, for messages.

    Returns:
        All of `tensor_shapes`, in its order, float32 without gaps in memory.

    Raises:
        InvalidInput: One is missing, has another shape, or holds values that are not finite.
    """
    expected = tensor_shapes()
    missing = [name for name in expected if name not in found]
    if missing:
        raise _rejected(path, f"{len(missing)} of its tensors are missing, such as {', '.join(missing[:3])}")
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise _rejected(path, f"{name} has the shape {found[name].shape} instead of {shape}")
        if not np.isfinite(found[name]).all():
            raise _rejected(path, f"{name} holds values that are not finite")
        if name.endswith("moving_variance") and found[name].min() < 0:
            raise _rejected(path, f"{name} holds a negative variance")
    return {name: np.ascontiguousarray(found[name], dtype="<f4") for name in expected}


def write_converted(store: WeightsFolder, tensors: Tensors, source: Source) -> str:
    """Put tensors into the folder, unless they are there. Only inside `store.writing`.

    Returns:
        Their digest.

    Raises:
        StorageFailed: The folder cannot be read or written.
    """
    digest = tensors_digest(tensors)
    if not holds_converted(store, digest):
        metadata = {"source_name": source.name, "source_sha256": source.sha256, "tensors_sha256": digest}
        store.write(store.converted_path_of(digest), save(tensors, metadata))
    return digest


def read_converted(path: Path) -> Tensors:
    """The tensors of a file that was written by `write_converted`, here or elsewhere.

    Raises:
        InvalidInput: It is no such file.
        OSError: It cannot be read.
    """
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            other = next(
                (f"{name} of {kind}" for name in file.keys() if (kind := file.get_slice(name).get_dtype()) != "F32"),  # noqa: SIM118
                None,
            )
        if other is not None:
            raise _rejected(path, f"it holds {other}, where float32 (F32) is expected")
        return checked(load_file(path), path)
    except safetensors.SafetensorError as error:
        raise _rejected(path, f"safetensors says: {' '.join(str(error).split())}") from error


def load_converted(store: WeightsFolder, digest: str) -> Tensors:
    """The tensors of that digest.

    Raises:
        WeightsUnavailable: They are not in the folder, or damaged.
        StorageFailed: The folder cannot be read.
    """
    tensors = _undamaged(store, digest)
    if tensors is None:
        raise WeightsUnavailable(
            "The weights of this evaluation are not on this machine.",
            received=f"no undamaged file {store.converted_path_of(digest)}",
            expected="the weights that were chosen when the evaluation was submitted",
            next_step="copy the file from the weights folder of the machine that submitted",
        )
    return tensors


def holds_converted(store: WeightsFolder, digest: str) -> bool:
    """True if the tensors are there and undamaged (reads all of them).

    Raises:
        StorageFailed: The folder cannot be read.
    """
    return _undamaged(store, digest) is not None


def fold(tensors: Tensors) -> dict[str, ConvolutionWeights]:
    """Scope → kernel and bias of every convolution with its normalisation folded in."""
    return {
        scope: fold_batch_norm(
            tensors[f"{scope}/conv2d_params"],
            gamma=tensors[f"{scope}/batchnorm/gamma"],
            beta=tensors[f"{scope}/batchnorm/beta"],
            mean=tensors[f"{scope}/batchnorm/moving_mean"],
            variance=tensors[f"{scope}/batchnorm/moving_variance"],
        )
        for scope in kernel_shapes()
    }


def _undamaged(store: WeightsFolder, digest: str) -> Tensors | None:
    return undamaged_tensors(store, store.converted_path_of(digest), digest, read_converted)


def _rejected(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        "The file does not hold the weights that inception-v3-fid needs.",
        received=f"{path}: {found}",
        expected="the 94 convolutions, their normalisations and the classifier of inception-2015-12-05",
        next_step="vaeval weights list shows which files can be imported",
    )

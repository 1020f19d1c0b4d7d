"""Weights that vaeval converted, whatever network they are of: float32 tensors by name in a safetensors file.

The digest is over names, shapes and values: it is the file's name and, in protocols, the identity of the weights. What file
they came from stands in the header, and does not count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors

from vaeval_core.errors import InvalidInput
from vaeval_core.features.verified_weights import WeightsFolder
from vaeval_core.types import Float32

Tensors = dict[str, Float32]
"""Name → value, in an order that is part of the digest."""


@dataclass(frozen=True)
class Source:
    """The file that tensors were read from: its name, and the sha256 of its content."""

    name: str
    sha256: str


def tensors_digest(tensors: Tensors) -> str:
    """sha256 over name, shape and little-endian bytes of every tensor, in order."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.shape}\n".encode("ascii"))
        digest.update(np.ascontiguousarray(tensor, dtype="<f4").data)
    return digest.hexdigest()


def undamaged_tensors(store: WeightsFolder, path: Path, digest: str, read: Callable[[Path], Tensors]) -> Tensors | None:
    """The tensors of a file of the weights folder, if it is there and holds those of the digest (reads all of them).

    Args:
        store: The folder.
        path: The file.
        digest: What it should hold.
        read: Reads such a file; raises InvalidInput where it is none.

    Raises:
        StorageFailed: The folder cannot be read.
    """
    with store.storage_errors():
        if not path.is_file():
            return None
        try:
            tensors = read(path)
        except InvalidInput:
            return None
    return tensors if tensors_digest(tensors) == digest else None


def source_of(path: Path) -> Source | None:
    """What a converted file says it was made of; None if it does not say, or is no such file."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError):
        return None
    if not {"source_name", "source_sha256"} <= metadata.keys():
        return None
    return Source(metadata["source_name"], metadata["source_sha256"])

"""Which format a weights file has, by its first bytes: names and suffixes change on the way, contents do not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vaeval_core.errors import InvalidInput

WeightsFormat = Literal["hdf5", "tgz", "torch", "safetensors", "graph"]

_MAGIC: tuple[tuple[bytes, WeightsFormat], ...] = (
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x1f\x8b", "tgz"),
    (b"PK\x03\x04", "torch"),
    (b"\x80\x02", "torch"),  # as PyTorch wrote before 1.6
    (b"\n", "graph"),  # the first field of a GraphDef, a node
)


def format_of(path: Path) -> WeightsFormat:
    """The format of a file.

    Raises:
        InvalidInput: None that weights are known in.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) == 9 and start[8:9] == b"{":  # after the length of its header
        return "safetensors"
    for magic, name in _MAGIC:
        if start.startswith(magic):
            return name
    found = f"begins with the bytes {start.hex(' ')}" if start else "empty"
    raise InvalidInput(
        "The file is in no format that weights are known in.",
        received=f"{path}: {found}",
        expected="a TensorFlow graph (.pb), or the .tgz around it, a PyTorch state dict (.pth), safetensors or HDF5 (.h5)",
        next_step="vaeval weights list shows which files can be used",
    )

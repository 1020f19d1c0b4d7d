"""Random weights of the 2015 Inception network, and the formats in which it is published, written without their programs.

Names and shapes are the published ones; values are random, scaled so that the signal neither dies nor explodes. Tests
need no download that way, and nothing that they load was ever seen before.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

from vaeval_core.features.converted_weights import tensor_shapes
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.features.torch_state_dict import torch_names
from vaeval_core.types import Float32

GRAPH = "classify_image_graph_def.pb"
ARCHIVE = "inception-2015-12-05.tgz"


SMALL_SHAPES: Mapping[str, tuple[int, ...]] = {
    name: shape for name, shape in tensor_shapes().items() if name.startswith("conv_3/") or name == "softmax/biases"
}
"""Six tensors that stand for all where only the way of the file is tested, not what is in it: 24 kB instead of 96 MB."""


@cache
def random_tensors() -> Mapping[str, Float32]:
    """Every tensor of the network by its name in the graph; made once, not to be written to."""
    return _random(tensor_shapes())


@cache
def small_tensors() -> Mapping[str, Float32]:
    """The same for `SMALL_SHAPES`."""
    return _random(SMALL_SHAPES)


def _random(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Float32]:
    random = np.random.default_rng(20151205)
    tensors: dict[str, Float32] = {}
    for name, shape in shapes.items():
        if name.endswith(("gamma", "moving_variance")):
            value = random.uniform(0.5, 1.5, shape).astype(np.float32)
        elif name.endswith(("beta", "moving_mean", "biases")):
            value = (0.2 * random.standard_normal(shape, np.float32)).astype(np.float32)
        else:
            fan_in = np.prod(shape[:-1])
            value = (random.standard_normal(shape, np.float32) * np.sqrt(2.0 / fan_in)).astype(np.float32)
        value.setflags(write=False)
        tensors[name] = value
    return tensors


def published_as(content: bytes, url: str) -> tuple[PublishedFile, ...]:
    """What `fid_weights.SOURCES` would be if the graph with this content had been published, below a URL."""
    sha1 = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return (
        PublishedFile(GRAPH, f"{url}/{GRAPH}", "git blob sha1", sha1),
        PublishedFile(ARCHIVE, f"{url}/{ARCHIVE}", "git blob sha1", sha1, member=GRAPH),
    )


def as_state_dict(tensors: Mapping[str, Float32]) -> dict[str, Float32]:
    """The tensors as PyTorch would have them: its names, kernels as (out, in, rows, columns), and its counters."""
    state: dict[str, Float32] = {}
    for ours, theirs in torch_names().items():
        value = tensors[ours]
        state[theirs] = np.ascontiguousarray(value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T)
        if theirs.endswith("running_var"):
            state[theirs.replace("running_var", "num_batches_tracked")] = np.zeros((), np.int64)
    return state


def graph_bytes(tensors: Mapping[str, Float32]) -> bytes:
    """A GraphDef with one Const node per tensor, and one node of another kind before them."""
    nodes = [field(1, field(1, b"DecodeJpeg") + field(2, b"DecodeJpeg") + field(3, b"DecodeJpeg/contents"))]
    nodes += [field(1, const_node(name, value)) for name, value in tensors.items()]
    return b"".join([*nodes, field(4, b"\x08\x08")])  # versions: producer 8


def const_node(name: str, value: Float32) -> bytes:
    return (
        field(1, name.encode())
        + field(2, b"Const")
        + field(5, field(1, b"dtype") + field(2, b"\x30\x01"))
        + field(5, field(1, b"value") + field(2, field(8, tensor_bytes(value.shape, field(4, value.tobytes())))))
    )


def tensor_bytes(shape: Iterable[int], values: bytes) -> bytes:
    """A TensorProto of float32."""
    dims = b"".join(field(2, b"\x08" + varint(size)) for size in shape)
    return b"\x08\x01" + field(2, dims) + values


def field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that has a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def packed_floats(values: Iterable[float]) -> bytes:
    """TensorProto.float_val."""
    return field(5, b"".join(struct.pack("<f", value) for value in values))


def archive_bytes(members: Mapping[str, bytes], *, links: Mapping[str, str] | None = None) -> bytes:
    """A .tgz with these members, under exactly these names."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as archive:
        for name, value in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(value)
            archive.addfile(entry, io.BytesIO(value))
        for name, target in (links or {}).items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    return content.getvalue()

"""Constants out of a TensorFlow GraphDef file, read as data: no graph is built, nothing in it runs, no TensorFlow needed.

A GraphDef is a protocol buffer, and of its hundreds of fields seven lead to a constant:

    GraphDef.node (1) → NodeDef.name (1), .op (2), .attr (5) → entry key (1), value (2) → AttrValue.tensor (8)
    → TensorProto.dtype (1), .tensor_shape (2) → .dim (2) → .size (1), .tensor_content (4) or .float_val (5)

Everything else is stepped over by its length, so a graph of any TensorFlow release can be read.

Source: the encoding, https://protobuf.dev/programming-guides/encoding; the field numbers, tensorflow/core/framework
(graph.proto, node_def.proto, attr_value.proto, tensor.proto, tensor_shape.proto).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.types import Float32

_FLOAT = 1
"""DT_FLOAT of tensorflow/core/framework/types.proto."""

_VARINT, _EIGHT_BYTES, _BY_LENGTH, _FOUR_BYTES = 0, 1, 2, 5

_MOST_AXES, _MOST_NUMBERS = 8, 1 << 28
"""A message of a few bytes may claim any shape; beyond this it is not believed."""

_Value = int | memoryview
"""A varint as the number that it is; everything else as its bytes."""


class _Malformed(Exception):
    """The bytes are no protocol buffer; says what and where. Never leaves this module."""


def read_constants(content: bytes, path: Path) -> dict[str, Float32]:
    """The float32 constants of a GraphDef.

    Args:
        content: The whole file.
        path: Where it came from, for messages.

    Returns:
        Node name → value, in the order of the file; views of `content`. Constants of other types are left out.

    Raises:
        InvalidInput: It is cut off or is no GraphDef.
    """
    constants: dict[str, Float32] = {}
    try:
        for number, value in _fields(memoryview(content)):
            if number == 1:
                name, tensor = _constant(_bytes(value))
                if tensor is not None:
                    constants[name] = tensor
    except _Malformed as error:
        raise InvalidInput(
            "The file is no whole TensorFlow graph.",
            received=f"{path}, {len(content):,} bytes: {error}",
            expected="a GraphDef such as classify_image_graph_def.pb",
            next_step="bring the file again; a download may have been cut off",
        ) from error
    return constants


def _constant(node: memoryview) -> tuple[str, Float32 | None]:
    """Name and value of a node; None if it is no constant of float32."""
    name, operation, value_attribute = "", "", memoryview(b"")
    for number, value in _fields(node):
        if number == 1:
            name = _text(value)
        elif number == 2:
            operation = _text(value)
        elif number == 5:
            entry = dict(_fields(_bytes(value)))
            if 1 in entry and _text(entry[1]) == "value":
                value_attribute = _bytes(entry.get(2, memoryview(b"")))
    if operation != "Const":
        return name, None
    tensor = dict(_fields(value_attribute)).get(8)
    return name, None if tensor is None else _float_tensor(name, _bytes(tensor))


def _float_tensor(name: str, tensor: memoryview) -> Float32 | None:
    shape: tuple[int, ...] = ()
    content, values = memoryview(b""), b""
    kind = 0
    for number, value in _fields(tensor):
        if number == 1:
            kind = value if isinstance(value, int) else 0
        elif number == 2:
            sizes = [dict(_fields(_bytes(dim))).get(1, 0) for field, dim in _fields(_bytes(value)) if field == 2]
            shape = tuple(size if isinstance(size, int) else 0 for size in sizes)
        elif number == 4:
            content = _bytes(value)
        elif number == 5:
            values += _bytes(value)  # packed or one by one: four bytes each
    if kind != _FLOAT:
        return None
    raw = content if len(content) else values
    if len(raw) % 4:
        raise _Malformed(f"the constant {name} has {len(raw):,} bytes, which are no float32 numbers")
    found: Float32 = np.frombuffer(raw, "<f4")
    expected = math.prod(shape)
    if len(shape) > _MOST_AXES or max([*shape, expected]) > _MOST_NUMBERS:
        raise _Malformed(f"the constant {name} claims the shape {shape}, far beyond any weights")
    if not len(content) and 0 < len(found) < expected:
        # TensorFlow writes a run of equal values at the end once.
        found = np.concatenate([found, np.full(expected - len(found), found[-1], np.float32)])
    if len(found) != expected:
        raise _Malformed(f"the constant {name} of shape {shape} has {len(found):,} numbers instead of {expected:,}")
    return found.reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, _Value]]:
    """Field number and value, one after the other."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == _BY_LENGTH:
            length, position = _varint(message, position)
        elif kind in {_EIGHT_BYTES, _FOUR_BYTES}:
            length = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise _Malformed(f"field {number} has the wire type {kind}, which does not exist")
        if length > len(message) - position:
            raise _Malformed(f"field {number} has {length:,} bytes, {len(message) - position:,} are left: cut off")
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where the next thing begins."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise _Malformed("it ends in the middle of a number: cut off")
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, position
    raise _Malformed("a number goes on for more than ten bytes")


def _bytes(value: _Value) -> memoryview:
    if isinstance(value, int):
        raise _Malformed("a number stands where a message should")
    return value


def _text(value: _Value) -> str:
    try:
        return str(_bytes(value), "utf-8")
    except UnicodeDecodeError as error:
        raise _Malformed("a name is not UTF-8") from error

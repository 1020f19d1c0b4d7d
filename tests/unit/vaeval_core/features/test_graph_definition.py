"""Constants out of GraphDef files: those that TensorFlow writes, those that are cut off, and bytes that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inception_tensors import const_node, field, graph_bytes, packed_floats, tensor_bytes
from vaeval_core.errors import InvalidInput
from vaeval_core.features.graph_definition import read_constants
from vaeval_core.types import Float32

PATH = Path("graph.pb")

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
SMALL = {"conv/conv2d_params": KERNEL, "conv/batchnorm/beta": np.float32([1.5, -2]), "Sub/y": np.array(128, np.float32)}


def node_with(tensor: bytes) -> bytes:
    """A graph of one constant `x` with this TensorProto."""
    value = field(5, field(1, b"value") + field(2, field(8, tensor)))
    return field(1, field(1, b"x") + field(2, b"Const") + value)


def test_constants_come_by_name_with_their_shapes() -> None:
    found = read_constants(graph_bytes(SMALL), PATH)
    assert list(found) == list(SMALL)
    for name, value in SMALL.items():
        np.testing.assert_array_equal(found[name], value)
        assert found[name].shape == value.shape
        assert found[name].dtype == np.float32


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (tensor_bytes((3,), packed_floats([1, 2, 3])), [1, 2, 3]),
        (tensor_bytes((3,), b"\x2d\x00\x00\x80\x3f" * 3), [1, 1, 1]),
        # tensor.proto: a value that is repeated to the end may stand once.
        (tensor_bytes((4,), packed_floats([5, 7])), [5, 7, 7, 7]),
        (tensor_bytes((2, 0), b""), np.zeros((2, 0))),
    ],
    ids=["packed", "one by one", "the last one repeated", "empty"],
)
def test_values_may_be_written_as_numbers(tensor: bytes, expected: object) -> None:
    np.testing.assert_array_equal(read_constants(node_with(tensor), PATH)["x"], np.asarray(expected, np.float32))


def test_constants_of_other_kinds_and_other_nodes_are_left_out() -> None:
    integers = b"\x08\x03" + field(4, b"\x03\x00\x00\x00")  # DT_INT32
    placeholder = field(1, field(1, b"input") + field(2, b"Placeholder"))
    assert read_constants(node_with(integers) + placeholder + graph_bytes({"y": KERNEL}), PATH).keys() == {"y"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x0a\xff\xff\x03\x00", "65,535 bytes, 1 are left: cut off"),
        (b"\x0a", "ends in the middle of a number: cut off"),
        (b"\x80" * 11, "more than ten bytes"),
        (b"\x0b\x00", "wire type 3, which does not exist"),
        (b"\x08\x01", "a number stands where a message should"),
        (field(1, field(1, b"\xff\xfe")), "a name is not UTF-8"),
        (node_with(tensor_bytes((3,), field(4, b"\x00" * 8))), "of shape (3,) has 2 numbers instead of 3"),
        (node_with(tensor_bytes((1,), field(4, b"\x00" * 3))), "3 bytes, which are no float32 numbers"),
    ],
)
def test_what_is_no_graph_is_refused_with_the_place(content: bytes, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_constants(content, PATH)
    assert f"{PATH}, {len(content):,} bytes: " in str(caught.value.received)
    assert said in str(caught.value.received)
    assert "classify_image_graph_def.pb" in str(caught.value.expected)


def test_a_graph_cut_off_anywhere_gives_an_error_or_whole_constants() -> None:
    whole = graph_bytes(SMALL)
    num_refused = 0
    for size in range(len(whole)):
        try:
            found = read_constants(whole[:size], PATH)
        except InvalidInput:
            num_refused += 1
            continue
        for name, value in found.items():
            np.testing.assert_array_equal(value, SMALL[name])
    # Only between two nodes is a beginning a graph.
    assert num_refused == len(whole) - 1 - len(SMALL) - 1


@given(st.binary(max_size=200))
def test_whatever_bytes_come_nothing_but_a_refusal_is_raised(content: bytes) -> None:
    try:
        found = read_constants(content, PATH)
    except InvalidInput:
        return
    assert all(isinstance(value, np.ndarray) for value in found.values())


@given(st.binary(max_size=60), st.integers(0, 2))
def test_whatever_stands_inside_a_node_nothing_but_a_refusal_is_raised(content: bytes, depth: int) -> None:
    wrapped = node_with(content) if depth == 2 else field(1, content if depth == 0 else field(5, content))
    try:
        read_constants(wrapped, PATH)
    except InvalidInput:
        return


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 63, 0), (1 << 20, 1 << 20), (1,) * 70], ids=str)
def test_a_shape_far_beyond_any_weights_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"the constant x claims the shape .*, far beyond any weights"):
        read_constants(node_with(tensor_bytes(shape, packed_floats([1.0]))), PATH)


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "value",
    [KERNEL, np.zeros((3, 5), np.float32), np.float32(0.0078125), np.full((40,), 2.5, np.float32)],
    ids=["content", "zeros", "a scalar", "one value"],
)
def test_what_tensorflow_writes_is_read(value: Float32) -> None:
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.constant(value, name="x")
        tf.constant("text", name="y")
    written = graph.as_graph_def().SerializeToString()
    found = read_constants(written, PATH)
    assert found.keys() == {"x"}
    np.testing.assert_array_equal(found["x"], value)


def test_a_constant_by_hand_is_one_node() -> None:
    assert read_constants(field(1, const_node("x", KERNEL)), PATH).keys() == {"x"}

"""The 2015 Inception graph as TensorFlow itself would run it: the operations and node names of the published file.

Written down from the published names, strides and paddings, block by block, and not from the table that the program has,
so that one checks the other. Deprecated operations are the published ones, too: a graph of producer 8 may hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vaeval_core.types import Float32, Uint8

PRODUCER = 8
"""Graph version: BatchNormWithGlobalNormalization is refused from 9 on."""

Step = tuple[str, str, int, str]
"""Node name below its block; `conv`, `max` or `average`; stride; padding."""


def graph_definition(tensors: Mapping[str, Float32]) -> Any:
    """A `GraphDef` from DecodeJpeg/contents to softmax, with these constants."""
    return _Writer(tensors).definition


def run_graph(definition: Any, images: Uint8, fetches: list[str]) -> list[Float32]:
    """What a session gives for images, fed at ExpandDims:0, one at a time as the published code does.

    Args:
        definition: From `graph_definition`, or read from a file.
        images: (n, h, w, 3) uint8.
        fetches: Tensor names.

    Returns:
        For each name, (n, values) float32.
    """
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            rows = [session.run(fetches, {"ExpandDims:0": image[None].astype(np.float32)}) for image in images]
    return [np.stack([row[i].reshape(-1) for row in rows]) for i in range(len(fetches))]


class _Writer:
    def __init__(self, tensors: Mapping[str, Float32]) -> None:
        from tensorflow.core.framework.graph_pb2 import GraphDef

        self._tensors = tensors
        self.definition = GraphDef()
        self.definition.versions.producer = PRODUCER
        self._input()
        self._network()

    def _input(self) -> None:
        import tensorflow as tf

        self._constant("DecodeJpeg/contents", b"", tf.string)
        self._node("DecodeJpeg", "DecodeJpeg", ["DecodeJpeg/contents"], channels=3)
        self._node("Cast", "Cast", ["DecodeJpeg"], SrcT=tf.uint8, DstT=tf.float32)
        self._constant("ExpandDims/dim", 0, tf.int32)
        self._node("ExpandDims", "ExpandDims", ["Cast", "ExpandDims/dim"], T=tf.float32)
        self._constant("ResizeBilinear/size", [299, 299], tf.int32)
        self._node(
            "ResizeBilinear", "ResizeBilinear", ["ExpandDims", "ResizeBilinear/size"], T=tf.float32, align_corners=False
        )
        self._constant("Sub/y", 128.0, tf.float32)
        self._node("Sub", "Sub", ["ResizeBilinear", "Sub/y"], T=tf.float32)
        self._constant("Mul/y", 0.0078125, tf.float32)
        self._node("Mul", "Mul", ["Sub", "Mul/y"], T=tf.float32)

    def _network(self) -> None:
        import tensorflow as tf

        tensor = self._chain("Mul", "", [("conv", "conv", 2, "VALID"), ("conv_1", "conv", 1, "VALID")])
        tensor = self._chain(tensor, "", [("conv_2", "conv", 1, "SAME"), ("pool", "max", 2, "VALID")])
        tensor = self._chain(tensor, "", [("conv_3", "conv", 1, "VALID"), ("conv_4", "conv", 1, "VALID")])
        tensor = self._chain(tensor, "", [("pool_1", "max", 2, "VALID")])
        for block in ("mixed", "mixed_1", "mixed_2"):
            tensor = self._block(tensor, block, [["conv"], ["tower/conv", "tower/conv_1"], _tower_1(3), _pooled()])
        narrow = ("tower/conv_2", "conv", 2, "VALID")
        tensor = self._block(
            tensor,
            "mixed_3",
            [[("conv", "conv", 2, "VALID")], ["tower/conv", "tower/conv_1", narrow], [("pool", "max", 2, "VALID")]],
        )
        for block in ("mixed_4", "mixed_5", "mixed_6", "mixed_7"):
            tower = ["tower/conv", "tower/conv_1", "tower/conv_2"]
            tensor = self._block(tensor, block, [["conv"], tower, _tower_1(5), _pooled()])
        tensor = self._block(
            tensor,
            "mixed_8",
            [
                ["tower/conv", ("tower/conv_1", "conv", 2, "VALID")],
                [*_tower_1(3), ("tower_1/conv_3", "conv", 2, "VALID")],
                [("pool", "max", 2, "VALID")],
            ],
        )
        tensor = self._last_kind_of_block(tensor, "mixed_9", "average")
        tensor = self._last_kind_of_block(tensor, "mixed_10", "max")
        self._pool("pool_3", "AvgPool", tensor, size=8, stride=1, padding="VALID")
        self._constant("pool_3/_reshape/shape", [1, 2048], tf.int32)
        self._node("pool_3/_reshape", "Reshape", ["pool_3", "pool_3/_reshape/shape"], T=tf.float32)
        self._constant("softmax/weights", self._tensors["softmax/weights"], tf.float32)
        self._constant("softmax/biases", self._tensors["softmax/biases"], tf.float32)
        self._node("softmax/logits/MatMul", "MatMul", ["pool_3/_reshape", "softmax/weights"], T=tf.float32)
        self._node("softmax/logits", "BiasAdd", ["softmax/logits/MatMul", "softmax/biases"], T=tf.float32)
        self._node("softmax", "Softmax", ["softmax/logits"], T=tf.float32)

    def _block(self, tensor: str, block: str, branches: list[list[str | Step]]) -> str:
        return self._join(f"{block}/join", [self._chain(tensor, f"{block}/", branch) for branch in branches])

    def _last_kind_of_block(self, tensor: str, block: str, pool: str) -> str:
        ends = [self._chain(tensor, f"{block}/", ["conv"])]
        for tower, steps in (("tower", ["tower/conv"]), ("tower_1", ["tower_1/conv", "tower_1/conv_1"])):
            middle = self._chain(tensor, f"{block}/", list(steps))
            prongs = [self._chain(middle, f"{block}/{tower}/mixed/", [name]) for name in ("conv", "conv_1")]
            ends.append(self._join(f"{block}/{tower}/mixed/join", prongs))
        ends.append(self._chain(tensor, f"{block}/", [("tower_2/pool", pool, 1, "SAME"), "tower_2/conv"]))
        return self._join(f"{block}/join", ends)

    def _chain(self, tensor: str, prefix: str, steps: list[Any]) -> str:
        for step in steps:
            name, kind, stride, padding = (step, "conv", 1, "SAME") if isinstance(step, str) else step
            if kind == "conv":
                tensor = self._convolution(prefix + name, tensor, stride, padding)
            else:
                operation = {"max": "MaxPool", "average": "AvgPool"}[kind]
                tensor = self._pool(prefix + name, operation, tensor, size=3, stride=stride, padding=padding)
        return tensor

    def _convolution(self, scope: str, tensor: str, stride: int, padding: str) -> str:
        import tensorflow as tf

        constants = ["conv2d_params", *(f"batchnorm/{n}" for n in ("moving_mean", "moving_variance", "beta", "gamma"))]
        for constant in constants:
            self._constant(f"{scope}/{constant}", self._tensors[f"{scope}/{constant}"], tf.float32)
        self._node(
            f"{scope}/Conv2D",
            "Conv2D",
            [tensor, f"{scope}/conv2d_params"],
            T=tf.float32,
            strides=[1, stride, stride, 1],
            padding=padding.encode(),
        )
        self._node(
            f"{scope}/batchnorm",
            "BatchNormWithGlobalNormalization",
            [f"{scope}/Conv2D", *(f"{scope}/{constant}" for constant in constants[1:])],
            T=tf.float32,
            variance_epsilon=0.001,
            scale_after_normalization=True,
        )
        self._node(scope, "Relu", [f"{scope}/batchnorm"], T=tf.float32)
        return scope

    def _pool(self, name: str, operation: str, tensor: str, *, size: int, stride: int, padding: str) -> str:
        import tensorflow as tf

        self._node(
            name,
            operation,
            [tensor],
            T=tf.float32,
            ksize=[1, size, size, 1],
            strides=[1, stride, stride, 1],
            padding=padding.encode(),
        )
        return name

    def _join(self, name: str, tensors: list[str]) -> str:
        import tensorflow as tf

        self._constant(f"{name}/concat_dim", 3, tf.int32)
        self._node(name, "Concat", [f"{name}/concat_dim", *tensors], T=tf.float32, N=len(tensors))
        return name

    def _constant(self, name: str, value: Any, kind: Any) -> None:
        import tensorflow as tf

        node = self._node(name, "Const", [], dtype=kind)
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype=kind))

    def _node(self, name: str, operation: str, inputs: list[str], **attributes: Any) -> Any:
        import tensorflow as tf

        node = self.definition.node.add(name=name, op=operation, input=inputs)
        for key, value in attributes.items():
            attribute = node.attr[key]
            if isinstance(value, tf.DType):
                attribute.type = value.as_datatype_enum
            elif isinstance(value, bool):
                attribute.b = value
            elif isinstance(value, int):
                attribute.i = value
            elif isinstance(value, float):
                attribute.f = value
            elif isinstance(value, bytes):
                attribute.s = value
            else:
                attribute.list.i.extend(value)
        return node


def _tower_1(number: int) -> list[str | Step]:
    return ["tower_1/conv", *(f"tower_1/conv_{i}" for i in range(1, number))]


def _pooled() -> list[str | Step]:
    return [("tower_2/pool", "average", 1, "SAME"), "tower_2/conv"]

"""What is Keras's own in a saved object, and what would need somebody's code.

Keras writes every object as {"class_name", "module", "config"}. Objects whose module is not Keras's, Lambda layers and
layers that wrap another framework are *foreign*: they are never built. That, and `safe_mode`, is why opening a
checkpoint runs no code of its author.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CARRY_CODE = frozenset(["FlaxLayer", "JaxLayer", "Lambda", "TFSMLayer", "TorchModuleWrapper"])

# How older Keras 3 wrote its own functions: module `builtins`, and nothing but the name.
_KERAS_FUNCTIONS = frozenset(
    [
        *("celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish"),
        *(
            "hard_tanh",
            "leaky_relu",
            "linear",
            "log_sigmoid",
            "log_softmax",
            "mish",
            "relu",
            "relu6",
            "selu",
            "sigmoid",
        ),
        *("silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparsemax", "squareplus", "swish"),
        *("tanh", "tanh_shrink", "threshold"),
    ]
)


_HALF_PRECISION = frozenset(["bfloat16", "float16", "mixed_bfloat16", "mixed_float16"])


def is_object(node: Any) -> bool:
    """True for what Keras writes for a class instance or a function."""
    return isinstance(node, dict) and "class_name" in node and "config" in node


def foreign_class(node: Any) -> str | None:
    """Name of the first foreign class or function in a saved object, searched depth first; None if all is Keras's.

    >>> foreign_class({"class_name": "Sampling", "module": None, "config": {}})
    'Sampling'
    >>> foreign_class({"class_name": "Dense", "module": "keras.layers", "config": {"units": 2}})
    """
    if isinstance(node, dict):
        if is_object(node) and (name := _foreign_itself(node)):
            return name
        children = [value for key, value in node.items() if key != "compile_config"]
    elif isinstance(node, list):
        children = node
    else:
        return None
    return next((name for child in children if (name := foreign_class(child))), None)


def cleaned(node: Any) -> Any:
    """A copy without training state, in single precision.

    `compile_config` may name losses and optimisers of the author's own, which evaluation needs not. Half precision is
    how a network was trained, not what it is: scores are computed in float32, on every device.
    """
    if isinstance(node, list):
        return [cleaned(child) for child in node]
    if not isinstance(node, dict):
        return node
    copy = {key: cleaned(value) for key, value in node.items() if key != "compile_config"}
    if copy.get("class_name") == "DTypePolicy" and copy["config"].get("name") in _HALF_PRECISION:
        copy["config"] = {**copy["config"], "name": "float32"}
    if isinstance(copy.get("dtype"), str) and copy["dtype"] in _HALF_PRECISION:
        copy["dtype"] = "float32"
    return copy


def uses_half_precision(node: Any) -> bool:
    """True if any part of a saved object computes in half precision."""
    if isinstance(node, dict):
        if node.get("class_name") == "DTypePolicy" and node["config"].get("name") in _HALF_PRECISION:
            return True
        return any(uses_half_precision(value) for value in node.values())
    return isinstance(node, list) and any(uses_half_precision(child) for child in node)


def is_from_keras(module: Any) -> bool:
    """True for `keras` and every module below it."""
    return isinstance(module, str) and (module == "keras" or module.startswith("keras."))


def _foreign_itself(node: Mapping[str, Any]) -> str | None:
    name, module = str(node["class_name"]), node.get("module")
    if name == "__lambda__":
        return "lambda"
    if name.startswith("__") and name != "__typespec__":
        return None  # tensors, slices and other plain values
    if name == "function":
        is_known = is_from_keras(module) or (module == "builtins" and node["config"] in _KERAS_FUNCTIONS)
        return None if is_known else f"function {node['config']}"
    return name if name in _CARRY_CODE or not is_from_keras(module) else None

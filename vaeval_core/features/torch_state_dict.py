"""The 2015 Inception weights out of a PyTorch state dict, as pytorch-fid and torch-fidelity publish them.

PyTorch is needed to open the file (`torch_file`), once; afterwards there is a converted one. What is in it is renamed and
turned round: PyTorch keeps kernels as (out, in, rows, columns), the graph as (rows, columns, in, out).

Source of the names: the modules of torch-fidelity's InceptionV3, which follow torchvision's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.features.converted_weights import checked
from vaeval_core.features.inception_v3_architecture import kernel_shapes
from vaeval_core.features.tensor_files import Tensors
from vaeval_core.features.torch_file import read_tensors_by_name
from vaeval_core.types import Float32

_STEM = {
    "conv": "Conv2d_1a_3x3",
    "conv_1": "Conv2d_2a_3x3",
    "conv_2": "Conv2d_2b_3x3",
    "conv_3": "Conv2d_3b_1x1",
    "conv_4": "Conv2d_4a_3x3",
}

_BRANCHES_35 = {
    "conv": "branch1x1",
    "tower/conv": "branch5x5_1",
    "tower/conv_1": "branch5x5_2",
    "tower_1/conv": "branch3x3dbl_1",
    "tower_1/conv_1": "branch3x3dbl_2",
    "tower_1/conv_2": "branch3x3dbl_3",
    "tower_2/conv": "branch_pool",
}
_BRANCHES_35_TO_17 = {
    "conv": "branch3x3",
    "tower/conv": "branch3x3dbl_1",
    "tower/conv_1": "branch3x3dbl_2",
    "tower/conv_2": "branch3x3dbl_3",
}
_BRANCHES_17 = {
    "conv": "branch1x1",
    "tower/conv": "branch7x7_1",
    "tower/conv_1": "branch7x7_2",
    "tower/conv_2": "branch7x7_3",
    "tower_1/conv": "branch7x7dbl_1",
    "tower_1/conv_1": "branch7x7dbl_2",
    "tower_1/conv_2": "branch7x7dbl_3",
    "tower_1/conv_3": "branch7x7dbl_4",
    "tower_1/conv_4": "branch7x7dbl_5",
    "tower_2/conv": "branch_pool",
}
_BRANCHES_17_TO_8 = {
    "tower/conv": "branch3x3_1",
    "tower/conv_1": "branch3x3_2",
    "tower_1/conv": "branch7x7x3_1",
    "tower_1/conv_1": "branch7x7x3_2",
    "tower_1/conv_2": "branch7x7x3_3",
    "tower_1/conv_3": "branch7x7x3_4",
}
_BRANCHES_8 = {
    "conv": "branch1x1",
    "tower/conv": "branch3x3_1",
    "tower/mixed/conv": "branch3x3_2a",
    "tower/mixed/conv_1": "branch3x3_2b",
    "tower_1/conv": "branch3x3dbl_1",
    "tower_1/conv_1": "branch3x3dbl_2",
    "tower_1/mixed/conv": "branch3x3dbl_3a",
    "tower_1/mixed/conv_1": "branch3x3dbl_3b",
    "tower_2/conv": "branch_pool",
}
_BLOCKS = {
    "mixed": ("Mixed_5b", _BRANCHES_35),
    "mixed_1": ("Mixed_5c", _BRANCHES_35),
    "mixed_2": ("Mixed_5d", _BRANCHES_35),
    "mixed_3": ("Mixed_6a", _BRANCHES_35_TO_17),
    "mixed_4": ("Mixed_6b", _BRANCHES_17),
    "mixed_5": ("Mixed_6c", _BRANCHES_17),
    "mixed_6": ("Mixed_6d", _BRANCHES_17),
    "mixed_7": ("Mixed_6e", _BRANCHES_17),
    "mixed_8": ("Mixed_7a", _BRANCHES_17_TO_8),
    "mixed_9": ("Mixed_7b", _BRANCHES_8),
    "mixed_10": ("Mixed_7c", _BRANCHES_8),
}

_NORMALISATION = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def read_state_dict(path: Path) -> Tensors:
    """The tensors of a state dict file, under the names of the graph.

    Args:
        path: A .pth file. Whether it is the published one is for the caller to check.

    Raises:
        InvalidInput: PyTorch is not installed or too old, or the file is no state dict of this network.
    """
    state = read_tensors_by_name(
        path,
        _rejected,
        instead="the same weights as classify_image_graph_def.pb",
        again=f"vaeval weights import {path}",
    )
    return convert_state_dict(state, path)


def convert_state_dict(state: Mapping[str, Float32], path: Path) -> Tensors:
    """Rename and turn round.

    Args:
        state: Name → value as PyTorch has them. The counters of batches that PyTorch adds are left out.
        path: Where they come from, for messages.

    Raises:
        InvalidInput: A tensor is missing or unknown, or has another shape or kind.
    """
    names = torch_names()
    counted = {name: value for name, value in state.items() if not name.endswith(".num_batches_tracked")}
    missing, unknown = [name for name in names.values() if name not in counted], counted.keys() - {*names.values()}
    if missing or unknown:
        parts = [f"{len(missing)} missing, such as {', '.join(missing[:3])}"] if missing else []
        parts += [f"{len(unknown)} unknown, such as {', '.join(sorted(unknown)[:3])}"] if unknown else []
        raise _rejected(path, f"of its tensors {' and '.join(parts)}")
    others = [name for name, value in counted.items() if value.dtype != np.float32]
    if others:
        raise _rejected(path, f"{others[0]} is {counted[others[0]].dtype}, not float32")
    return checked({ours: _turned(counted[theirs]) for ours, theirs in names.items()}, path)


def torch_names() -> dict[str, str]:
    """Name in the graph → name in the state dict, of every tensor.

    >>> torch_names()["mixed_9/tower_1/mixed/conv/batchnorm/moving_variance"]
    'Mixed_7b.branch3x3dbl_3a.bn.running_var'
    """
    names: dict[str, str] = {}
    for scope in kernel_shapes():
        module = _module(scope)
        names[f"{scope}/conv2d_params"] = f"{module}.conv.weight"
        names |= {f"{scope}/batchnorm/{ours}": f"{module}.bn.{theirs}" for ours, theirs in _NORMALISATION.items()}
    return names | {"softmax/weights": "fc.weight", "softmax/biases": "fc.bias"}


def _module(scope: str) -> str:
    block, _, branch = scope.partition("/")
    if not branch:
        return _STEM[scope]
    module, branches = _BLOCKS[block]
    return f"{module}.{branches[branch]}"


def _turned(value: Float32) -> Float32:
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    return value.T


def _rejected(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        "The file is no state dict of the Inception network of 2015.",
        received=f"{path}: {found}",
        expected="a file like weights-inception-2015-12-05-6726825d.pth",
    )

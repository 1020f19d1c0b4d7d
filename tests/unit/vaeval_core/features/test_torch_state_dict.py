"""State dicts as PyTorch has them, turned into tensors of the graph.

Here names are held against the published correspondence. Whole networks, and files that PyTorch wrote:
tests/numerics/test_torch_state_dict.py.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.features.converted_weights import tensor_shapes
from vaeval_core.features.torch_state_dict import convert_state_dict, read_state_dict, torch_names

PATH = Path("weights.pth")


@pytest.mark.parametrize(
    ("scope", "module"),
    [
        ("conv", "Conv2d_1a_3x3"),
        ("conv_4", "Conv2d_4a_3x3"),
        ("mixed/tower/conv_1", "Mixed_5b.branch5x5_2"),
        ("mixed_2/tower_1/conv_2", "Mixed_5d.branch3x3dbl_3"),
        ("mixed_3/conv", "Mixed_6a.branch3x3"),
        ("mixed_3/tower/conv_2", "Mixed_6a.branch3x3dbl_3"),
        ("mixed_4/tower/conv_1", "Mixed_6b.branch7x7_2"),
        ("mixed_7/tower_1/conv_4", "Mixed_6e.branch7x7dbl_5"),
        ("mixed_8/tower/conv_1", "Mixed_7a.branch3x3_2"),
        ("mixed_8/tower_1/conv_3", "Mixed_7a.branch7x7x3_4"),
        ("mixed_9/tower/mixed/conv_1", "Mixed_7b.branch3x3_2b"),
        ("mixed_10/tower_1/mixed/conv", "Mixed_7c.branch3x3dbl_3a"),
        ("mixed_10/tower_2/conv", "Mixed_7c.branch_pool"),
    ],
)
def test_a_scope_of_the_graph_is_a_module_of_pytorch(scope: str, module: str) -> None:
    names = torch_names()
    assert names[f"{scope}/conv2d_params"] == f"{module}.conv.weight"
    assert names[f"{scope}/batchnorm/gamma"] == f"{module}.bn.weight"
    assert names[f"{scope}/batchnorm/beta"] == f"{module}.bn.bias"
    assert names[f"{scope}/batchnorm/moving_mean"] == f"{module}.bn.running_mean"
    assert names[f"{scope}/batchnorm/moving_variance"] == f"{module}.bn.running_var"


def test_every_tensor_has_one_name_of_its_own() -> None:
    names = torch_names()
    assert list(names) == list(tensor_shapes())
    assert len(set(names.values())) == len(names) == 94 * 5 + 2


def empty_state() -> dict[str, Any]:
    """Every tensor as PyTorch has it, of zeros that take no memory."""
    shapes = tensor_shapes()
    return {
        theirs: np.broadcast_to(np.float32(0), [shapes[ours][axis] for axis in TURNED[len(shapes[ours])]])
        for ours, theirs in torch_names().items()
    }


TURNED = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
"""Number of axes → the axes of the graph in the order of PyTorch."""


def test_zeros_in_the_right_shapes_are_converted_and_counters_left_out() -> None:
    state = empty_state() | {"Conv2d_1a_3x3.bn.num_batches_tracked": np.zeros((), np.int64)}
    converted = convert_state_dict(state, PATH)
    assert {name: value.shape for name, value in converted.items()} == tensor_shapes()


def refusal(state: dict[str, Any]) -> str:
    with pytest.raises(InvalidInput) as caught:
        convert_state_dict(state, PATH)
    assert str(caught.value.received).startswith(f"{PATH}: ")
    return str(caught.value.received)


def test_a_missing_tensor_is_named() -> None:
    state = empty_state()
    del state["Mixed_6c.branch_pool.bn.bias"]
    assert "1 missing, such as Mixed_6c.branch_pool.bn.bias" in refusal(state)


def test_an_unknown_tensor_is_named() -> None:
    state = empty_state()
    state["AuxLogits.fc.bias"] = np.zeros(1008, np.float32)
    assert "1 unknown, such as AuxLogits.fc.bias" in refusal(state)


def test_another_network_is_named_with_both_sides() -> None:
    received = refusal({"layer1.weight": np.zeros((3, 3), np.float32)})
    assert "472 missing, such as Conv2d_1a_3x3.conv.weight" in received
    assert "1 unknown, such as layer1.weight" in received


def test_a_classifier_of_another_size_is_refused() -> None:
    state = empty_state()
    state["fc.weight"] = state["fc.weight"][:1000]
    assert "softmax/weights has the shape (2048, 1000) instead of (2048, 1008)" in refusal(state)


def test_half_precision_is_refused() -> None:
    state = empty_state()
    state["fc.bias"] = state["fc.bias"].astype(np.float16)
    assert "fc.bias is float16, not float32" in refusal(state)


def test_without_pytorch_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # what an import finds where it is not installed
    path = tmp_path / "weights.pth"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(InvalidInput) as caught:
        read_state_dict(path)
    assert "PyTorch, which is not installed" in caught.value.what
    assert caught.value.received == str(path)
    assert "pip install 'vaeval[torch]'" in str(caught.value.expected)
    assert "classify_image_graph_def.pb" in str(caught.value.expected)
    assert f"vaeval weights import {path}" in str(caught.value.next_step)


def test_a_release_of_pytorch_that_is_not_safe_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = types.ModuleType("torch")
    old.__version__ = "2.5.1+cpu"
    old.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]  find_spec asks for one that is not None
    monkeypatch.setitem(sys.modules, "torch", old)
    with pytest.raises(InvalidInput) as caught:
        read_state_dict(tmp_path / "weights.pth")
    assert caught.value.received == "PyTorch 2.5.1+cpu"
    assert caught.value.expected == "PyTorch 2.6 or newer"

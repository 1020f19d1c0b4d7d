"""State dicts as PyTorch has them, turned into tensors of the graph.

That the names are torch-fidelity's and the numbers come out alike is shown by benchmarks/parity_torch_fidelity.py, which
needs both; here names are held against the published correspondence. What opens a real file is skipped without PyTorch.
"""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inception_tensors import as_state_dict, graph_bytes, random_tensors
from vaeval_core.errors import InvalidInput
from vaeval_core.features.converted_weights import checked, tensor_shapes, tensors_digest
from vaeval_core.features.graph_definition import read_constants
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


def test_a_state_dict_and_a_graph_of_the_same_weights_have_one_digest() -> None:
    converted = convert_state_dict(as_state_dict(random_tensors()), PATH)
    graph = checked(read_constants(graph_bytes(random_tensors()), Path("graph.pb")), Path("graph.pb"))
    assert tensors_digest(converted) == tensors_digest(graph)
    for name, value in random_tensors().items():
        np.testing.assert_array_equal(converted[name], value)


def refusal(state: dict[str, Any]) -> str:
    with pytest.raises(InvalidInput) as caught:
        convert_state_dict(state, PATH)
    assert str(caught.value.received).startswith(f"{PATH}: ")
    return str(caught.value.received)


def test_a_missing_tensor_is_named() -> None:
    state = as_state_dict(random_tensors())
    del state["Mixed_6c.branch_pool.bn.bias"]
    assert "1 missing, such as Mixed_6c.branch_pool.bn.bias" in refusal(state)


def test_an_unknown_tensor_is_named() -> None:
    state = as_state_dict(random_tensors())
    state["AuxLogits.fc.bias"] = np.zeros(1008, np.float32)
    assert "1 unknown, such as AuxLogits.fc.bias" in refusal(state)


def test_another_network_is_named_with_both_sides() -> None:
    received = refusal({"layer1.weight": np.zeros((3, 3), np.float32)})
    assert "472 missing, such as Conv2d_1a_3x3.conv.weight" in received
    assert "1 unknown, such as layer1.weight" in received


def test_a_classifier_of_another_size_is_refused() -> None:
    state = as_state_dict(random_tensors())
    state["fc.weight"] = state["fc.weight"][:1000]
    assert "softmax/weights has the shape (2048, 1000) instead of (2048, 1008)" in refusal(state)


def test_half_precision_is_refused() -> None:
    state = as_state_dict(random_tensors())
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


# --- with PyTorch -----------------------------------------------------------------------------------------------------


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is an optional extra")


@pytest.mark.parametrize("zipped", [True, False], ids=["as since 1.6", "as before 1.6"])
def test_a_file_that_pytorch_wrote_is_read(torch: Any, tmp_path: Path, zipped: bool) -> None:
    state = {name: torch.from_numpy(np.array(value)) for name, value in as_state_dict(random_tensors()).items()}
    path = tmp_path / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    tensors = read_state_dict(path)
    for name, value in random_tensors().items():
        np.testing.assert_array_equal(tensors[name], value)


class RunsAProgram:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (self.victim,))


def test_a_file_that_would_run_a_program_is_refused_and_runs_none(torch: Any, tmp_path: Path) -> None:
    path, victim = tmp_path / "weights.pth", tmp_path / "touched"
    torch.save({"fc.weight": RunsAProgram(victim)}, path)
    with pytest.raises(InvalidInput, match="PyTorch says: "):
        read_state_dict(path)
    assert not victim.exists()


def test_a_truncated_file_is_refused(torch: Any, tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"fc.weight": torch.zeros(100)}, content)
    path = tmp_path / "weights.pth"
    path.write_bytes(content.getvalue()[:-200])
    with pytest.raises(InvalidInput, match="no state dict of the Inception network"):
        read_state_dict(path)

"""A state dict of the whole network against the graph of the same weights, and files that PyTorch itself wrote.

What opens a file is skipped without PyTorch, which is an extra.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inception_tensors import as_state_dict, graph_bytes, random_tensors
from vaeval_core.errors import InvalidInput
from vaeval_core.features.converted_weights import checked
from vaeval_core.features.graph_definition import read_constants
from vaeval_core.features.tensor_files import tensors_digest
from vaeval_core.features.torch_state_dict import convert_state_dict, read_state_dict

PATH = Path("weights.pth")


def test_a_state_dict_and_a_graph_of_the_same_weights_have_one_digest() -> None:
    converted = convert_state_dict(as_state_dict(random_tensors()), PATH)
    graph = checked(read_constants(graph_bytes(random_tensors()), Path("graph.pb")), Path("graph.pb"))
    assert tensors_digest(converted) == tensors_digest(graph)
    for name, value in random_tensors().items():
        np.testing.assert_array_equal(converted[name], value)


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is an optional extra")


@pytest.mark.backend
@pytest.mark.parametrize("zipped", [True, False], ids=["as since 1.6", "as before 1.6"])
def test_a_file_that_pytorch_wrote_is_read(torch: Any, tmp_path: Path, zipped: bool) -> None:
    state = {name: torch.from_numpy(np.array(value)) for name, value in as_state_dict(random_tensors()).items()}
    path = tmp_path / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    tensors = read_state_dict(path)
    for name, value in random_tensors().items():
        np.testing.assert_array_equal(tensors[name], value)


@pytest.mark.backend
def test_parameters_that_were_trained_are_read_as_values(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": torch.nn.Parameter(torch.zeros(1008))}, path)
    with pytest.raises(InvalidInput, match="471 missing"):
        read_state_dict(path)


@pytest.mark.backend
@pytest.mark.parametrize("kind", ["bfloat16", "sparse_coo", "meta"])
def test_tensors_without_plain_float32_values_are_refused_by_name(torch: Any, tmp_path: Path, kind: str) -> None:
    tensor = {
        "bfloat16": lambda: torch.zeros(4, dtype=torch.bfloat16),
        "sparse_coo": lambda: torch.zeros(4).to_sparse(),
        "meta": lambda: torch.zeros(4, device="meta"),
    }[kind]()
    path = tmp_path / "weights.pth"
    torch.save({"fc.bias": tensor}, path)
    with pytest.raises(InvalidInput) as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value.received)
    assert "weights-inception-2015-12-05-6726825d.pth" in str(caught.value.expected)
    assert "fc.bias is torch." in str(caught.value.received)


class RunsAProgram:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (self.victim,))


@pytest.mark.backend
def test_a_file_that_would_run_a_program_is_refused_and_runs_none(torch: Any, tmp_path: Path) -> None:
    path, victim = tmp_path / "weights.pth", tmp_path / "touched"
    torch.save({"fc.weight": RunsAProgram(victim)}, path)
    with pytest.raises(InvalidInput, match="PyTorch says: "):
        read_state_dict(path)
    assert not victim.exists()


@pytest.mark.backend
def test_a_truncated_file_is_refused(torch: Any, tmp_path: Path) -> None:
    content = io.BytesIO()
    torch.save({"fc.weight": torch.zeros(100)}, content)
    path = tmp_path / "weights.pth"
    path.write_bytes(content.getvalue()[:-200])
    with pytest.raises(InvalidInput, match="no state dict of the Inception network"):
        read_state_dict(path)

"""Weights of LPIPS: from the names of the package to a file in the weights folder, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.lpips_tensors import lpips_state
from vaeval_core.errors import InvalidInput, NotFound, WeightsUnavailable
from vaeval_core.features.lpips_weights import (
    convert_state_dict,
    import_lpips_weights,
    load_lpips_weights,
    shapes_of,
)
from vaeval_core.features.tensor_files import Tensors
from vaeval_core.features.weights_catalogue import (
    fetch_weights,
    import_weights_file,
    is_published,
    list_weights,
    verify_weights,
)
from vaeval_core.protocol import PerceptualNetwork, PerceptualSpec
from vaeval_core.types import Float32

PATH = Path("lpips.pth")


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return convert_state_dict(lpips_state("alex"), PATH)[1]


@pytest.fixture(scope="module")
def converted(tensors: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted file of another machine."""
    path = tmp_path_factory.mktemp("other") / "of-a-friend"
    save_file(tensors, path)
    return path


@pytest.mark.parametrize(("network", "convolutions"), [("alex", 5), ("vgg", 13)])
def test_the_network_is_told_by_its_tensors(network: PerceptualNetwork, convolutions: int) -> None:
    found, tensors = convert_state_dict(lpips_state(network), PATH)
    assert found == network
    assert {name: value.shape for name, value in tensors.items()} == shapes_of(network)
    assert sum(name.endswith("kernel") for name in tensors) == convolutions


def test_kernels_are_turned_and_nothing_is_rounded(tensors: Tensors) -> None:
    state = lpips_state("alex")
    np.testing.assert_array_equal(
        tensors["net.slice2.3/kernel"][1, 4, 20, 100], state["net.slice2.3.weight"][100, 20, 1, 4]
    )
    np.testing.assert_array_equal(tensors["lin3"], state["lin3.model.1.weight"][0, :, 0, 0])


def test_a_model_that_was_made_without_dropout_has_the_same_weights(tensors: Tensors) -> None:
    state = {name.replace(".model.1.", ".model.0."): value for name, value in lpips_state("alex").items()}
    _, same = convert_state_dict(state, PATH)
    for name, value in tensors.items():
        np.testing.assert_array_equal(same[name], value)


def without(name: str) -> dict[str, Float32]:
    return {key: value for key, value in lpips_state("alex").items() if key != name}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (without("scaling_layer.shift"), "there is no scaling_layer.shift"),
        ({**lpips_state("alex"), "scaling_layer.scale": np.ones((1, 3, 1, 1), np.float32)}, "scaling_layer.scale is 1, 1, 1"),
        (without("net.slice3.6.bias"), "for alex, 1 tensors are missing, such as net.slice3.6/bias"),
        ({**lpips_state("alex"), "net.slice1.0.bias": np.zeros(63, np.float32)}, r"bias is float32 \(63,\) instead"),
        ({**lpips_state("alex"), "net.slice1.0.bias": np.zeros(64)}, "net.slice1.0/bias is float64"),
        ({**lpips_state("alex"), "net.slice1.0.bias": np.full(64, np.nan, np.float32)}, "net.slice1.0/bias holds values that"),
        (
            {**lpips_state("alex"), "lin2.model.1.weight": np.full((1, 384, 1, 1), -0.1, np.float32)},
            "lin2 holds a negative weight, so that a distance could be below 0",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(state: dict[str, Float32], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        convert_state_dict(state, PATH)
    assert caught.value.what == "The file does not hold the weights of LPIPS."
    assert "lpips.LPIPS(net='alex')" in caught.value.expected
    assert "torch.save(lpips.LPIPS(net='vgg').state_dict()" in str(caught.value.next_step)


def test_a_converted_file_of_another_machine_is_read_without_pytorch(
    converted: Path, tensors: Tensors, tmp_path: Path
) -> None:
    spec = import_lpips_weights(converted, tmp_path)
    assert spec.network == "alex"
    assert [path.name for path in tmp_path.glob("*.lpips")] == [f"{spec.weights_digest}.lpips"]
    loaded = load_lpips_weights(spec, tmp_path)
    assert loaded.keys() == tensors.keys()
    assert import_lpips_weights(tmp_path / f"{spec.weights_digest}.lpips", tmp_path) == spec


def test_damage_is_noticed_and_repaired_by_the_same_file(converted: Path, tmp_path: Path) -> None:
    spec = import_lpips_weights(converted, tmp_path)
    path = tmp_path / f"{spec.weights_digest}.lpips"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match="LPIPS weights of this evaluation are not on this machine") as caught:
        load_lpips_weights(spec, tmp_path)
    assert caught.value.next_step == "copy the file from the weights folder of the machine that submitted"
    assert [entry.status for entry in verify_weights(tmp_path)] == ["damaged"]
    import_lpips_weights(converted, tmp_path)
    assert [entry.status for entry in verify_weights(tmp_path)] == ["unverified"]


def test_weights_that_were_never_brought_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=rf"Received: no undamaged file {tmp_path / ('a' * 64)}\.lpips"):
        load_lpips_weights(PerceptualSpec(network="vgg", weights_digest="a" * 64), tmp_path)


def test_they_are_listed_beside_those_of_extractors(converted: Path, tmp_path: Path) -> None:
    absent = next(entry for entry in list_weights(tmp_path) if entry.name == "lpips")
    assert (absent.status, absent.urls) == ("absent", ())
    entry = import_weights_file(converted, tmp_path, "lpips", allow_unverified=False)
    assert (entry.name, entry.status, entry.source) == ("lpips", "unverified", "of-a-friend")
    assert [each.status for each in list_weights(tmp_path) if each.name == "lpips"] == ["unverified"]
    assert not is_published("lpips", str(entry.digest), tmp_path)


def test_fetching_says_how_to_make_the_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="Nobody publishes the weights of LPIPS in one file") as caught:
        fetch_weights("lpips", tmp_path)
    assert "--lpips-weights lpips-vgg.pth" in str(caught.value.next_step)


def test_other_files_are_refused_by_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no such weights file"):
        import_lpips_weights(tmp_path / "none.pth", tmp_path)
    graph = tmp_path / "graph.pb"
    graph.write_bytes(b"\n\x05hello")
    with pytest.raises(InvalidInput, match="its format is graph"):
        import_lpips_weights(graph, tmp_path)
    save_file({"fc": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(InvalidInput, match="15 tensors are missing"):
        import_lpips_weights(tmp_path / "other.safetensors", tmp_path)

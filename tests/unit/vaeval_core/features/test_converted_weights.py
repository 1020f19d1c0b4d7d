"""The one form of the Inception weights: what it holds, what identifies it, and what is refused.

Where only the way of the file is tested, six tensors stand for the whole network.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.inception_tensors import small_tensors
from vaeval_core.errors import InvalidInput, WeightsUnavailable
from vaeval_core.features import converted_weights
from vaeval_core.features.converted_weights import (
    checked,
    fold,
    holds_converted,
    load_converted,
    read_converted,
    tensor_shapes,
    write_converted,
)
from vaeval_core.features.tensor_files import Source, Tensors, source_of, tensors_digest
from vaeval_core.features.verified_weights import WeightsFolder

PATH = Path("weights")
SOURCE = Source("graph.pb", "a" * 64)


@pytest.fixture
def tensors(_small_network: None) -> Tensors:
    return dict(small_tensors())


@pytest.fixture
def store(tmp_path: Path) -> WeightsFolder:
    return WeightsFolder(tmp_path / "weights")


def written(store: WeightsFolder, tensors: Tensors, source: Source = SOURCE) -> str:
    with store.writing():
        return write_converted(store, tensors, source)


def test_the_network_has_472_tensors() -> None:
    shapes = tensor_shapes()
    assert len(shapes) == 472
    assert shapes["conv/conv2d_params"] == (3, 3, 3, 32)
    assert shapes["mixed_9/tower/mixed/conv_1/conv2d_params"] == (3, 1, 384, 384)
    assert shapes["softmax/weights"] == (2048, 1008)


def test_what_was_written_is_read_back_bit_for_bit(store: WeightsFolder, tensors: Tensors) -> None:
    digest = written(store, tensors)
    assert [path.name for path in store.files("*.safetensors")] == [f"{digest}.safetensors"]
    back = load_converted(store, digest)
    assert list(back) == list(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(back[name], value)


def test_the_source_is_noted_and_does_not_count(store: WeightsFolder, tensors: Tensors, tmp_path: Path) -> None:
    digest = written(store, tensors)
    assert source_of(store.converted_path_of(digest)) == SOURCE
    other = WeightsFolder(tmp_path / "other")
    assert written(other, tensors, Source("weights.pth", "b" * 64)) == digest


def test_writing_again_leaves_the_file_as_it_is(store: WeightsFolder, tensors: Tensors) -> None:
    path = store.converted_path_of(written(store, tensors))
    before = path.stat().st_mtime_ns, path.stat().st_ino
    written(store, tensors, Source("weights.pth", "b" * 64))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_one_bit_changes_the_digest(tensors: Tensors) -> None:
    changed = tensors | {"softmax/biases": np.nextafter(tensors["softmax/biases"], np.float32(9))}
    assert tensors_digest(changed) != tensors_digest(tensors)


def test_values_of_one_tensor_under_the_name_of_another_change_the_digest(tensors: Tensors) -> None:
    gamma, beta = tensors["conv_3/batchnorm/gamma"], tensors["conv_3/batchnorm/beta"]
    exchanged = tensors | {"conv_3/batchnorm/gamma": beta, "conv_3/batchnorm/beta": gamma}
    assert tensors_digest(exchanged) != tensors_digest(tensors)


def test_normalisation_is_folded_with_its_gamma(tensors: Tensors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converted_weights, "kernel_shapes", lambda: {"conv_3": (1, 1, 64, 80)})
    kernel, bias = fold(tensors)["conv_3"]
    parts = {name: tensors[f"conv_3/batchnorm/{name}"].astype(np.float64) for name in ("gamma", "beta")}
    scale = parts["gamma"] / np.sqrt(tensors["conv_3/batchnorm/moving_variance"] + 0.001)
    np.testing.assert_allclose(kernel, tensors["conv_3/conv2d_params"] * scale, rtol=1e-6)
    mean = tensors["conv_3/batchnorm/moving_mean"]
    np.testing.assert_allclose(bias, parts["beta"] - mean * scale, rtol=1e-5, atol=1e-6)


def refusal(found: Tensors) -> str:
    with pytest.raises(InvalidInput) as caught:
        checked(found, PATH)
    assert "inception-v3-fid" in caught.value.what
    assert "inception-2015-12-05" in str(caught.value.expected)
    return str(caught.value.received)


def test_missing_tensors_are_counted_and_named(tensors: Tensors) -> None:
    del tensors["conv_3/batchnorm/gamma"], tensors["softmax/biases"]
    assert refusal(tensors) == f"{PATH}: 2 of its tensors are missing, such as conv_3/batchnorm/gamma, softmax/biases"


def test_another_shape_is_named(tensors: Tensors) -> None:
    tensors["softmax/biases"] = np.zeros(1000, np.float32)
    assert "softmax/biases has the shape (1000,) instead of (1008,)" in refusal(tensors)


def test_values_that_are_not_finite_are_refused(tensors: Tensors) -> None:
    tensors["conv_3/conv2d_params"] = np.full_like(tensors["conv_3/conv2d_params"], np.nan)
    assert "conv_3/conv2d_params holds values that are not finite" in refusal(tensors)


def test_a_negative_variance_is_refused(tensors: Tensors) -> None:
    tensors["conv_3/batchnorm/moving_variance"] = -tensors["conv_3/batchnorm/moving_variance"]
    assert "conv_3/batchnorm/moving_variance holds a negative variance" in refusal(tensors)


def test_what_else_a_file_holds_is_left_out(tensors: Tensors) -> None:
    assert list(checked({"Sub/y": np.float32([128]), **tensors}, PATH)) == list(tensors)


@pytest.mark.parametrize("damage", ["cut off", "a bit", "gone"])
def test_a_damaged_file_is_not_held(store: WeightsFolder, tensors: Tensors, damage: str) -> None:
    digest = written(store, tensors)
    path = store.converted_path_of(digest)
    if damage == "gone":
        path.unlink()
    elif damage == "cut off":
        path.write_bytes(path.read_bytes()[:-1000])
    else:
        content = bytearray(path.read_bytes())
        content[-1000] ^= 1
        path.write_bytes(content)
    assert not holds_converted(store, digest)
    with pytest.raises(WeightsUnavailable) as caught:
        load_converted(store, digest)
    assert caught.value.received == f"no undamaged file {path}"
    assert "copy the file" in str(caught.value.next_step)
    assert written(store, tensors) == digest
    assert holds_converted(store, digest)


def test_a_file_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{not json at all}")
    with pytest.raises(InvalidInput, match="safetensors says"):
        read_converted(path)
    assert source_of(path) is None


def test_a_file_without_a_note_has_no_source(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"x": np.zeros(1, np.float32)}, path)
    assert source_of(path) is None


@pytest.mark.parametrize(("kind", "size"), [("BF16", 2), ("F8_E4M3", 1), ("F64", 8)])
def test_another_precision_than_float32_is_refused(tmp_path: Path, kind: str, size: int) -> None:
    header = json.dumps({"weight": {"dtype": kind, "shape": [1], "data_offsets": [0, size]}}).encode("ascii")
    path = tmp_path / "weights.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(InvalidInput) as caught:
        read_converted(path)
    assert f"weight of {kind}" in str(caught.value.received)
    assert "float32" in str(caught.value.received)

"""Wrong weight files are refused at once, with what is wrong about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.features.keras_weights_file import check_keras_weights

NEEDED = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"

Layers = dict[str, Any]
Write = Callable[[Layers], Path]


def refusal(path: Path) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        check_keras_weights(path)
    assert str(path) in str(caught.value.received)
    assert NEEDED in str(caught.value.expected)
    assert str(caught.value.next_step).endswith(NEEDED)
    return caught.value


def test_the_right_layers_are_accepted(keras_weights_path: Path) -> None:
    check_keras_weights(keras_weights_path)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_text("<html>404 Not Found</html>", encoding="ascii")
    assert "it is not an HDF5 file" in str(refusal(path).received)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.touch()
    assert "it is not an HDF5 file" in str(refusal(path).received)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path)


def test_a_truncated_hdf5_file_is_refused(keras_weights_path: Path) -> None:
    whole = keras_weights_path.read_bytes()
    keras_weights_path.write_bytes(whole[: len(whole) // 2])
    assert "truncated file" in str(refusal(keras_weights_path).received)


def test_a_damaged_hdf5_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv2d"]
    path.write_bytes(path.read_bytes().replace(b"layer_names", b"layer\0names"))
    assert "HDF5 says: " in str(refusal(path).received)


@pytest.mark.slow
def test_the_variant_with_the_classifier_is_told_apart(keras_layers: Layers, write_layers: Write) -> None:
    keras_layers["predictions"] = [("predictions/kernel:0", (2048, 1000)), ("predictions/bias:0", (1000,))]
    assert "this is the variant with the classifier on top" in str(refusal(write_layers(keras_layers)).received)


def test_a_missing_layer_is_reported_with_its_shape(keras_layers: Layers, write_layers: Write) -> None:
    del keras_layers["conv2d_2"]
    received = str(refusal(write_layers(keras_layers)).received)
    assert "of its layers 1 is missing, such as weights of shape 3×3×32×32" in received


def test_another_network_is_reported_with_both_sides(write_layers: Write) -> None:
    path = write_layers({"block1_conv1": [("kernel:0", (3, 3, 3, 64)), ("bias:0", (64,))]})
    received = str(refusal(path).received)
    assert "188 are missing" in received
    assert "1 is unknown, such as weights of shape 3×3×3×64 and 64" in received


def test_the_format_of_keras_3_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "inception.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/conv2d/vars")
    assert "it has no list of layers at its root, only layers" in str(refusal(path).received)


def test_a_layer_that_is_listed_but_absent_is_refused(keras_weights_path: Path) -> None:
    with h5py.File(keras_weights_path, "r+") as file:
        del file["conv2d_17"]
    assert "conv2d_17" in str(refusal(keras_weights_path).received)


def test_weights_that_lie_in_another_file_are_refused(keras_weights_path: Path, tmp_path: Path) -> None:
    with h5py.File(keras_weights_path, "r+") as file:
        file["elsewhere"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/conv2d")
    assert "elsewhere is kept outside the file" in str(refusal(keras_weights_path).received)

"""Describing checkpoints from hand-made files, and noticing when files change. No Keras is loaded here."""

from __future__ import annotations

import copy
import errno
import hashlib
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.vaeval_core.checkpoints.keras_files import a_decoder, an_encoder, archive, functional, layer
from vaeval_core.checkpoints import catalogue
from vaeval_core.checkpoints.catalogue import describe, load
from vaeval_core.checkpoints.keras_graph import read_graph
from vaeval_core.checkpoints.keras_parts import KerasPart, KerasParts
from vaeval_core.checkpoints.keras_plan import plan_keras_vae
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae, linear_gaussian_vae, load_linear_gaussian
from vaeval_core.checkpoints.sidecar import CheckpointSettings
from vaeval_core.errors import CheckpointRejected, StorageFailed
from vaeval_core.likelihood import Likelihood

PairWriter = Callable[..., Path]


def test_a_pair_is_described_from_its_files(write_pair: PairWriter) -> None:
    folder = write_pair("step-300")
    description = describe(folder)
    lines = [
        f"{name}\0{hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n"
        for name in ("decoder.keras", "encoder.keras")
    ]
    assert description.digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (description.path, description.format) == (folder, "keras-pair")
    assert (description.name, description.step) == ("runs/step-300", 300)
    assert (description.image_shape, description.latent_shape) == ((8, 8, 1), (3,))
    assert (description.posterior, description.image_range) == ("diagonal", (0.0, 1.0))


def test_one_file_of_a_pair_is_the_pair(write_pair: PairWriter) -> None:
    folder = write_pair()
    assert describe(folder / "encoder.keras") == describe(folder / "decoder.keras") == describe(folder)


def test_a_sidecar_is_a_part_of_the_checkpoint(write_pair: PairWriter) -> None:
    plain, with_range = describe(write_pair("a")), describe(write_pair("b", sidecar="image_range: [-1, 1]\n"))
    assert plain.digest != with_range.digest
    assert with_range.image_range == (-1.0, 1.0)
    assert with_range.notes == ("The image range is vaeval.yaml's.",)


def test_a_likelihood_is_known_where_it_is_declared(write_pair: PairWriter) -> None:
    silent, declared = describe(write_pair("a")), describe(write_pair("b", sidecar="likelihood: gaussian:0.025\n"))
    assert (silent.likelihood, silent.as_json()["likelihood"]) == (None, None)
    assert declared.as_json()["likelihood"] == {"kind": "gaussian", "sigma": 0.025}


def test_describing_loads_no_network_library(write_pair: PairWriter) -> None:
    folder = write_pair()
    program = (
        "import sys; from pathlib import Path; from vaeval_core.checkpoints.catalogue import describe\n"
        f"describe(Path({str(folder)!r}))\n"
        "print(sorted({'h5py', 'jax', 'keras', 'tensorflow', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.stdout.strip(), result.stderr) == ("[]", "")


def test_a_latent_size_that_does_not_fit_names_both_numbers(write_pair: PairWriter) -> None:
    with pytest.raises(CheckpointRejected, match="latent size does not fit the decoder") as caught:
        describe(write_pair(encoder=an_encoder(3), decoder=a_decoder(5)))
    assert "z_mean of 3 numbers, decoder input of 5" in str(caught.value.received)


def test_images_that_do_not_fit_name_both_shapes(write_pair: PairWriter) -> None:
    decoder = a_decoder()
    decoder["config"]["layers"][1]["config"]["units"] = 128
    decoder["config"]["layers"][2]["config"]["target_shape"] = [8, 16, 1]
    with pytest.raises(CheckpointRejected, match="The decoder gives other images") as caught:
        describe(write_pair(decoder=decoder))
    assert "(8, 16, 1)" in str(caught.value.received)
    assert "(8, 8, 1)" in str(caught.value.received)


def test_a_conditional_decoder_is_refused(write_pair: PairWriter) -> None:
    decoder = a_decoder()
    label = layer("InputLayer", "label", batch_shape=[None, 3], dtype="float32")
    joined = layer("Add", "joined", [("latent", (3,)), ("label", (3,))])
    pixels = layer("Dense", "pixels", [("joined", (3,))], units=64, activation="sigmoid")
    decoder["config"]["layers"][1:2] = [label, joined, pixels]
    with pytest.raises(CheckpointRejected, match="takes 2 inputs: conditional") as caught:
        describe(write_pair(decoder=decoder))
    assert caught.value.received == "latent, label"


def test_an_encoder_for_whole_numbers_is_refused(write_pair: PairWriter) -> None:
    encoder = an_encoder()
    encoder["config"]["layers"][0]["config"]["dtype"] = "uint8"
    with pytest.raises(CheckpointRejected, match=r"dtype uint8.*float32"):
        describe(write_pair(encoder=encoder))


def test_an_open_latent_size_is_refused(write_pair: PairWriter) -> None:
    decoder = a_decoder()
    decoder["config"]["layers"][0]["config"]["batch_shape"] = [None, None]
    with pytest.raises(CheckpointRejected, match=r"leaves the latent size open.*decoder input"):
        describe(write_pair(decoder=decoder))


def test_a_model_that_was_never_built_is_refused(write_pair: PairWriter) -> None:
    dense = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "dense", "units": 64}}
    decoder = {"class_name": "Sequential", "module": "keras", "config": {"name": "decoder", "layers": [dense]}}
    with pytest.raises(CheckpointRejected, match="The decoder was never built"):
        describe(write_pair(decoder=decoder))


def test_several_decoder_outputs_need_one_that_is_called_the_mean(write_pair: PairWriter) -> None:
    decoder = a_decoder()
    decoder["config"]["output_layers"] = {"image": ["reshape", 0, 0], "features": ["pixels", 0, 0]}
    with pytest.raises(CheckpointRejected, match=r"several outputs.*image, features"):
        describe(write_pair("a", decoder=decoder))
    decoder["config"]["output_layers"] = {"image_mean": ["reshape", 0, 0], "image_log_var": ["pixels", 0, 0]}
    assert describe(write_pair("b", decoder=decoder)).image_shape == (8, 8, 1)


def test_an_encoder_of_its_authors_class_is_refused(write_pair: PairWriter) -> None:
    encoder = {"class_name": "ResidualEncoder", "module": "training.models", "config": {}}
    with pytest.raises(CheckpointRejected, match=r"class ResidualEncoder of module training\.models") as caught:
        describe(write_pair(encoder=encoder))
    assert "keras.Model(inputs, outputs)" in str(caught.value.expected)


@pytest.mark.parametrize(
    ("settings_in_layer", "named"),
    [
        ({"activation": {"class_name": "function", "module": "builtins", "config": "my_act"}}, "function my_act"),
        ({"kernel_constraint": {"class_name": "Mine", "module": "training", "config": {}}}, "Mine"),
        ({"activation": {"class_name": "__lambda__", "config": {"code": "4wEA"}}}, "lambda"),
    ],
)
def test_code_inside_a_layer_of_keras_is_found(
    write_pair: PairWriter, settings_in_layer: dict[str, Any], named: str
) -> None:
    decoder = a_decoder()
    decoder["config"]["layers"][1]["config"] |= settings_in_layer
    with pytest.raises(CheckpointRejected, match=f"layer 'pixels' of class {named}"):
        describe(write_pair(decoder=decoder))


@pytest.mark.parametrize("class_name", ["Lambda", "TFSMLayer", "TorchModuleWrapper"])
def test_layers_of_keras_that_carry_code_count_as_foreign(write_pair: PairWriter, class_name: str) -> None:
    decoder = a_decoder()
    decoder["config"]["layers"][2]["class_name"] = class_name
    with pytest.raises(CheckpointRejected, match=f"layer 'reshape' of class {class_name}"):
        describe(write_pair(decoder=decoder))


@pytest.mark.parametrize(
    ("activation", "expected", "noted"),
    [
        ("sigmoid", (0.0, 1.0), False),
        ("tanh", (-1.0, 1.0), False),
        ("linear", (0.0, 1.0), True),
        ("softplus", (0.0, 1.0), True),
    ],
)
def test_the_image_range_follows_from_how_the_decoder_ends(
    write_pair: PairWriter, activation: str, expected: tuple[float, float], noted: bool
) -> None:
    description = describe(write_pair(decoder=a_decoder(activation=activation)))
    assert description.image_range == expected
    assert any("ends without sigmoid or tanh" in note for note in description.notes) is noted


def test_logits_that_already_went_through_a_sigmoid_are_refused(write_pair: PairWriter) -> None:
    with pytest.raises(CheckpointRejected, match="decoder_output: logits with last activation sigmoid"):
        describe(write_pair(sidecar="decoder_output: logits"))


def test_a_linear_gaussian_folder_is_described_and_loaded(tmp_path: Path) -> None:
    model = linear_gaussian_vae(np.eye(4, 2), np.full(4, 0.5), 0.1, (2, 2, 1))
    file = model.save(tmp_path / "pca" / "epoch-2")
    description = describe(file)
    assert (description.path, description.format) == (tmp_path / "pca" / "epoch-2", "linear-gaussian")
    assert (description.name, description.step) == ("pca/epoch-2", 2)
    assert (description.image_shape, description.latent_shape) == ((2, 2, 1), (2,))
    loaded = load(description.path, description.digest)
    assert isinstance(loaded, LinearGaussianVae)
    assert loaded.likelihood == description.likelihood == Likelihood(kind="gaussian", sigma=math.sqrt(0.1))


def test_a_file_altered_after_it_was_described_is_refused(tmp_path: Path) -> None:
    file = linear_gaussian_vae(np.eye(4, 2), np.full(4, 0.5), 0.1, (2, 2, 1)).save(tmp_path)
    digest = describe(tmp_path).digest
    linear_gaussian_vae(np.eye(4, 2), np.full(4, 0.5), 0.2, (2, 2, 1)).save(file)
    with pytest.raises(CheckpointRejected, match="altered after it was submitted") as caught:
        load(tmp_path, digest)
    assert digest[:12] in str(caught.value.expected)
    assert describe(tmp_path).digest[:12] in str(caught.value.received)


def test_a_file_altered_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = linear_gaussian_vae(np.eye(4, 2), np.full(4, 0.5), 0.1, (2, 2, 1)).save(tmp_path)
    digest = describe(tmp_path).digest

    def read_and_alter(path: Path) -> LinearGaussianVae:
        model = load_linear_gaussian(path)
        linear_gaussian_vae(np.eye(4, 2), np.full(4, 0.5), 0.2, (2, 2, 1)).save(file)
        return model

    monkeypatch.setattr(catalogue, "load_linear_gaussian", read_and_alter)
    with pytest.raises(CheckpointRejected, match="altered after it was submitted"):
        load(tmp_path, digest)


@pytest.mark.parametrize("is_lost", ["file", "folder", "mounted folder"])
def test_a_checkpoint_that_this_machine_does_not_see_is_not_rejected(tmp_path: Path, is_lost: str) -> None:
    folder = tmp_path / "run" / "step-2"
    linear_gaussian_vae(np.eye(4, 2), np.full(4, 0.5), 0.1, (2, 2, 1)).save(folder)
    digest = describe(folder).digest
    shutil.rmtree(folder if is_lost == "file" else folder.parent)
    if is_lost == "mounted folder":
        folder.mkdir(parents=True)  # where a share would be mounted
    with pytest.raises(StorageFailed) as caught:
        load(folder, digest)
    assert str(folder) in str(caught.value.received)
    assert "on every machine with a worker" in str(caught.value.expected)
    assert "mounted" in str(caught.value.next_step)


def test_half_a_pair_is_a_fault_of_the_machine_that_sees_only_that(write_pair: PairWriter) -> None:
    folder = write_pair()
    digest = describe(folder).digest
    (folder / "decoder.keras").unlink()
    with pytest.raises(StorageFailed, match="This machine cannot read"):
        load(folder, digest)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_an_error_of_the_operating_system_is_no_rejection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    linear_gaussian_vae(np.eye(4, 2), np.full(4, 0.5), 0.1, (2, 2, 1)).save(tmp_path)
    digest = describe(tmp_path).digest

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(StorageFailed) as caught:
        load(tmp_path, digest)
    assert caught.value.received == f"{tmp_path} ({os.strerror(number)})"
    assert caught.value.expected


def test_a_sidecar_added_after_it_was_described_is_noticed(write_pair: PairWriter) -> None:
    folder = write_pair()
    digest = describe(folder).digest
    (folder / "vaeval.yaml").write_text("image_range: [-1, 1]")
    with pytest.raises(CheckpointRejected, match="altered after it was submitted"):
        load(folder, digest)


def places_in(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places_in(child, (*path, key))


PLACES = list(places_in(an_encoder()))
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.just([]), st.just({}))


@settings(max_examples=100, deadline=None)
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_whatever_a_config_holds_it_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    encoder = copy.deepcopy(an_encoder())
    node: Any = encoder
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value

    def read_parts() -> KerasParts:
        parts = [
            KerasPart(read_graph(saved, role), Path(f"{role}.keras"), ("",))
            for saved, role in ((encoder, "encoder"), (a_decoder(), "decoder"))
        ]
        return KerasParts(*parts)

    try:
        plan = plan_keras_vae(read_parts, CheckpointSettings(), Path("vae"))
    except CheckpointRejected as error:
        assert error.received  # noqa: PT017 - a refusal is one of two right answers
    else:
        assert plan.image_shape[2] in {1, 3}


def test_layers_that_feed_themselves_are_refused(write_pair: PairWriter) -> None:
    encoder = an_encoder()
    encoder["config"]["layers"][2] = layer("Reshape", "z_mean", [("z_mean", (3,))], target_shape=[3])
    with pytest.raises(CheckpointRejected, match=r"not laid out as Keras 3 writes it.*z_mean feeds itself"):
        describe(write_pair(encoder=encoder))


def test_a_whole_model_of_one_file_is_described(tmp_path: Path) -> None:
    vae = {"class_name": "Vae", "module": None, "config": {"encoder": an_encoder(), "decoder": a_decoder()}}
    (tmp_path / "vae-7.keras").write_bytes(archive(vae))
    description = describe(tmp_path / "vae-7.keras")
    assert (description.format, description.step, description.latent_shape) == ("keras-vae", 7, (3,))


def test_a_functional_model_with_one_model_inside_is_refused(tmp_path: Path) -> None:
    inner = an_encoder() | {"name": "encoder", "inbound_nodes": []}
    outer = functional("vae", [layer("InputLayer", "image", batch_shape=[None, 8, 8, 1]), inner], ["encoder", 1, 0])
    (tmp_path / "vae.keras").write_bytes(archive(outer))
    with pytest.raises(CheckpointRejected):
        describe(tmp_path / "vae.keras")

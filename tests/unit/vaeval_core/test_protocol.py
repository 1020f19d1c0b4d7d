"""Protocols: what is in the fingerprint, what presets and YAML files become."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from vaeval_core.errors import InvalidInput, NotFound, TooFewImages
from vaeval_core.likelihood import Likelihood
from vaeval_core.metrics.catalogue import METRICS
from vaeval_core.presets import PRESETS, ProtocolRequest, read_protocol
from vaeval_core.protocol import ExtractorSpec, Protocol

EXTRACTOR = ExtractorSpec(name="some", version=1, weights_digest="a" * 64, resize="none", dimension=4)


def resolved(request: ProtocolRequest, dataset_size: int = 1000) -> Protocol:
    return request.resolve(
        dataset_digest="b" * 64,
        dataset_size=dataset_size,
        image_shape=(8, 8, 1),
        extractor=EXTRACTOR,
        metrics={"fid": 1},
    )


def test_the_fingerprint_is_the_digest_of_sorted_json() -> None:
    protocol = resolved(PRESETS["standard"])
    text = json.dumps(protocol.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    assert protocol.fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_streams_that_are_not_asked_for_leave_the_fingerprint_as_it_was_before_there_were_any() -> None:
    protocol = resolved(PRESETS["quick"])
    assert "interpolation" not in protocol.canonical_json()
    assert "fitted" not in protocol.canonical_json()
    wish = PRESETS["quick"].model_copy(update={"interpolation_path": "spherical"})
    assert resolved(wish).fingerprint == protocol.fingerprint


def test_whatever_changes_a_number_changes_the_fingerprint() -> None:
    base = resolved(PRESETS["standard"])
    changes = {
        "dataset_digest": "c" * 64,
        "image_shape": (16, 16, 1),
        "image_fit": "crop-bicubic",
        "num_samples": 499,
        "num_reconstructions": 499,
        "num_reference": 499,
        "num_interpolations": 499,
        "interpolation_path": "spherical",
        "num_fitted": 499,
        "seed": 1,
        "extractor": EXTRACTOR.model_copy(update={"weights_digest": "d" * 64}),
        "metrics": {"fid": 2},
        "num_draws": 5,
        "likelihood": Likelihood(kind="gaussian", sigma=0.1),
    }
    extractors = [{"resize": "clean"}, {"precision": "bfloat16"}, {"version": 2}, {"dimension": 5}, {"name": "other"}]
    fingerprints = {base.model_copy(update={field: value}).fingerprint for field, value in changes.items()}
    for change in extractors:
        fingerprints.add(base.model_copy(update={"extractor": EXTRACTOR.model_copy(update=change)}).fingerprint)
    assert len(fingerprints | {base.fingerprint}) == len(changes) + len(extractors) + 1


def test_what_came_later_and_changes_no_number_is_not_in_the_fingerprint() -> None:
    # Protocols that were stored before there were draws and likelihoods keep their fingerprints.
    protocol = resolved(PRESETS["quick"])
    assert not {"num_draws", "likelihood"} & protocol.model_dump(mode="json").keys()
    assert Protocol.model_validate_json(protocol.canonical_json()).num_draws == 0


def test_draws_are_those_of_metrics_that_need_some() -> None:
    request = ProtocolRequest(draws=7, likelihood=Likelihood(kind="bernoulli"))
    fields = {"dataset_digest": "b" * 64, "dataset_size": 100, "image_shape": (8, 8, 1), "extractor": EXTRACTOR}
    with_bound = request.resolve(metrics={"fid": 1, "iwae": 1}, **fields)  # type: ignore[arg-type]
    assert (with_bound.num_draws, with_bound.likelihood) == (7, Likelihood(kind="bernoulli"))
    assert request.resolve(metrics={"fid": 1}, **fields).num_draws == 0  # type: ignore[arg-type]
    assert Protocol.model_validate_json(with_bound.canonical_json()) == with_bound


def test_draws_and_a_likelihood_can_be_set_in_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "bounds.yaml"
    path.write_text("draws: 5000\nlikelihood: gaussian:0.025\n")
    request = read_protocol(str(path))
    assert (request.draws, str(request.likelihood)) == (5000, "gaussian:0.025")
    path.write_text("draws: 0\n")
    with pytest.raises(InvalidInput, match=r"Received: draws: 0 Expected: draws: at least 1"):
        read_protocol(str(path))
    path.write_text("likelihood: {sigma: 1}\n")
    with pytest.raises(InvalidInput, match="a likelihood needs its kind"):
        read_protocol(str(path))


def test_named_lists_of_metrics_are_those_of_a_textbook_and_of_tokenizer_papers() -> None:
    textbook, tokenizer = PRESETS["textbook"], PRESETS["tokenizer"]
    assert set(textbook.metrics or ()) == {"mse", "cross_entropy", "kl", "fid", "fid_interpolations"}
    assert (textbook.interpolations, textbook.interpolation_path) == (10_000, "linear")
    assert textbook.extractor == "inception-v3-keras"
    assert set(tokenizer.metrics or ()) == {"rfid", "psnr", "ssim"}
    assert (tokenizer.samples, tokenizer.extractor) == (0, "inception-v3-fid")
    assert set(textbook.metrics or ()) | set(tokenizer.metrics or ()) <= METRICS.keys()


def test_the_name_of_a_protocol_does_not() -> None:
    renamed = PRESETS["quick"].model_copy(update={"name": "other"})
    assert resolved(renamed).fingerprint == resolved(PRESETS["quick"]).fingerprint


def test_seeds_and_streams_share_a_reference_but_data_and_extractor_do_not() -> None:
    base = resolved(PRESETS["quick"])
    shared = base.model_copy(update={"seed": 9, "num_samples": 3})
    assert shared.reference_key == base.reference_key
    for field, value in {"dataset_digest": "c" * 64, "num_reference": 2, "image_shape": (4, 4, 1)}.items():
        assert base.model_copy(update={field: value}).reference_key != base.reference_key


def test_metrics_share_a_reference_as_far_as_they_need_the_same_of_it() -> None:
    base = resolved(PRESETS["quick"])
    keys = {
        metrics: base.model_copy(update={"metrics": dict.fromkeys(metrics, 1)}).reference_key
        for metrics in (("fid", "mse"), ("vendi", "inception_score"), ("kid",), ("kid", "recall", "fid"), ("ndb",))
    }
    assert keys["fid", "mse"] == keys["vendi", "inception_score"] == base.reference_key
    assert keys[("kid",)] == keys["kid", "recall", "fid"]
    assert len(set(keys.values())) == 3


def test_metrics_can_be_named_in_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "few.yaml"
    path.write_text("metrics: [fid, kid]\n")
    assert read_protocol(str(path)).metrics == ("fid", "kid")
    assert PRESETS["standard"].metrics is None
    path.write_text("metrics: fid\n")
    with pytest.raises(InvalidInput, match=r"Received: metrics: 'fid' Expected: metrics: "):
        read_protocol(str(path))


def test_a_stored_protocol_reads_back_equal() -> None:
    protocol = resolved(PRESETS["standard"])
    assert Protocol.model_validate_json(protocol.canonical_json()) == protocol


def test_a_small_data_set_limits_what_is_real_but_not_the_samples() -> None:
    protocol = resolved(PRESETS["standard"], dataset_size=300)
    assert (protocol.num_samples, protocol.num_reconstructions, protocol.num_reference) == (10_000, 300, 300)
    assert (protocol.num_interpolations, protocol.num_fitted) == (300, 5000)
    assert protocol.num_images == 10_000
    assert protocol.forward_passes == 10_000 + 300 + 300 + 5000


def test_path_lengths_take_another_pass_for_some_of_the_interpolations() -> None:
    base = resolved(PRESETS["full"], dataset_size=60_000)
    assert base.extractor_passes == (50_000, 50_000, 10_000, 10_000)
    for metrics, paths, passes in (({"ppl": 1}, 2048, (2048,)), ({"ppl_pixels": 1}, 2048, ())):
        protocol = base.model_copy(update={"metrics": metrics})
        assert protocol.num_paths == paths
        assert protocol.extractor_passes == (*base.extractor_passes, *passes)
    assert base.num_paths == 0


def test_one_image_is_no_data_set() -> None:
    with pytest.raises(TooFewImages, match=r"Received: 1 image Expected: at least 2"):
        resolved(PRESETS["quick"], dataset_size=1)


@pytest.mark.parametrize("stream", ["samples", "reconstructions", "interpolations", "fitted"])
def test_one_image_in_a_stream_is_too_few(stream: str) -> None:
    request = ProtocolRequest(name="tiny").model_copy(update={stream: 1})
    with pytest.raises(TooFewImages, match=rf"Received: {stream}=1 Expected: 0 to leave them out, or at least 2"):
        resolved(request)


def test_a_protocol_of_nothing_is_refused() -> None:
    with pytest.raises(TooFewImages, match="asks for no images"):
        resolved(ProtocolRequest(samples=0, reconstructions=0))


def test_a_yaml_file_is_a_protocol_named_after_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("samples: 2000\nextractor: inception-v3-keras\nresize: true\n")
    request = read_protocol(str(path))
    assert (request.name, request.samples, request.extractor) == ("mine", 2000, "inception-v3-keras")
    assert resolved(request).image_fit == "crop-bicubic"


def test_resize_and_precision_of_the_extractor_can_be_set_in_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "clean.yaml"
    path.write_text("extractor_resize: clean\nextractor_precision: bfloat16\n")
    request = read_protocol(str(path))
    assert (request.extractor_resize, request.extractor_precision) == ("clean", "bfloat16")
    path.write_text("extractor_precision: float16\n")
    with pytest.raises(
        InvalidInput, match=r"extractor_precision: 'float16' .*extractor_precision: float32 or bfloat16"
    ):
        read_protocol(str(path))


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match=r"Received: quik Expected: one of quick, standard, full.*--protocol quick"):
        read_protocol("quik")


@pytest.mark.parametrize("path", ["mine.yaml", "folder/mine"])
def test_a_protocol_file_that_is_not_there_is_a_path_that_is_not_there(path: str) -> None:
    with pytest.raises(NotFound, match=f"no such protocol file.*Received: {path} "):
        read_protocol(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("samples: many", r"Received: samples: 'many' Expected: samples: a whole number;"),
        ("samples: -3", r"Received: samples: -3 Expected: samples: at least 0;"),
        (
            "sampels: 3",
            r"Received: sampels: 3 Expected: instead of sampels perhaps samples; the fields are name, samples,",
        ),
        ("colour: red", r"Received: colour: 'red' Expected: no field colour;"),
        ("resize: perhaps", r"Received: resize: 'perhaps' Expected: resize: true or false;"),
        ("name: 3", r"Received: name: 3 Expected: name: a text, in quotes if it looks like a number;"),
        ("- samples", r"names no fields.*Received: .*bad.yaml, which holds \['samples'\]"),
        ("", "names no fields.*Received: .*bad.yaml, which is empty"),
        ("samples: [", "is not YAML"),
    ],
)
def test_a_bad_yaml_file_says_which_field_and_value(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=message):
        read_protocol(str(path))


def test_protocols_cannot_be_changed_after_the_fact() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        resolved(PRESETS["quick"]).seed = 3

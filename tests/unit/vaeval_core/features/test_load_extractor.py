"""The one call that a notebook needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.features import catalogue, load_extractor
from vaeval_core.features.catalogue import resolve_extractor
from vaeval_core.features.pixels import RECIPE_DIGEST
from vaeval_core.features.random_weights import WEIGHTS_DIGEST
from vaeval_core.protocol import ExtractorSpec


def test_an_extractor_is_loaded_by_name(tmp_path: Path) -> None:
    extractor = load_extractor("pixels-8x8", weights_folder=str(tmp_path / "weights"))
    white = np.full((2, 16, 16, 3), 255, np.uint8)
    np.testing.assert_array_equal(extractor.extract(white), np.ones((2, 192), np.float32))
    assert extractor.dimension == 192


def test_what_an_extractor_does_not_have_is_refused_by_name(tmp_path: Path) -> None:
    extractor = load_extractor("pixels-8x8", weights_folder=tmp_path)
    images = np.zeros((1, 8, 8, 3), np.uint8)
    for take, missing, needed in (
        (extractor.logits, "logits", "an extractor whose network classifies"),
        (extractor.spatial_features, "spatial features", "the Inception network that sFID is defined on"),
    ):
        with pytest.raises(InvalidInput) as caught:
            take(images)
        assert caught.value.what == f"The extractor pixels-8x8 gives no {missing}."
        assert caught.value.received == "pixels-8x8"
        assert needed in str(caught.value.expected)
        assert caught.value.next_step == 'load_extractor("inception-v3-fid")'


def test_the_digest_is_that_of_the_weights_or_of_the_recipe(tmp_path: Path) -> None:
    extractor = load_extractor("pixels-8x8", weights_folder=tmp_path)
    assert extractor.digest == extractor.spec.weights_digest == RECIPE_DIGEST


def test_the_four_first_arguments_may_go_without_their_names(tmp_path: Path) -> None:
    extractor = load_extractor("pixels-8x8", None, "area", "float32", weights_folder=tmp_path)
    assert (extractor.spec.resize, extractor.spec.precision) == ("area", "float32")


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_extractor("inception-v3-random", precision="float16", weights_folder=tmp_path)  # type: ignore[arg-type]
    assert caught.value.received == "extractor_precision=float16"
    assert caught.value.expected == "one of float32, bfloat16"


def test_resize_and_precision_are_part_of_what_identifies_the_features(tmp_path: Path) -> None:
    def resolve(**options: Any) -> ExtractorSpec:
        return resolve_extractor("inception-v3-random", weights=None, weights_folder=tmp_path, **options)

    spec = resolve(resize="clean", precision="bfloat16")
    assert (spec.resize, spec.precision, spec.weights_digest) == ("clean", "bfloat16", WEIGHTS_DIGEST)
    assert len({resolve(), resolve(resize="clean"), resolve(precision="bfloat16"), spec}) == 4


def test_a_worker_takes_resize_and_precision_from_the_spec(tmp_path: Path) -> None:
    spec = resolve_extractor(
        "inception-v3-random", weights=None, weights_folder=tmp_path, resize="clean", precision="bfloat16"
    )
    # Nothing but the dimension, which is wrong, stands between this spec and a network of 94 convolutions.
    with pytest.raises(InvalidInput) as caught:
        catalogue.load_extractor(spec.model_copy(update={"dimension": 64}), tmp_path)
    assert (caught.value.received, caught.value.expected) == ("dimension=64", "dimension=2048")


@pytest.mark.parametrize(
    ("name", "resize", "received", "expected"),
    [
        ("pixels-8x8", "clean", "extractor_resize=clean", "one of area"),
        ("inception-v3-random", "area", "extractor_resize=area", "one of tf1-bilinear, half-pixel, clean"),
        ("inception-v3-fid", "lanczos", "extractor_resize=lanczos", "one of tf1-bilinear, half-pixel, clean"),
    ],
)
def test_a_resize_that_an_extractor_does_not_offer_is_refused_before_weights_are_looked_for(
    name: str, resize: str, received: str, expected: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_extractor(name, resize=resize, weights_folder=tmp_path / "weights")
    assert (caught.value.received, caught.value.expected) == (received, expected)
    assert not (tmp_path / "weights").exists()


def test_pixels_have_one_precision(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Received: extractor_precision=bfloat16 Expected: one of float32"):
        load_extractor("pixels-8x8", precision="bfloat16", weights_folder=tmp_path)

"""Extractors by name: what a name means, what is refused, and that asking costs no TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vaeval_core.errors import InvalidInput, NotFound, WeightsUnavailable
from vaeval_core.features import fid_weights, keras_weights_file
from vaeval_core.features.catalogue import EXTRACTOR_NAMES, load_extractor, resolve_extractor
from vaeval_core.features.keras_applications import find_keras_weights
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.features.published_weights import import_weights
from vaeval_core.features.random_weights import WEIGHTS_DIGEST
from vaeval_core.features.verified_weights import WeightsFolder, digests_of
from vaeval_core.features.weights_catalogue import import_weights_file, is_published
from vaeval_core.presets import DEFAULT_EXTRACTOR


@pytest.fixture
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache of Keras in the home folder, and the published file behind a port where nobody listens."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    nowhere = PublishedFile("published.h5", "http://127.0.0.1:9/published.h5", "md5", "0" * 32)
    monkeypatch.setattr(keras_weights_file, "PUBLISHED", nowhere)
    monkeypatch.setattr(fid_weights, "SOURCES", (nowhere,))


def test_the_default_extractor_is_in_the_catalogue() -> None:
    assert DEFAULT_EXTRACTOR in EXTRACTOR_NAMES


def test_the_random_network_is_identified_by_its_recipe(tmp_path: Path) -> None:
    spec = resolve_extractor("inception-v3-random", weights=None, weights_folder=tmp_path / "weights")
    assert spec.weights_digest == WEIGHTS_DIGEST
    assert (spec.resize, spec.dimension, spec.precision) == ("tf1-bilinear", 2048, "float32")
    assert not (tmp_path / "weights").exists()


def test_a_given_file_is_identified_by_its_content_and_copied(tmp_path: Path, keras_weights_path: Path) -> None:
    folder = tmp_path / "weights"
    find_keras_weights(keras_weights_path, folder, allow_unverified=True)
    spec = resolve_extractor("inception-v3-keras", weights=keras_weights_path, weights_folder=folder)
    assert spec.weights_digest == digests_of(keras_weights_path).sha256
    assert (spec.resize, spec.dimension) == ("half-pixel", 2048)
    assert WeightsFolder(folder).holds(spec.weights_digest)


def test_a_file_in_the_cache_of_keras_is_used_without_network(
    tmp_path: Path, keras_weights_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = digests_of(keras_weights_path)
    published = PublishedFile("published.h5", "http://127.0.0.1:9/published.h5", "md5", digests.md5)
    monkeypatch.setattr(keras_weights_file, "PUBLISHED", published)
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = tmp_path / ".keras" / "models"
    cache.mkdir(parents=True)
    keras_weights_path.rename(cache / "published.h5")
    spec = resolve_extractor("inception-v3-keras", weights=None, weights_folder=tmp_path / "weights")
    assert spec.weights_digest == digests.sha256


@pytest.mark.usefixtures("_offline")
def test_without_file_and_network_the_way_out_is_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        resolve_extractor("inception-v3-keras", weights=None, weights_folder=tmp_path / "weights")
    assert "http://127.0.0.1:9/published.h5" in str(caught.value.received)
    assert "vaeval weights import PATH/published.h5" in str(caught.value.next_step)


@pytest.mark.usefixtures("_small_network")
@pytest.mark.parametrize("name", ["inception-v3-keras", "inception-v3-fid"])
def test_a_file_that_nobody_publishes_needs_a_permission_once(
    name: str, tmp_path: Path, keras_weights_path: Path, graph_path: Path
) -> None:
    given = graph_path if name == "inception-v3-fid" else keras_weights_path
    folder = tmp_path / "weights"
    with pytest.raises(InvalidInput) as caught:
        resolve_extractor(name, weights=given, weights_folder=folder)
    assert caught.value.received == f"{given} with sha256 {digests_of(given).sha256}"
    assert "6726825d" in str(caught.value.expected) or "md5 bcbd64" in str(caught.value.expected)
    assert caught.value.next_step is not None
    assert caught.value.next_step.endswith(f"vaeval weights import {given} --allow-unverified")
    assert not folder.exists()
    entry = import_weights_file(given, folder, None, allow_unverified=True)
    assert (entry.name, entry.status) == (name, "unverified")
    assert not is_published(name, str(entry.digest), folder)
    assert resolve_extractor(name, weights=given, weights_folder=folder).weights_digest == entry.digest


def test_a_file_of_the_wrong_kind_is_refused_and_not_copied(tmp_path: Path) -> None:
    given = tmp_path / "weights.pth"
    given.write_bytes(b"PK")
    with pytest.raises(InvalidInput, match="it is not an HDF5 file"):
        resolve_extractor("inception-v3-keras", weights=given, weights_folder=tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.h5"):
        resolve_extractor("inception-v3-keras", weights=tmp_path / "absent.h5", weights_folder=tmp_path)


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve_extractor("inceptionv3-keras", weights=None, weights_folder=tmp_path)
    assert caught.value.received == "inceptionv3-keras"
    assert caught.value.expected == f"one of {', '.join(EXTRACTOR_NAMES)}"
    assert caught.value.next_step == "did you mean inception-v3-keras?"


@pytest.mark.parametrize("name", ["inception-v3-random", "pixels-8x8"])
def test_a_file_for_an_extractor_without_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve_extractor(name, weights=tmp_path / "weights.h5", weights_folder=tmp_path)
    assert caught.value.received == f"--weights {tmp_path / 'weights.h5'}"
    assert caught.value.expected == "none: its weights follow from the program"


@pytest.mark.parametrize(
    ("change", "received", "expected"),
    [
        ({"version": 7}, "version=7", "version=1"),
        ({"weights_digest": "a" * 64}, f"weights_digest={'a' * 64}", f"weights_digest={WEIGHTS_DIGEST}"),
        ({"resize": "area", "dimension": 64}, "resize=area, dimension=64", "resize=tf1-bilinear, dimension=2048"),
    ],
)
def test_a_spec_of_another_release_is_refused(
    change: dict[str, object], received: str, expected: str, tmp_path: Path
) -> None:
    spec = resolve_extractor("inception-v3-random", weights=None, weights_folder=tmp_path)
    with pytest.raises(InvalidInput) as caught:
        load_extractor(spec.model_copy(update=change), tmp_path)
    assert caught.value.received == received
    assert caught.value.expected == expected
    assert "same release" in str(caught.value.next_step)


@pytest.mark.usefixtures("_offline")
@pytest.mark.slow
def test_a_worker_without_the_file_says_which(tmp_path: Path, keras_weights_path: Path) -> None:
    find_keras_weights(keras_weights_path, tmp_path / "here", allow_unverified=True)
    spec = resolve_extractor("inception-v3-keras", weights=keras_weights_path, weights_folder=tmp_path / "here")
    with pytest.raises(WeightsUnavailable, match=r"http://127\.0\.0\.1:9"):
        load_extractor(spec, tmp_path / "there")


@pytest.mark.slow
def test_a_worker_that_has_the_published_file_but_needs_another_says_which(
    tmp_path: Path, keras_weights_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_keras_weights(keras_weights_path, tmp_path / "here", allow_unverified=True)
    spec = resolve_extractor("inception-v3-keras", weights=keras_weights_path, weights_folder=tmp_path / "here")
    own = tmp_path / "published.h5"
    own.write_bytes(b"other weights")
    published = PublishedFile("published.h5", "http://127.0.0.1:9/published.h5", "md5", digests_of(own).md5)
    monkeypatch.setattr(keras_weights_file, "PUBLISHED", published)
    there = tmp_path / "there"
    import_weights(own, there, published)
    with pytest.raises(WeightsUnavailable) as caught:
        load_extractor(spec, there)
    assert caught.value.received == f"no undamaged file {there / spec.weights_digest}.h5"
    assert "--weights" in str(caught.value.expected)


@pytest.mark.service
def test_asking_costs_no_tensorflow(tmp_path: Path, keras_weights_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.features.keras_applications import find_keras_weights
folder, weights = Path(sys.argv[1]), Path(sys.argv[2])
resolve_extractor("inception-v3-random", weights=None, weights_folder=folder)
find_keras_weights(weights, folder, allow_unverified=True)
resolve_extractor("inception-v3-keras", weights=weights, weights_folder=folder)
load_extractor(resolve_extractor("pixels-8x8", weights=None, weights_folder=folder), folder)
print(*{"tensorflow", "keras"} & set(sys.modules))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "weights"), str(keras_weights_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "\n"

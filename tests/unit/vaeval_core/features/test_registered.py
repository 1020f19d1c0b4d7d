"""Extractors that other packages register: found, described, run, refused. The first package is the one in the docs."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import DistributionFinder
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaeval_core.errors import ImagesRejected, InvalidInput
from vaeval_core.features.catalogue import EXTRACTOR_NAMES, extractor_names, load_extractor, resolve_extractor
from vaeval_core.features.registered import GROUP, registered_names
from vaeval_core.shard_plan import NETWORK_BATCH
from vaeval_core.types import Uint8

PAGE = Path(__file__).parents[4] / "docs" / "extending.md"

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a module and the metadata that an installer would write for it onto the path."""
    modules: list[str] = []

    def put(module: str, source: str, entry_points: dict[str, str], *, version: str = "0.1.0") -> Path:
        site = tmp_path / f"site-{module}-{version}"
        metadata = site / f"{module}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (site / f"{module}.py").write_text(source, encoding="utf-8")
        name = module.replace("_", "-")
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (metadata / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]) + "\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        modules.append(module)
        return site

    yield put
    for module in modules:
        sys.modules.pop(module, None)


def documented(language: str) -> str:
    """The first code block of a language in the page."""
    found = re.search(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def resolve(name: str, tmp_path: Path, **options: object) -> object:
    return resolve_extractor(name, weights=None, weights_folder=tmp_path / "weights", **options)  # type: ignore[arg-type]


SUMS = f"""
def sums(images):
    assert len(images) == {NETWORK_BATCH}
    return images.sum(axis=(1, 2), dtype="int64")

sums.dimension = 3
"""


def images_of(number: int, channels: int = 3) -> Uint8:
    return np.random.default_rng(number).integers(0, 256, (number, 5, 7, channels), dtype=np.uint8)


def test_the_documented_example_runs_as_printed(install: Install, tmp_path: Path) -> None:
    project = tomllib.loads(documented("toml"))["project"]
    install("edge_features", documented("python"), project["entry-points"][GROUP], version=project["version"])
    spec = resolve_extractor("edges", weights=None, weights_folder=tmp_path)
    assert (spec.name, spec.dimension, spec.resize) == ("edges", 16, "own")
    extractor = load_extractor(spec, tmp_path)
    # Columns 0, 32, 255, 255: differences 32, 223 and 0 fall into bins 2, 13 and 0 of width 16.
    image = np.array([0, 32, 255, 255], np.uint8)[None, None, :, None] * np.ones((1, 2, 1, 3), np.uint8)
    expected = np.zeros(16)
    expected[[2, 13, 0]] = 1 / 3
    np.testing.assert_allclose(extractor.extract(image), [expected], rtol=1e-6)


def test_names_stand_beside_the_built_in_ones(install: Install, tmp_path: Path) -> None:
    install("summing", SUMS, {"sums": "summing:sums", "also": "summing:sums"})
    assert extractor_names() == (*EXTRACTOR_NAMES, "also", "sums")
    assert "summing" not in sys.modules
    with pytest.raises(InvalidInput) as caught:
        resolve("sum", tmp_path)
    assert caught.value.received == "sum"
    assert caught.value.expected == f"one of {', '.join([*EXTRACTOR_NAMES, 'also', 'sums'])}"
    assert caught.value.next_step == "did you mean sums?"


class CountedFinder(DistributionFinder):
    """Finds no package; counts how often it was asked for all of them."""

    def __init__(self) -> None:
        self.times = 0

    def find_spec(self, *_: object) -> None:
        """Modules are found by the others."""

    def find_distributions(self, context: Any = None) -> list[Any]:
        self.times += context.name is None
        return []


def test_packages_are_looked_through_once_until_one_is_installed_or_removed(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install("summing", SUMS, {"sums": "summing:sums"})
    finder = CountedFinder()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    assert registered_names() == registered_names() == ("sums",)
    assert finder.times == 1
    later = site / "later-1.0.dist-info"
    later.mkdir()
    (later / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1.0\n")
    (later / "entry_points.txt").write_text(f"[{GROUP}]\nlater = summing:sums\n")
    move_on(site)
    assert registered_names() == ("later", "sums")
    shutil.rmtree(later)
    move_on(site)
    assert registered_names() == ("sums",)


def move_on(folder: Path) -> None:
    """Its time of change moves on, also where a file system counts in seconds and the test is quicker."""
    now = folder.stat()
    os.utime(folder, ns=(now.st_atime_ns, now.st_mtime_ns + 1_000_000_000))


@pytest.mark.parametrize("num_images", [1, 3, NETWORK_BATCH, NETWORK_BATCH + 6])
def test_a_callable_sees_whole_batches_and_gives_a_row_for_each_image(
    num_images: int, install: Install, tmp_path: Path
) -> None:
    install("summing", SUMS, {"sums": "summing:sums"})
    extractor = load_extractor(resolve_extractor("sums", weights=None, weights_folder=tmp_path), tmp_path)
    images = images_of(num_images)
    features = extractor.extract(images)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, images.astype(np.int64).sum(axis=(1, 2)))


def test_the_dimension_is_found_out_by_a_call_or_taken_from_the_callable(install: Install, tmp_path: Path) -> None:
    stating = "def never(images):\n    raise RuntimeError\nnever.dimension = 7\n"
    probed = "def two(images):\n    return images[:, 0, 0, :2]\n"
    install("stating", stating, {"never": "stating:never"})
    install("probed", probed, {"two": "probed:two"})
    assert resolve_extractor("never", weights=None, weights_folder=tmp_path).dimension == 7
    assert resolve_extractor("two", weights=None, weights_folder=tmp_path).dimension == 2


def test_grey_is_repeated_to_three_channels(install: Install, tmp_path: Path) -> None:
    install("corner", "def corner(images):\n    return images[:, 0, 0]\n", {"corner": "corner:corner"})
    extractor = load_extractor(resolve_extractor("corner", weights=None, weights_folder=tmp_path), tmp_path)
    images = images_of(3, channels=1)
    np.testing.assert_array_equal(extractor.extract(images), images[:, 0, 0].repeat(3, axis=-1))
    with pytest.raises(ImagesRejected, match="float64"):
        extractor.extract(images.astype(np.float64))  # type: ignore[arg-type]


def test_the_digest_is_of_what_the_author_states(install: Install, tmp_path: Path) -> None:
    source = "def one(images):\n    return images[:, 0, 0, :1]\n"
    install("by_distribution", source, {"a": "by_distribution:one"}, version="2.5")
    install("by_attribute", source + "one.version = 'seven'\n", {"b": "by_attribute:one"})
    stated = {"a": "by_distribution:one\nversion by-distribution 2.5", "b": "by_attribute:one\nversion seven"}
    for name, text in stated.items():
        spec = resolve_extractor(name, weights=None, weights_folder=tmp_path)
        assert spec.weights_digest == hashlib.sha256(f"{GROUP}\n{text}".encode()).hexdigest()


def test_a_worker_with_another_version_refuses(install: Install, tmp_path: Path) -> None:
    install("edge_features", documented("python"), {"edges": "edge_features:edges"})
    spec = resolve_extractor("edges", weights=None, weights_folder=tmp_path)
    submitted = spec.model_copy(update={"weights_digest": "a" * 64})
    with pytest.raises(InvalidInput) as caught:
        load_extractor(submitted, tmp_path)
    assert caught.value.received == f"weights_digest={'a' * 64}"
    assert caught.value.expected == f"weights_digest={spec.weights_digest}"
    assert caught.value.next_step == "install the same version of its package on every machine"


def test_a_worker_without_the_package_lists_what_it_has(install: Install, tmp_path: Path) -> None:
    install("summing", SUMS, {"sums": "summing:sums"})
    spec = resolve_extractor("pixels-8x8", weights=None, weights_folder=tmp_path)
    with pytest.raises(InvalidInput, match=r"Received: edges Expected: one of .*, sums"):
        load_extractor(spec.model_copy(update={"name": "edges"}), tmp_path)


@pytest.mark.parametrize(
    ("source", "received", "expected"),
    [
        ("import absent_module", "ModuleNotFoundError: No module named 'absent_module'", "a module that imports"),
        ("other = 1", "AttributeError", "a callable of that name"),
        ("given = 3", ": 3", "a callable that takes images"),
        ("class given:\n    pass", "<class 'broken.given'>", "of a class, an instance"),
        ("def given(images):\n    return images", "uint8 of shape (2, 64, 64, 3) for 2 images", "shape (2, d)"),
        ("def given(images):\n    return images[:1, 0, 0]", "uint8 of shape (1, 3) for 2 images", "shape (2, d)"),
        ("def given(images):\n    return images[:, 0, 0, :0]", "uint8 of shape (2, 0) for 2 images", "shape (2, d)"),
        ("def given(images):\n    return [['a']] * 2", "<U1 of shape (2, 1) for 2 images", "real numbers"),
        ("def given(images):\n    raise OSError('no GPU')", "OSError: no GPU", "or an attribute `dimension`"),
        ("def given(images):\n    return 0\ngiven.dimension = 0", "dimension=0", "at least 1"),
        ("def given(images):\n    return 0\ngiven.dimension = '3'", "dimension='3'", "a whole number"),
    ],
)
def test_what_is_no_extractor_is_refused_with_what_it_gave(
    source: str, received: str, expected: str, install: Install, tmp_path: Path
) -> None:
    install("broken", source, {"bad": "broken:given"})
    with pytest.raises(InvalidInput) as caught:
        resolve("bad", tmp_path)
    assert "bad" in caught.value.what
    assert received in str(caught.value.received)
    assert expected in str(caught.value.expected)


def test_features_of_another_length_than_described_are_refused(install: Install, tmp_path: Path) -> None:
    source = "def given(images):\n    return images[:, 0, 0]\ngiven.dimension = 2"
    install("broken", source, {"bad": "broken:given"})
    extractor = load_extractor(resolve_extractor("bad", weights=None, weights_folder=tmp_path), tmp_path)
    with pytest.raises(InvalidInput, match=r"shape \(32, 3\) for 32 images Expected: .* shape \(32, 2\)"):
        extractor.extract(images_of(1))


@pytest.mark.parametrize("bad", ["float('nan')", "1e300"])
def test_features_that_are_not_finite_are_refused_with_the_first_of_them(
    bad: str, install: Install, tmp_path: Path
) -> None:
    source = f"def given(images):\n    return [[{bad} if image.max() > 9 else 0.5] for image in images]"
    install("broken", source, {"bad": "broken:given"})
    extractor = load_extractor(resolve_extractor("bad", weights=None, weights_folder=tmp_path), tmp_path)
    images = np.zeros((NETWORK_BATCH, 8, 8, 3), np.uint8)
    images[[5, 7]] = 200
    with pytest.raises(InvalidInput) as caught:
        extractor.extract(images)
    assert caught.value.received == f"NaN or infinity in 2 of {NETWORK_BATCH} rows, the first of them 5"
    assert "finite" in str(caught.value.expected)


def test_a_name_that_two_packages_use_is_refused_and_both_are_named(install: Install, tmp_path: Path) -> None:
    install("first", SUMS, {"sums": "first:sums"})
    install("second", SUMS, {"sums": "second:sums"})
    with pytest.raises(InvalidInput) as caught:
        resolve("sums", tmp_path)
    assert "first:sums of first 0.1.0" in str(caught.value.received)
    assert "second:sums of second 0.1.0" in str(caught.value.received)
    assert GROUP in str(caught.value.expected)


def test_the_name_of_a_built_in_extractor_cannot_be_taken(install: Install, tmp_path: Path) -> None:
    install("usurper", SUMS, {"pixels-8x8": "usurper:sums"})
    with pytest.raises(InvalidInput, match="under the name of a built-in one") as caught:
        resolve("pixels-8x8", tmp_path)
    assert caught.value.received == "pixels-8x8"
    assert "another name" in str(caught.value.expected)


@pytest.mark.parametrize(
    ("options", "received", "expected"),
    [
        ({"resize": "clean"}, "extractor_resize=clean", "none: it takes images of any size"),
        ({"precision": "bfloat16"}, "extractor_precision=bfloat16", "one of float32"),
    ],
)
def test_resize_and_precision_are_the_callables_own(
    options: dict[str, object], received: str, expected: str, install: Install, tmp_path: Path
) -> None:
    install("summing", SUMS, {"sums": "summing:sums"})
    with pytest.raises(InvalidInput) as caught:
        resolve("sums", tmp_path, **options)
    assert (caught.value.received, caught.value.expected) == (received, expected)

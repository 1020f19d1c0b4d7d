"""Statistics of others in the place of a reference: what is read, what identifies it, and that it comes out as it went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy

from tests.factories import extractor_spec
from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.errors import InvalidInput, StorageFailed
from vaeval_core.metrics.frechet import squared_frechet_distance
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.imported_reference import ImportedReference, read_reference, write_reference

ROWS = np.random.default_rng(0).normal(size=(60, 4)) * [1, 2, 3, 4] + 5
PLACES = np.random.default_rng(1).normal(size=(60, 3))
MU, SIGMA = ROWS.mean(0), np.cov(ROWS.T)
SPATIAL = {"mu_s": PLACES.mean(0), "sigma_s": np.cov(PLACES.T)}


def reference(folder: Path, *, count: int | None = None, **arrays: Any) -> ImportedReference:
    path = folder / "statistics.npz"
    np.savez(path, **({"mu": MU, "sigma": SIGMA} | arrays))
    return read_reference(path, count=count)


def test_either_pair_of_names_is_the_same_reference(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", m=MU, s=SIGMA)
    old = read_reference(tmp_path / "old.npz")
    assert old.digest == reference(tmp_path).digest
    np.testing.assert_array_equal(old.moments.covariance, SIGMA)
    assert (old.dimension, old.count, old.spatial, old.extractor) == (4, None, None, None)


@pytest.mark.parametrize(
    "other",
    [
        {"mu": np.nextafter(MU, 9)},
        {"sigma": SIGMA * (1 + 1e-15)},
        {"num_images": np.array(60)},
        SPATIAL,
    ],
    ids=["mean", "covariance", "count", "spatial"],
)
def test_other_numbers_are_another_reference(tmp_path: Path, other: dict[str, Any]) -> None:
    assert reference(tmp_path, **other).digest != reference(tmp_path).digest


def test_what_identifies_it_is_known_to_the_byte() -> None:
    """As anybody can compute it: count, then shape and little-endian float64 of mean and covariance."""
    import hashlib

    small = ImportedReference.from_arrays(
        {"count": np.array([7]), "mean": np.array([1.0]), "covariance": np.array([[4.0]])}
    )
    text = b"7" + b"(1,)" + np.array(1.0, "<f8").tobytes() + b"(1, 1)" + np.array(4.0, "<f8").tobytes()
    assert small.digest == hashlib.sha256(text).hexdigest()


def test_it_is_stored_as_a_merged_reference_that_keeps_every_bit(tmp_path: Path) -> None:
    given = reference(tmp_path, count=60, **SPATIAL)
    arrays = given.to_arrays()
    fit = GaussianFit.from_arrays(arrays)
    assert fit.count == 60
    np.testing.assert_allclose(fit.covariance, SIGMA, rtol=1e-12)
    again = ImportedReference.from_arrays(arrays)
    assert again.digest == given.digest
    assert again.spatial is not None
    np.testing.assert_array_equal(again.spatial.covariance, SPATIAL["sigma_s"])


def test_a_computed_reference_is_written_as_its_mean_and_covariance(tmp_path: Path) -> None:
    computed = GaussianFit(60, MU, np.linalg.cholesky(SIGMA).T).to_arrays()
    write_reference(tmp_path / "out", ImportedReference.from_arrays(computed, extractor_spec(dimension=4)))
    with np.load(tmp_path / "out") as arrays:  # as pytorch-fid opens it
        np.testing.assert_array_equal(arrays["mu"][:], MU)
        np.testing.assert_allclose(arrays["sigma"][:], SIGMA, rtol=1e-12)
        assert sorted(arrays.files) == ["extractor", "mu", "num_images", "sigma"]
    again = read_reference(tmp_path / "out")
    assert (again.count, again.extractor) == (60, extractor_spec(dimension=4))


def test_images_beside_the_statistics_are_not_even_read(tmp_path: Path) -> None:
    """Reference batches of guided-diffusion hold their images. Objects, which cannot be read at all, stand for these here."""
    with_images = reference(tmp_path, arr_0=np.array([{}], dtype=object))
    assert with_images.digest == reference(tmp_path).digest


def test_a_number_of_images_that_the_file_does_not_say_can_be_given(tmp_path: Path) -> None:
    assert reference(tmp_path, count=50_000).count == 50_000
    assert reference(tmp_path, count=60, num_images=np.array(60)).count == 60


def test_two_numbers_of_images_are_refused_with_both(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"Received: --images 50, and num_images 60 in .*statistics\.npz"):
        reference(tmp_path, count=50, num_images=np.array(60))


@pytest.mark.parametrize("count", [np.array(1), np.array(2.5), np.array([3, 4]), np.array("many")])
def test_a_count_that_is_none_is_refused(tmp_path: Path, count: Any) -> None:
    with pytest.raises(InvalidInput, match=r"how many images .* Received: num_images="):
        reference(tmp_path, num_images=count)


def test_spatial_statistics_are_checked_like_the_others(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"negative variance.*the eigenvalue -1"):
        reference(tmp_path, **SPATIAL | {"sigma_s": -np.eye(3)})
    with pytest.raises(InvalidInput, match=r"do not fit together.*\(3,\) and float64 \(2, 3\)"):
        reference(tmp_path, **SPATIAL | {"sigma_s": np.eye(3)[:2]})


def test_half_of_the_spatial_statistics_are_none(tmp_path: Path) -> None:
    assert reference(tmp_path, mu_s=SPATIAL["mu_s"]).spatial is None


def test_an_extractor_that_nobody_can_read_is_refused_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"names an extractor .* Received: inception in .*statistics\.npz"):
        reference(tmp_path, extractor=np.array("inception"))


def test_a_file_that_is_there_is_replaced_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "out.npz").write_text("an older one")
    write_reference(tmp_path / "out.npz", reference(tmp_path))
    assert read_reference(tmp_path / "out.npz").digest == reference(tmp_path).digest
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.npz", "statistics.npz"], (
        "nothing is left beside it"
    )


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"cannot be written\. Received: .*nowhere/out\.npz \(No such file"):
        write_reference(tmp_path / "nowhere" / "out.npz", reference(tmp_path))


@pytest.mark.parametrize("count", [None, 60, 3])
def test_a_count_that_is_too_low_takes_nothing_off_the_distance(tmp_path: Path, count: int | None) -> None:
    """A covariance that was shrunk spans more dimensions than the images that it is of."""
    fit = GaussianFit.from_arrays(reference(tmp_path, count=count).to_arrays())
    generated = np.random.default_rng(2).normal(size=(50, 4))
    value = squared_frechet_distance(FeatureMoments.from_rows(generated), fit)
    product = scipy.linalg.sqrtm(np.cov(generated.T) @ SIGMA)
    apart = np.square(generated.mean(0) - MU).sum()
    expected = apart + np.trace(np.cov(generated.T)) + np.trace(SIGMA) - 2 * np.trace(product).real
    assert value == pytest.approx(expected, rel=1e-9)

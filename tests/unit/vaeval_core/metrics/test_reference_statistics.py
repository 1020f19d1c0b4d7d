"""Files of means and covariances: read under either pair of names, written for others, refused with what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vaeval_core.errors import InvalidInput, NotFound
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.metrics.reference_statistics import fit_from_moments, read_statistics, write_statistics

ROWS = np.random.default_rng(0).normal(size=(60, 4)) * [1, 2, 3, 4] + 5
MEAN, COVARIANCE = ROWS.mean(0), np.cov(ROWS.T)


def file_with(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "statistics.npz"


@pytest.mark.parametrize("names", [("mu", "sigma"), ("m", "s")])
def test_statistics_stand_for_the_images_they_were_taken_of(path: Path, names: tuple[str, str]) -> None:
    fit = read_statistics(file_with(path, **dict(zip(names, (MEAN, COVARIANCE), strict=True))))
    assert fit.count is None
    generated = np.random.default_rng(1).normal(size=(50, 4))
    assert frechet_distance(generated, fit).value == pytest.approx(frechet_distance(generated, ROWS).value, rel=1e-9)


def test_what_is_written_is_what_other_code_reads_and_what_we_read_again(path: Path) -> None:
    fit = fit_from_moments(MEAN, COVARIANCE, count=60)
    write_statistics(path, fit)
    with np.load(path) as arrays:
        np.testing.assert_allclose(arrays["mu"], MEAN, rtol=1e-12)
        np.testing.assert_allclose(arrays["sigma"], COVARIANCE, rtol=1e-12)
    again = read_statistics(path)
    assert again.count == 60
    np.testing.assert_allclose(again.covariance, COVARIANCE, rtol=1e-12)


def test_a_file_of_any_name_is_written_under_that_name(tmp_path: Path) -> None:
    write_statistics(tmp_path / "statistics", fit_from_moments(MEAN, COVARIANCE))
    assert [file.name for file in tmp_path.iterdir()] == ["statistics"]
    assert read_statistics(tmp_path / "statistics").count is None


def test_float32_statistics_of_fewer_images_than_features_are_taken(path: Path) -> None:
    few = np.random.default_rng(2).normal(size=(5, 30))
    rounded = {"mu": few.mean(0).astype(np.float32), "sigma": np.cov(few.T).astype(np.float32)}
    fit = read_statistics(file_with(path, **rounded), dimension=30)
    np.testing.assert_allclose(fit.covariance, np.cov(few.T), atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "what", "received"),
    [
        ({"features": ROWS}, "holds no mean and covariance", "with the arrays features"),
        ({"mu": MEAN, "s": COVARIANCE}, "holds no mean and covariance", "with the arrays mu, s"),
        ({"mu": MEAN, "sigma": COVARIANCE[:3]}, "do not fit together", r"float64 \(4,\) and float64 \(3, 4\)"),
        ({"mu": MEAN[:3], "sigma": COVARIANCE}, "do not fit together", r"float64 \(3,\) and float64 \(4, 4\)"),
        ({"mu": MEAN * 1j, "sigma": COVARIANCE}, "do not fit together", "complex128"),
        ({"mu": np.array([1, np.nan, 3, 4]), "sigma": COVARIANCE}, "mean .* not finite", "1 values"),
        ({"mu": MEAN, "sigma": COVARIANCE * np.inf}, "covariance .* not finite", "16 values"),
        ({"mu": MEAN, "sigma": COVARIANCE + np.eye(4, k=1)}, "not symmetric", "by up to 1, where the largest is"),
        ({"mu": MEAN, "sigma": np.diag([1.0, -0.01, 1, 1])}, "negative variance", "the eigenvalue -0.01"),
        ({"mu": MEAN, "sigma": -np.eye(4)}, "negative variance", "the eigenvalue -1"),
    ],
)
def test_what_is_no_mean_and_covariance_is_refused(path: Path, arrays: Any, what: str, received: str) -> None:
    with pytest.raises(InvalidInput, match=f"{what}.* Received: .*{received}"):
        read_statistics(file_with(path, **arrays))


def test_statistics_of_another_extractor_are_refused_with_both_dimensions(path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"another extractor\. Received: 4 features .* Expected: 2048 features"):
        read_statistics(file_with(path, mu=MEAN, sigma=COVARIANCE), dimension=2048)


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_archive_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"no file of statistics\. Received: .*statistics\.npz"):
        read_statistics(path)


def test_an_array_by_itself_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "mean.npy", MEAN)
    with pytest.raises(InvalidInput, match="no file of statistics"):
        read_statistics(tmp_path / "mean.npy")


def test_pickled_objects_are_refused(path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no file of statistics.*pickle"):
        read_statistics(file_with(path, mu=np.array([{}], dtype=object), sigma=COVARIANCE))


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"Received: .*nowhere\.npz Expected: an \.npz file"):
        read_statistics(tmp_path / "nowhere.npz")

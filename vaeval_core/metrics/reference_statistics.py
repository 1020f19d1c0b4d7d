"""Published statistics of real images: mean and covariance of features in an `.npz` file, read and written.

FID code has passed such files around since 2017, with the keys `mu` and `sigma`; some call them `m` and `s`. Metrics that look
at single images have nothing to go by in them, and the extractor that made them is not written down: only the dimension can be
checked.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.errors import InvalidInput, NotFound
from vaeval_core.metrics.frechet import require_moderate
from vaeval_core.metrics.gaussian_fit import GaussianFit, covariance_factor
from vaeval_core.types import Float64

KEYS = (("mu", "sigma"), ("m", "s"))
COUNT_KEY = "num_images"
"""Ours; others ignore it."""

SYMMETRY_TOLERANCE = 1e-6
"""Largest difference of Σ and Σᵀ, as a share of the largest entry: float32 statistics pass."""

DEFINITENESS_TOLERANCE = 1e-6
"""Most negative eigenvalue, as a share of the largest: that of a covariance from rounded sums passes."""


def read_statistics(path: Path, *, dimension: int | None = None) -> GaussianFit:
    """A Gaussian from a file of statistics.

    Args:
        path: `.npz` with `mu` (d,) and `sigma` (d, d), or `m` and `s`; `num_images` if vaeval wrote it.
        dimension: Length of a feature vector of the extractor that it is for.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It holds no such arrays, or they are no mean and covariance.
    """
    found = read_arrays(path, {name for names in KEYS for name in names} | {COUNT_KEY})
    mean, covariance = moments_in(found, path, KEYS)
    count = count_in(found, path)
    return fit_from_moments(mean, covariance, count=count, dimension=dimension, name=str(path))


def moments_in(
    found: Mapping[str, NDArray[Any]], path: Path, keys: Sequence[tuple[str, str]]
) -> tuple[Float64, Float64]:
    """Mean and covariance under the first pair of names that is there, as float64, if they have the shapes of such.

    Raises:
        InvalidInput: None is there, or the two do not fit together.
    """
    for names in keys:
        if set(names) <= found.keys():
            mean, covariance = (found[name] for name in names)
            _require_shapes(mean, covariance, None, str(path))
            return np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    raise InvalidInput(
        "The file holds no mean and covariance.",
        received=f"{path} with the arrays {', '.join(sorted(found)) or 'none'}",
        expected=", or ".join(" and ".join(names) for names in keys),
        next_step="write it with numpy.savez(FILE, mu=mu, sigma=sigma)",
    )


def count_in(found: Mapping[str, NDArray[Any]], path: Path) -> int | None:
    """How many images a file of ours says that its statistics are of; None if it does not say.

    Raises:
        InvalidInput: What it says is no number of images.
    """
    if COUNT_KEY not in found:
        return None
    count = found[COUNT_KEY]
    if count.size != 1 or count.dtype.kind not in "iu" or int(count.reshape(())) < 2:
        raise InvalidInput(
            "The file says in no usable way how many images its statistics are of.",
            received=f"{COUNT_KEY}={count!r} in {path}",
            expected="a whole number of at least 2, or no such array",
        )
    return int(count.reshape(()))


def fit_from_moments(
    mean: Float64,
    covariance: Float64,
    *,
    count: int | None = None,
    dimension: int | None = None,
    name: str = "statistics",
) -> GaussianFit:
    """A Gaussian from its moments, checked.

    Raises:
        InvalidInput: Wrong shapes, values that are not finite, or a matrix that is no covariance.
    """
    _require_shapes(mean, covariance, dimension, name)
    mean, covariance = np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
    for what, values in (("mean", mean), ("covariance", covariance)):
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise InvalidInput(
                f"The {what} of a file of statistics is not finite.",
                received=f"{bad} values that are NaN or infinite in {name}",
                expected="finite numbers",
            )
    require_moderate(max(float(np.abs(mean).max()), float(np.sqrt(np.abs(covariance).max()))), name)
    largest = float(np.abs(covariance).max())
    apart = float(np.abs(covariance - covariance.T).max())
    if apart > SYMMETRY_TOLERANCE * largest:
        raise InvalidInput(
            "The covariance of a file of statistics is not symmetric.",
            received=f"entries that differ from their mirror image by up to {apart:.3g}, where the largest is {largest:.3g},"
            f" in {name}",
            expected=f"differences below {SYMMETRY_TOLERANCE:g} of the largest",
        )
    symmetric = (covariance + covariance.T) / 2
    eigenvalues = np.linalg.eigvalsh(symmetric)
    if eigenvalues[0] < -DEFINITENESS_TOLERANCE * max(eigenvalues[-1], 0):
        raise InvalidInput(
            "The covariance of a file of statistics has a negative variance.",
            received=f"the eigenvalue {eigenvalues[0]:.3g}, where the largest is {eigenvalues[-1]:.3g}, in {name}",
            expected="no eigenvalue below 0 by more than rounding",
        )
    return GaussianFit(count, mean, covariance_factor(symmetric))


def write_statistics(path: Path, fit: GaussianFit) -> None:
    """Write `mu` and `sigma`, which other FID code reads, and `num_images` where it is known."""
    arrays = {"mu": fit.mean, "sigma": fit.covariance}
    if fit.count is not None:
        arrays[COUNT_KEY] = np.array(fit.count)
    with path.open("wb") as file:  # np.savez would append .npz to another name
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path, wanted: Collection[str]) -> dict[str, NDArray[Any]]:
    """The wanted arrays of an archive, as far as it has them; others, for mentioning, as their names without content.

    Reference batches of guided-diffusion hold gigabytes of images beside their statistics: these are not read.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It is no archive of plain arrays.
    """
    try:
        # np.load leaves a file that it opened itself open when it cannot read it.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.lib.npyio.NpzFile):
                return {name: archive[name] if name in wanted else np.empty(0) for name in archive.files}
            reason = "a single array"
    except FileNotFoundError as error:
        raise NotFound(
            "There is no such file of statistics.",
            received=path,
            expected="an .npz file with mu and sigma",
            next_step="check the path",
        ) from error
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error)
    raise InvalidInput(
        "This is no file of statistics.",
        received=f"{path} ({reason})",
        expected="an .npz file of plain arrays",
        next_step="write it with numpy.savez(FILE, mu=mu, sigma=sigma)",
    )


def _require_shapes(mean: Float64, covariance: Float64, dimension: int | None, name: str) -> None:
    real = all(values.dtype.kind in "fiu" for values in (mean, covariance))
    if not real or mean.ndim != 1 or not mean.size or covariance.shape != (mean.size, mean.size):
        raise InvalidInput(
            "A mean and a covariance do not fit together.",
            received=f"{mean.dtype} {mean.shape} and {covariance.dtype} {covariance.shape} in {name}",
            expected="real numbers of the shapes (d,) and (d, d)",
        )
    if dimension is not None and mean.size != dimension:
        raise InvalidInput(
            "The statistics are those of another extractor.",
            received=f"{mean.size} features in {name}",
            expected=f"{dimension} features",
        )

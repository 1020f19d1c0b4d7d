"""Statistics that somebody else computed, in the place of a reference: what is known of them, and the forms they are kept in.

    .npz of a user ─► read_reference ─► ImportedReference ─► to_arrays: a merged reference as `score` reads it
    merged reference ─► ImportedReference.from_arrays ─► write_reference ─► .npz that other FID code reads

Mean and covariance are kept as they came, beside the factor that distances are computed with: what is written again is what
was read, to the bit. Their digest is in the fingerprint of every protocol that compares with them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from vaeval_core.errors import InvalidInput, StorageFailed
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.reference_rows import SPATIAL, arrays_under, spatial_arrays
from vaeval_core.metrics.reference_statistics import (
    COUNT_KEY,
    KEYS,
    count_in,
    fit_from_moments,
    moments_in,
    read_arrays,
)
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.types import Float64

SPATIAL_KEYS = (("mu_s", "sigma_s"),)
"""Of spatial features, for sFID: as the reference batches of guided-diffusion have them."""

EXTRACTOR_KEY = "extractor"
"""Ours; others ignore it. JSON of an `ExtractorSpec`."""

_KNOWN = frozenset(name for names in (*KEYS, *SPATIAL_KEYS) for name in names) | {COUNT_KEY, EXTRACTOR_KEY}


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (d,) and covariance (d, d), float64."""

    mean: Float64
    covariance: Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class ImportedReference:
    """A reference without images.

    Attributes:
        moments: Of the features.
        spatial: Of the spatial features, which sFID compares; None where they are not known.
        count: Images behind them; None where that is not known.
        extractor: What they are features of, if the file says so.
    """

    moments: Moments
    spatial: Moments | None = None
    count: int | None = None
    extractor: ExtractorSpec | None = None

    @property
    def dimension(self) -> int:
        """Length of a feature vector."""
        return self.moments.mean.size

    @property
    def digest(self) -> str:
        """sha256 of the numbers: what tells one reference from another, whatever file or name it came under."""
        content = hashlib.sha256(f"{self.count or 0}".encode())
        for moments in (self.moments, self.spatial):
            for array in () if moments is None else (moments.mean, moments.covariance):
                content.update(f"{array.shape}".encode() + np.ascontiguousarray(array, "<f8").tobytes())
        return content.hexdigest()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As a merged reference, with the covariances beside their factors.

        Raises:
            InvalidInput: These are no means and covariances.
        """
        arrays = _stored(self.moments, self.count)
        return arrays if self.spatial is None else arrays | spatial_arrays(_stored(self.spatial, self.count))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], extractor: ExtractorSpec | None = None) -> Self:
        """From a merged reference, computed or imported; what it knows of single images is left out."""
        spatial = arrays_under(f"{SPATIAL}/", arrays)
        return cls(
            moments=_moments_of(arrays),
            spatial=_moments_of(spatial) if spatial else None,
            count=int(arrays["count"][0]) or None,
            extractor=extractor,
        )


def read_reference(path: Path, *, count: int | None = None) -> ImportedReference:
    """A reference from a file of statistics, checked; arrays that are of no use here are not read.

    Args:
        path: `.npz` with `mu` and `sigma`, or `m` and `s`; perhaps `mu_s` and `sigma_s` of spatial features, and what
            `write_reference` adds.
        count: Images behind them, if the file does not say.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It holds no such arrays, they are no means and covariances, or the file says another count.
    """
    found = read_arrays(path, _KNOWN)
    mean, covariance = moments_in(found, path, KEYS)
    spatial = Moments(*moments_in(found, path, SPATIAL_KEYS)) if set(SPATIAL_KEYS[0]) <= found.keys() else None
    stated = count_in(found, path)
    if None not in (stated, count) and stated != count:
        raise InvalidInput(
            "The file says how many images its statistics are of, and it is another number.",
            received=f"--images {count}, and {COUNT_KEY} {stated} in {path}",
            expected="the number in the file",
            next_step="leave --images out",
        )
    reference = ImportedReference(
        moments=Moments(mean, covariance), spatial=spatial, count=stated or count, extractor=_extractor_in(found, path)
    )
    for moments in (reference.moments, spatial):
        if moments is not None:
            fit_from_moments(moments.mean, moments.covariance, name=str(path))
    return reference


def write_reference(path: Path, reference: ImportedReference) -> None:
    """Write `mu` and `sigma`, which other FID code reads, and beside them what vaeval knows.

    A file that is there is replaced once the new one is whole.

    Raises:
        StorageFailed: The file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {"mu": reference.moments.mean, "sigma": reference.moments.covariance}
    if reference.spatial is not None:
        arrays |= {"mu_s": reference.spatial.mean, "sigma_s": reference.spatial.covariance}
    if reference.count is not None:
        arrays[COUNT_KEY] = np.array(reference.count)
    if reference.extractor is not None:
        arrays[EXTRACTOR_KEY] = np.array(reference.extractor.model_dump_json())
    beside = path.with_name(f".{path.name}.partial")
    try:
        with beside.open("wb") as file:  # np.savez would append .npz to another name
            np.savez(file, allow_pickle=False, **arrays)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise StorageFailed(
            "The statistics cannot be written.",
            received=f"{path} ({error.strerror})",
            expected="a file name in a folder that this user may write to",
            next_step="give another path",
        ) from error


def _stored(moments: Moments, count: int | None) -> dict[str, NDArray[Any]]:
    fit = fit_from_moments(moments.mean, moments.covariance, count=count)
    return {**fit.to_arrays(), "covariance": moments.covariance}


def _moments_of(arrays: Mapping[str, NDArray[Any]]) -> Moments:
    covariance = arrays["covariance"] if "covariance" in arrays else GaussianFit.from_arrays(arrays).covariance
    return Moments(arrays["mean"], covariance)


def _extractor_in(found: Mapping[str, NDArray[Any]], path: Path) -> ExtractorSpec | None:
    if EXTRACTOR_KEY not in found:
        return None
    text = str(found[EXTRACTOR_KEY])
    try:
        return ExtractorSpec.model_validate_json(text)
    except ValidationError as error:
        raise InvalidInput(
            "The file names an extractor in a way that this version of vaeval does not read.",
            received=f"{text:.120} in {path}",
            expected="what `vaeval reference export` writes",
            next_step="import the statistics with the version of vaeval that wrote them",
        ) from error

"""Feature extractors that other packages register under the entry point group `vaeval.extractors`.

An entry point names any callable that takes images (n, h, w, 3) uint8 and gives features (n, d); `docs/extending.md`
shows a whole one. Code has no digest as a file of weights has one, so what identifies it is what its author states: the
entry point's value and a version, the callable's `version` attribute or else the version of its distribution. Whoever
changes the code and not the version mixes numbers that do not belong together; that is the author's to prevent.

`catalogue` lists these beside the built-in extractors and comes here for every name that is not its own.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np

from vaeval_core.errors import InvalidInput
from vaeval_core.features.accepted_images import check_images
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.shard_plan import NETWORK_BATCH
from vaeval_core.types import Float32, Uint8

GROUP = "vaeval.extractors"

OWN_RESIZE = "own"
"""Stands in a spec where the callable takes images of any size and does what it likes with it."""

_PROBE_SHAPE = (2, 64, 64, 3)


class RegisteredExtractor(FeatureExtractor):
    """Somebody's callable: whole batches in, checked features out.

    Args:
        spec: From `describe_registered`.
        features_of: Images (n, h, w, 3) uint8 to features (n, d).
        batch: Images per call; a shorter last part is padded up with black, so that the callable sees one size.
    """

    def __init__(self, spec: ExtractorSpec, features_of: Callable[[Uint8], Any], *, batch: int = NETWORK_BATCH) -> None:
        self._spec = spec
        self._features_of = features_of
        self._batch = batch

    @property
    def spec(self) -> ExtractorSpec:
        """What identifies these features in a protocol."""
        return self._spec

    def extract(self, images: Uint8) -> Float32:
        """Features of images.

        Args:
            images: (n, h, w, c) uint8, any h and w, c of 1 or 3; grey is repeated to RGB before the callable sees it.

        Returns:
            (n, d) float32.

        Raises:
            ImagesRejected: Another dtype or shape.
            InvalidInput: The callable gave something else than (n, d) real numbers.
        """
        check_images(images)
        rgb = images.repeat(3, axis=-1) if images.shape[-1] == 1 else images
        features = np.empty((len(images), self.dimension), np.float32)
        for start in range(0, len(rgb), self._batch):
            part = rgb[start : start + self._batch]
            missing = self._batch - len(part)
            if missing:
                part = np.concatenate([part, np.zeros((missing, *rgb.shape[1:]), np.uint8)])
            given = _checked(self._spec.name, self._features_of(part), (self._batch, self.dimension))
            features[start : start + self._batch] = given[: self._batch - missing]
        return features


def registered_names() -> tuple[str, ...]:
    """Names under which installed packages register extractors, sorted; nothing of theirs is imported."""
    return tuple(sorted({entry.name for entry in _entries(_installations())}))


def describe_registered(name: str) -> ExtractorSpec:
    """What identifies the features of a registered extractor.

    Imports its package. The dimension is the callable's `dimension` attribute, else found out by a call with two black
    images of 64 × 64 pixels.

    Args:
        name: One of `registered_names`.

    Raises:
        InvalidInput: Two packages use the name, its package cannot be imported, or it is no such callable.
    """
    entry = _entry(name)
    features_of = _load(entry)
    stated = f"{GROUP}\n{entry.value}\n{_version(entry, features_of)}"
    return ExtractorSpec(
        name=name,
        version=1,
        weights_digest=hashlib.sha256(stated.encode("utf-8")).hexdigest(),
        resize=OWN_RESIZE,
        dimension=_dimension(name, features_of),
    )


def load_registered(spec: ExtractorSpec) -> RegisteredExtractor:
    """The extractor of a spec, ready to run.

    Raises:
        InvalidInput: As `describe_registered`.
    """
    return RegisteredExtractor(spec, _load(_entry(spec.name)))


def _installations() -> tuple[tuple[str, int], ...]:
    """Every folder that packages are imported from, with the time of its last change: another one where one is installed."""
    return tuple((folder, _changed_at(Path(folder))) for folder in sys.path)


def _changed_at(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0  # there may be none, or an archive that cannot be looked at


@lru_cache(maxsize=1)
def _entries(_installed: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """The entry points of the group. Read anew only after an installation: it takes a look into every package."""
    return tuple(entry_points(group=GROUP))


def _entry(name: str) -> EntryPoint:
    entries = {entry.value: entry for entry in _entries(_installations()) if entry.name == name}
    if len(entries) != 1:
        raise InvalidInput(
            f"{'Several packages register' if entries else 'No package registers'} the extractor {name}.",
            received=", ".join(f"{value} of {_distribution(entry)}" for value, entry in entries.items()) or name,
            expected=f"one entry point of that name in the group {GROUP}",
            next_step="uninstall or rename one of them" if entries else "install its package on this machine",
        )
    return next(iter(entries.values()))


def _load(entry: EntryPoint) -> Callable[[Uint8], Any]:
    try:
        loaded = entry.load()
    except Exception as error:  # importing somebody's module can raise anything
        raise InvalidInput(
            f"The registered extractor {entry.name} cannot be imported.",
            received=f"{entry.value} of {_distribution(entry)}: {type(error).__name__}: {error}",
            expected="a module that imports, and in it a callable of that name",
            next_step="install what it needs, or remove the package that registers it",
        ) from error
    if not callable(loaded) or isinstance(loaded, type):
        raise InvalidInput(
            f"The registered extractor {entry.name} is no function of images.",
            received=f"{entry.value} of {_distribution(entry)}: {loaded!r}",
            expected="a callable that takes images (n, h, w, 3) uint8 and gives features (n, d); of a class, an instance",
            next_step="docs/extending.md shows a registered extractor that works",
        )
    features_of: Callable[[Uint8], Any] = loaded
    return features_of


def _version(entry: EntryPoint, features_of: Callable[[Uint8], Any]) -> str:
    stated = getattr(features_of, "version", None)
    if stated is None and entry.dist is not None:
        stated = f"{entry.dist.name} {entry.dist.version}"
    return f"version {stated}"


def _dimension(name: str, features_of: Callable[[Uint8], Any]) -> int:
    stated = getattr(features_of, "dimension", None)
    if stated is None:
        try:
            given = features_of(np.zeros(_PROBE_SHAPE, np.uint8))
        except Exception as error:  # somebody's code can raise anything
            raise InvalidInput(
                f"The registered extractor {name} states no dimension and failed when it was tried out.",
                received=f"{type(error).__name__}: {error}",
                expected=f"features of uint8 images of shape {_PROBE_SHAPE}, or an attribute `dimension`",
                next_step="repair it, or tell its author",
            ) from error
        return int(_checked(name, given, (_PROBE_SHAPE[0], None)).shape[1])
    if not isinstance(stated, int) or stated < 1:
        raise InvalidInput(
            f"The registered extractor {name} states no usable dimension.",
            received=f"dimension={stated!r}",
            expected="the length of a feature vector, a whole number of at least 1, or no such attribute",
            next_step="docs/extending.md shows a registered extractor that works",
        )
    return stated


def _checked(name: str, given: Any, shape: tuple[int, int | None]) -> Float32:
    """What a callable gave, as float32, if it is real numbers of that shape; None stands for any length from 1."""
    features = np.asarray(given)
    rows, dimension = shape
    fits = features.ndim == 2 and len(features) == rows and dimension in {None, features.shape[-1]} and features.size
    if not fits or features.dtype.kind not in "fiu":
        raise InvalidInput(
            f"The registered extractor {name} gave no features.",
            received=f"{features.dtype} of shape {features.shape} for {rows} images",
            expected=f"real numbers of shape ({rows}, {'d' if dimension is None else dimension})",
            next_step="repair it, or tell its author",
        )
    with np.errstate(over="ignore"):  # a float64 may be too large: that is told below
        features = features.astype(np.float32)
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise InvalidInput(
            f"The registered extractor {name} gave features that are not finite.",
            received=f"NaN or infinity in {np.count_nonzero(~finite)} of {rows} rows, the first of them {finite.argmin()}",
            expected="finite numbers for any image, also for one that is all black",
            next_step="repair it, or tell its author",
        )
    return features


def _distribution(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"

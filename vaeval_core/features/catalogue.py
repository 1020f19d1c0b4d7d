"""Every feature extractor by name. Where an extractor's name becomes a spec (at submit) and a spec features (in a worker).

`resolve_extractor` needs no TensorFlow and finds the weights; `load_extractor` builds the network from a spec, and only
if this program still computes what the spec says. A built-in extractor is one entry of `_EXTRACTORS`; those of other
packages come from `registered`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vaeval_core.errors import ExtractorDiffers, InvalidInput
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.fid_weights import find_fid_weights
from vaeval_core.features.inception_v3_architecture import FEATURES
from vaeval_core.features.inception_v3_fid import load_fid_inception
from vaeval_core.features.keras_applications import find_keras_weights, load_keras_inception
from vaeval_core.features.pixels import FEATURES as PIXEL_FEATURES
from vaeval_core.features.pixels import RECIPE_DIGEST, load_pixels
from vaeval_core.features.random_weights import WEIGHTS_DIGEST, load_random_inception
from vaeval_core.features.registered import describe_registered, load_registered, registered_names
from vaeval_core.features.resize import INCEPTION_RESIZES
from vaeval_core.features.resumable_download import OnProgress, ignore_progress
from vaeval_core.protocol import ExtractorSpec, Precision


class _FindWeights(Protocol):
    """(the user's file or None, weights folder) → digest, with the weights in the folder."""

    def __call__(self, weights: Path | None, weights_folder: Path, *, on_progress: OnProgress) -> str: ...


@dataclass(frozen=True, kw_only=True)
class _Extractor:
    """How one extractor is described, where its weights come from, and what runs it.

    Attributes:
        version: Raised when the same weights come to give other features.
        resize: How images reach the network's input size unless the user chooses, one of `resizes`.
        dimension: Length of a feature vector.
        weights: A digest where weights follow from a recipe; else what finds a file of them.
        load: (spec, weights folder) → extractor.
        resizes: What the user may choose from, of `resize.RESIZE_KINDS`.
        precisions: Likewise.
    """

    version: int
    resize: str
    dimension: int
    weights: str | _FindWeights
    load: Callable[[ExtractorSpec, Path], FeatureExtractor]
    resizes: tuple[str, ...] = INCEPTION_RESIZES
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")


_EXTRACTORS: dict[str, _Extractor] = {
    "inception-v3-fid": _Extractor(
        version=1,
        resize="tf1-bilinear",
        dimension=FEATURES,
        weights=find_fid_weights,
        load=load_fid_inception,
    ),
    "inception-v3-random": _Extractor(
        version=1,
        resize="tf1-bilinear",
        dimension=FEATURES,
        weights=WEIGHTS_DIGEST,
        load=load_random_inception,
    ),
    "inception-v3-keras": _Extractor(
        version=1,
        resize="half-pixel",
        dimension=FEATURES,
        weights=find_keras_weights,
        load=load_keras_inception,
    ),
    "pixels-8x8": _Extractor(
        version=1,
        resize="area",
        dimension=PIXEL_FEATURES,
        weights=RECIPE_DIGEST,
        load=load_pixels,
        resizes=("area",),
        precisions=("float32",),
    ),
}

EXTRACTOR_NAMES: tuple[str, ...] = tuple(_EXTRACTORS)
"""The built-in ones."""


def extractor_names() -> tuple[str, ...]:
    """All names: the built-in ones, then those that other packages register here."""
    return (*EXTRACTOR_NAMES, *(name for name in registered_names() if name not in _EXTRACTORS))


def resolve_extractor(
    name: str,
    *,
    weights: Path | None,
    weights_folder: Path,
    resize: str | None = None,
    precision: Precision = "float32",
    on_progress: OnProgress = ignore_progress,
) -> ExtractorSpec:
    """What identifies the features of an extractor, with its weights brought to the weights folder.

    Args:
        name: One of `extractor_names()`.
        weights: A file of weights that the user gives; None for the extractor's own.
        weights_folder: Made if a file has to be put there.
        resize: Another way to the network's input size than the extractor's own.
        precision: Arithmetic of the network.
        on_progress: Told how far a download of weights is.

    Raises:
        InvalidInput: No such extractor, or it takes no weights file, or the file is not one for it, or it does not
            offer the resize or the precision.
        NotFound: The weights file does not exist.
        WeightsUnavailable: The extractor's own weights are neither on this machine nor to be had.
        StorageFailed: The weights folder cannot be read or written.
    """
    _require_known(name)
    extractor = _EXTRACTORS.get(name)
    if weights is not None and (extractor is None or isinstance(extractor.weights, str)):
        raise InvalidInput(
            f"The extractor {name} takes no weights file.",
            received=f"--weights {weights}",
            expected="none: its weights follow from the program",
            next_step="leave --weights out, or choose --extractor inception-v3-fid",
        )
    if extractor is None:
        _require_offered(name, "resize", resize, ())
        _require_offered(name, "precision", precision, ("float32",))
        return describe_registered(name)
    chosen = resize or extractor.resize
    _require_offered(name, "resize", chosen, extractor.resizes)
    _require_offered(name, "precision", precision, extractor.precisions)
    digest = extractor.weights
    if not isinstance(digest, str):
        digest = digest(weights, weights_folder, on_progress=on_progress)
    return _spec(name, digest, chosen, precision)


def load_extractor(spec: ExtractorSpec, weights_folder: Path) -> FeatureExtractor:
    """The extractor of a spec, ready to run.

    Args:
        spec: From `resolve_extractor`, here or on another machine.
        weights_folder: Where its weights file is.

    Raises:
        ExtractorDiffers: This program computes other features under that name, or none.
        WeightsUnavailable: The weights file is not here, or weights made from a seed come out differently here.
    """
    try:
        _require_known(spec.name)
        here = _as_computed_here(spec)
    except InvalidInput as error:  # it was known where the protocol was made
        raise ExtractorDiffers(
            error.what, received=error.received, expected=error.expected, next_step=error.next_step
        ) from error
    if spec != here:
        wanted, offered = spec.model_dump(), here.model_dump()
        differing = [field for field in wanted if wanted[field] != offered[field]]
        raise ExtractorDiffers(
            f"This program computes other features under the name {spec.name} than the protocol asks for.",
            received=", ".join(f"{field}={wanted[field]}" for field in differing),
            expected=", ".join(f"{field}={offered[field]}" for field in differing),
            next_step="run workers of the same release of vaeval as the one that submitted"
            if spec.name in _EXTRACTORS
            else "install the same version of its package on every machine",
        )
    if spec.name not in _EXTRACTORS:
        return load_registered(spec)
    return _EXTRACTORS[spec.name].load(spec, weights_folder)


def _as_computed_here(spec: ExtractorSpec) -> ExtractorSpec:
    """The spec that this program would give for the same wish; its weights file is taken as given."""
    extractor = _EXTRACTORS.get(spec.name)
    if extractor is None:
        return describe_registered(spec.name)
    digest = extractor.weights if isinstance(extractor.weights, str) else spec.weights_digest
    resize = spec.resize if spec.resize in extractor.resizes else extractor.resize
    precision = spec.precision if spec.precision in extractor.precisions else extractor.precisions[0]
    return _spec(spec.name, digest, resize, precision)


def _spec(name: str, weights_digest: str, resize: str, precision: Precision) -> ExtractorSpec:
    extractor = _EXTRACTORS[name]
    return ExtractorSpec(
        name=name,
        version=extractor.version,
        weights_digest=weights_digest,
        resize=resize,
        precision=precision,
        dimension=extractor.dimension,
    )


def _require_known(name: str) -> None:
    registered = registered_names()
    if name in _EXTRACTORS and name in registered:
        raise InvalidInput(
            "A package registers an extractor under the name of a built-in one.",
            received=name,
            expected="another name for its entry point",
            next_step="uninstall or rename it",
        )
    known = extractor_names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        raise InvalidInput(
            "There is no such feature extractor.",
            received=name,
            expected=f"one of {', '.join(known)}",
            next_step=f"did you mean {close[0]}?" if close else None,
        )


def _require_offered(name: str, what: str, chosen: str | None, offered: tuple[str, ...]) -> None:
    if chosen is not None and chosen not in offered:
        raise InvalidInput(
            f"The extractor {name} does not offer this {what}.",
            received=f"extractor_{what}={chosen}",
            expected=f"one of {', '.join(offered)}" if offered else "none: it takes images of any size",
            next_step=f"leave extractor_{what} out of the protocol",
        )

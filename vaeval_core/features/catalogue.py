"""Every feature extractor by name. Where an extractor's name becomes a spec (at submit) and a spec features (in a worker).

`resolve_extractor` needs no TensorFlow and finds the weights; `load_extractor` builds the network from a spec, and only
if this program still computes what the spec says. An extractor is one entry of `_EXTRACTORS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vaeval_core.errors import InvalidInput
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.inception_v3_architecture import FEATURES
from vaeval_core.features.keras_applications import find_keras_weights, load_keras_inception
from vaeval_core.features.pixels import FEATURES as PIXEL_FEATURES
from vaeval_core.features.pixels import RECIPE_DIGEST, load_pixels
from vaeval_core.features.random_weights import WEIGHTS_DIGEST, load_random_inception
from vaeval_core.protocol import ExtractorSpec


@dataclass(frozen=True, kw_only=True)
class _Extractor:
    """How one extractor is described, where its weights come from, and what runs it.

    Attributes:
        version: Raised when the same weights come to give other features.
        resize: How images reach the network's input size, one of `resize.RESIZE_KINDS`.
        dimension: Length of a feature vector.
        weights: A digest where weights follow from a recipe; else what finds a file of them, (the user's file or None,
            weights folder) → sha256.
        load: (spec, weights folder) → extractor.
    """

    version: int
    resize: str
    dimension: int
    weights: str | Callable[[Path | None, Path], str]
    load: Callable[[ExtractorSpec, Path], FeatureExtractor]


_EXTRACTORS: dict[str, _Extractor] = {
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
    ),
}

EXTRACTOR_NAMES: tuple[str, ...] = tuple(_EXTRACTORS)


def resolve_extractor(name: str, *, weights: Path | None, weights_folder: Path) -> ExtractorSpec:
    """What identifies the features of an extractor, with its weights brought to the weights folder.

    Args:
        name: One of `EXTRACTOR_NAMES`.
        weights: A file of weights that the user gives; None for the extractor's own.
        weights_folder: Made if a file has to be put there.

    Raises:
        InvalidInput: No such extractor, or it takes no weights file, or the file is not one for it.
        NotFound: The weights file does not exist.
        WeightsUnavailable: The extractor's own weights are neither on this machine nor to be had.
        StorageFailed: The weights folder cannot be read or written.
    """
    extractor = _named(name)
    if callable(extractor.weights):
        return _spec(name, extractor.weights(weights, weights_folder))
    if weights is not None:
        raise InvalidInput(
            f"The extractor {name} takes no weights file.",
            received=f"--weights {weights}",
            expected="none: its weights follow from the program",
            next_step="leave --weights out, or choose --extractor inception-v3-keras",
        )
    return _spec(name, extractor.weights)


def load_extractor(spec: ExtractorSpec, weights_folder: Path) -> FeatureExtractor:
    """The extractor of a spec, ready to run.

    Args:
        spec: From `resolve_extractor`, here or on another machine.
        weights_folder: Where its weights file is.

    Raises:
        InvalidInput: This program computes other features under that name.
        WeightsUnavailable: The weights file is not here, or weights made from a seed come out differently here.
    """
    extractor = _named(spec.name)
    digest = spec.weights_digest if callable(extractor.weights) else extractor.weights
    here = _spec(spec.name, digest)
    if spec != here:
        wanted, offered = spec.model_dump(), here.model_dump()
        differing = [field for field in wanted if wanted[field] != offered[field]]
        raise InvalidInput(
            f"This program computes other features under the name {spec.name} than the protocol asks for.",
            received=", ".join(f"{field}={wanted[field]}" for field in differing),
            expected=", ".join(f"{field}={offered[field]}" for field in differing),
            next_step="run workers of the same release of vaeval as the one that submitted",
        )
    return extractor.load(spec, weights_folder)


def _spec(name: str, weights_digest: str) -> ExtractorSpec:
    extractor = _EXTRACTORS[name]
    return ExtractorSpec(
        name=name,
        version=extractor.version,
        weights_digest=weights_digest,
        resize=extractor.resize,
        dimension=extractor.dimension,
    )


def _named(name: str) -> _Extractor:
    if name not in _EXTRACTORS:
        close = difflib.get_close_matches(name, EXTRACTOR_NAMES, n=1, cutoff=0.0)
        raise InvalidInput(
            "There is no such feature extractor.",
            received=name,
            expected=f"one of {', '.join(EXTRACTOR_NAMES)}",
            next_step=f"did you mean {close[0]}?" if close else None,
        )
    return _EXTRACTORS[name]

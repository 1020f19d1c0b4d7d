"""The protocol: everything that changes a number, frozen, with a fingerprint.

Two evaluations may be compared if and only if their protocols have the same fingerprint. A field belongs here when
another value of it gives other scores; names, paths, shard sizes and numbers of workers do not, and stay outside.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from vaeval_core.likelihood import Likelihood
from vaeval_core.shard_plan import NETWORK_BATCH

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

StreamName = Literal["samples", "reconstructions", "interpolations", "fitted"]
"""One kind of generated images: decoded prior draws; decoded posterior means; decoded points between two of these; decoded
draws from a density that was fitted to encoded images."""

PathKind = Literal["linear", "spherical"]
"""How one gets from one latent to another: along the straight line, or along an arc around the origin."""

MOST_PATHS = 2048
"""Interpolations of which a second point is decoded, for path lengths: a mean over paths needs no more."""

ImageFit = Literal["exact", "crop-bicubic"]
"""How stored images become model inputs: only the right size is taken; or centre crop and antialiased bicubic."""

Precision = Literal["float32", "bfloat16"]
"""Arithmetic of a feature network: float32 is what published numbers are computed in; bfloat16 is quicker and shifts FID."""

PerceptualNetwork = Literal["alex", "vgg"]
"""Network whose outputs LPIPS compares; as the package of its authors names them."""


def _with_other_streams(*metrics: str) -> frozenset[str]:
    """Metrics of samples, and the same of other streams."""
    endings = ("", "_reconstructions", "_interpolations", "_fitted")
    return frozenset(f"{name}{ending}" for name in metrics for ending in endings)


REFERENCE_STATISTICS: dict[str, tuple[int, frozenset[str]]] = {
    "pairs": (1, _with_other_streams("kid", "precision", "recall", "density", "coverage") | {"authenticity"}),
    "bins": (1, _with_other_streams("ndb")),
    "spatial": (1, frozenset({"sfid"})),
}
"""What is computed once of the real images of a reference → the version of how, and the metrics that need it."""

METRICS_OF_DRAWS = frozenset({"log_likelihood", "elbo", "iwae", "bits_per_dim"})
"""Metrics that depend on the number of posterior draws: a protocol without any of them has none."""

_WHERE_NOTHING_IS_SAID: dict[str, Any] = {
    "num_draws": 0,
    "likelihood": None,
    "num_interpolations": 0,
    "interpolation_path": "linear",
    "num_fitted": 0,
    "imported_reference": None,
    "lpips": None,
}
"""Fields that came later, with the values at which they change no number: left out then, so that fingerprints stay."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExtractorSpec(_Frozen):
    """Which network turns images into features.

    Attributes:
        name: Catalogue name, such as `inception-v3-random`.
        version: Raised when the same name and weights give other features.
        weights_digest: sha256 of the weights file, or of the recipe where weights are made from a seed.
        resize: How images reach the network's input size, such as `tf1-bilinear`.
        precision: Arithmetic of the forward pass.
        dimension: Length of a feature vector.
    """

    name: str
    version: int
    weights_digest: Sha256
    resize: str
    precision: Precision = "float32"
    dimension: int = Field(ge=1)


class PerceptualSpec(_Frozen):
    """What LPIPS is computed with.

    Attributes:
        network: Whose outputs are compared.
        weights_digest: Digest of its weights and of those of the comparison.
    """

    network: PerceptualNetwork
    weights_digest: Sha256


class Protocol(_Frozen):
    """One way to evaluate any checkpoint; see the module text.

    Attributes:
        dataset_digest: Content of the real images, in order.
        image_shape: (height, width, channels) at which models see images and pictures are compared.
        image_fit: How stored images get that shape.
        num_samples: Prior samples to decode; 0 leaves the stream out.
        num_reconstructions: Real images to encode and decode; 0 leaves the stream out.
        num_reference: Real images whose features are compared against.
        num_interpolations: Points between encoded images to decode, each on a path of its own; 0 leaves the stream out.
        interpolation_path: Which way these paths go.
        num_fitted: Draws to decode from a mixture that is fitted to encoded images of the reference; 0 leaves the stream out.
        seed: Seed of all noise.
        extractor: The feature network.
        metrics: Metric name → version of its definition.
        num_draws: Draws from each posterior that bounds of the likelihood are taken over; 0 where no metric needs them.
        likelihood: What the means of all decoders are means of; None for what each checkpoint says of itself.
        image_order: Which images are the first n: a fixed permutation of the sorted set.
        quantisation: How decoder output becomes uint8.
        network_batch: Images per network call.
        imported_reference: Digest of the statistics that stand for the features of real images; None if they are computed.
        lpips: What LPIPS is computed with; None where no weights of it were given.
    """

    dataset_digest: Sha256
    image_shape: tuple[int, int, int]
    image_fit: ImageFit
    num_samples: int = Field(ge=0)
    num_reconstructions: int = Field(ge=0)
    num_reference: int = Field(ge=2)
    seed: int = Field(ge=0, lt=2**63)
    extractor: ExtractorSpec
    metrics: dict[str, int]
    num_draws: int = Field(default=0, ge=0)
    likelihood: Likelihood | None = None
    image_order: Literal["philox-permutation-1"] = "philox-permutation-1"
    quantisation: Literal["clamp-round"] = "clamp-round"
    network_batch: int = NETWORK_BATCH
    num_interpolations: int = Field(default=0, ge=0)
    interpolation_path: PathKind = "linear"
    num_fitted: int = Field(default=0, ge=0)
    imported_reference: Sha256 | None = None
    lpips: PerceptualSpec | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_not_said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = dump(self)
        unsaid = _WHERE_NOTHING_IS_SAID
        return {name: value for name, value in content.items() if name not in unsaid or value != unsaid[name]}

    def canonical_json(self) -> str:
        """The one text of this protocol: sorted keys, no spaces, ASCII."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def fingerprint(self) -> str:
        """sha256 of the canonical JSON; rows of different fingerprints are never ranked together."""
        return hashlib.sha256(self.canonical_json().encode("ascii")).hexdigest()

    @property
    def reference_statistics(self) -> dict[str, int]:
        """What the metrics need to be known of the real images beyond a Gaussian → the version of how it is computed."""
        return {
            name: version
            for name, (version, metrics) in REFERENCE_STATISTICS.items()
            if not metrics.isdisjoint(self.metrics)
        }

    @property
    def reference_key(self) -> str:
        """sha256 of what decides the features and statistics of the real images: evaluations with one key share them."""
        if self.imported_reference is not None:
            content = self.model_dump(mode="json", include={"imported_reference", "extractor"})
            return hashlib.sha256(canonical_json(content).encode("ascii")).hexdigest()
        fields = {
            "dataset_digest",
            "image_shape",
            "image_fit",
            "image_order",
            "num_reference",
            "extractor",
            "network_batch",
        }
        content = self.model_dump(mode="json", include=fields)
        if self.reference_statistics:
            content["statistics"] = self.reference_statistics
        return hashlib.sha256(canonical_json(content).encode("ascii")).hexdigest()

    def first_image_beside_reference(self, dataset_digest: str) -> int:
        """Number of the first image of a data set that the reference does not hold: 0 in another set than the reference's."""
        is_in_reference = dataset_digest == self.dataset_digest and self.imported_reference is None
        return self.num_reference if is_in_reference else 0

    @property
    def stream_lengths(self) -> dict[StreamName, int]:
        """Images of each stream that is asked for."""
        lengths: dict[StreamName, int] = {
            "samples": self.num_samples,
            "reconstructions": self.num_reconstructions,
            "interpolations": self.num_interpolations,
            "fitted": self.num_fitted,
        }
        return {stream: length for stream, length in lengths.items() if length}

    @property
    def num_paths(self) -> int:
        """Interpolations of which a second point is decoded, for metrics of path length."""
        return 0 if {"ppl", "ppl_pixels"}.isdisjoint(self.metrics) else min(self.num_interpolations, MOST_PATHS)

    @property
    def extractor_passes(self) -> tuple[int, ...]:
        """How far each pass through the extractor reaches: image i takes one for every number above i."""
        second_points = (self.num_paths,) if "ppl" in self.metrics else ()
        return (*self.stream_lengths.values(), *second_points)

    @property
    def num_images(self) -> int:
        """Images of the longest stream: how far the shard plan of an evaluation reaches."""
        return max(self.stream_lengths.values(), default=0)

    @property
    def forward_passes(self) -> int:
        """Images that go through the extractor for one checkpoint, the reference not counted: the unit of cost."""
        return sum(self.extractor_passes)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values have equal texts and digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)

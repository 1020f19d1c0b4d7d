"""What a user asks for, before dataset, checkpoint and weights are known: presets and YAML protocols.

`ProtocolRequest` is the wish, `Protocol` the frozen fact: `resolve` turns the one into the other.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vaeval_core.errors import InvalidInput, NotFound, TooFewImages
from vaeval_core.likelihood import Likelihood
from vaeval_core.protocol import (
    METRICS_OF_DRAWS,
    ExtractorSpec,
    ImageFit,
    PathKind,
    PerceptualSpec,
    Precision,
    Protocol,
)
from vaeval_core.settings_file import NotSettings, read_settings
from vaeval_core.types import ImageShape
from vaeval_core.wrong_values import shortly, told

LPIPS = "lpips"
"""The metric that needs weights of its own."""

DEFAULT_EXTRACTOR = "inception-v3-random"


class ProtocolRequest(BaseModel):
    """How to evaluate, as a user writes it in a YAML file.

    Attributes:
        name: Shown in tables; not part of the fingerprint.
        samples: Prior samples to decode.
        reconstructions: Real images to reconstruct; fewer if the data set has fewer.
        reference: Real images to compare against; fewer if the data set has fewer.
        interpolations: Points between encoded images to decode; not more than reconstructions.
        interpolation_path: Which way from one encoded image to the other.
        fitted: Draws to decode from a mixture that is fitted to encoded images.
        seed: Seed of all noise.
        extractor: Name of the feature extractor.
        extractor_resize: How its images reach its input size; None for its own way, which published numbers need.
        extractor_precision: Arithmetic of its network.
        resize: Fit images of other sizes by centre crop and bicubic resampling.
        imported_reference: Name of imported statistics to compare against, instead of real images.
        metrics: Names of what is computed; None for what these numbers of images make cheap (`catalogue.default_metrics`).
        draws: Draws from each posterior for bounds of the likelihood: K of `iwae`. Each is a pass through the decoder.
        likelihood: What the decoders' means are means of; None for what each checkpoint says of itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "custom"
    samples: int = Field(default=10_000, ge=0)
    reconstructions: int = Field(default=10_000, ge=0)
    reference: int = Field(default=10_000, ge=2)
    interpolations: int = Field(default=0, ge=0)
    interpolation_path: PathKind = "linear"
    fitted: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**63)
    extractor: str = DEFAULT_EXTRACTOR
    extractor_resize: str | None = None
    extractor_precision: Precision = "float32"
    resize: bool = False
    imported_reference: str | None = None
    metrics: tuple[str, ...] | None = None
    draws: int = Field(default=50, ge=1)
    likelihood: Likelihood | None = None

    def resolve(
        self,
        *,
        dataset_digest: str,
        dataset_size: int,
        image_shape: ImageShape,
        extractor: ExtractorSpec,
        metrics: dict[str, int],
        imported_digest: str | None = None,
        lpips: PerceptualSpec | None = None,
    ) -> Protocol:
        """Bind the request to a data set, an image shape and extractor weights.

        Args:
            dataset_digest: Content of the real images.
            dataset_size: How many there are.
            image_shape: Of the model.
            extractor: The feature network that `extractor` names.
            metrics: Name → version.
            imported_digest: Content of the statistics that `imported_reference` names.
            lpips: What LPIPS is computed with, where weights of it were given.

        Raises:
            TooFewImages: The data set, or what is asked of it, has fewer than two images.
        """
        if dataset_size < 2:
            raise TooFewImages(
                "A data set of fewer than two images has no spread to compare against.",
                received=f"{dataset_size} image{'' if dataset_size == 1 else 's'}",
                expected="at least 2",
                next_step="point --data at a folder with more images",
            )
        for stream in ("samples", "reconstructions", "interpolations", "fitted"):
            if getattr(self, stream) == 1:
                raise TooFewImages(
                    f"One image is too few for the statistics of the {'fitted draws' if stream == 'fitted' else stream}.",
                    received=f"{stream}=1",
                    expected="0 to leave them out, or at least 2",
                    next_step=f"use --{stream} 500 or more",
                )
        if self.samples == 0 and self.reconstructions == 0 and self.fitted == 0:
            raise TooFewImages(
                "The protocol asks for no images at all.",
                received="samples=0, reconstructions=0",
                expected="at least 2 of either",
                next_step="use --samples 500",
            )
        fit: ImageFit = "crop-bicubic" if self.resize else "exact"
        num_reconstructions = min(self.reconstructions, dataset_size)
        num_interpolations = min(self.interpolations, num_reconstructions)
        return Protocol(
            dataset_digest=dataset_digest,
            image_shape=image_shape,
            image_fit=fit,
            num_samples=self.samples,
            num_reconstructions=num_reconstructions,
            num_reference=min(self.reference, dataset_size),
            num_interpolations=num_interpolations,
            interpolation_path=self.interpolation_path if num_interpolations else "linear",
            num_fitted=self.fitted,
            seed=self.seed,
            extractor=extractor,
            metrics=metrics,
            num_draws=self.draws if not METRICS_OF_DRAWS.isdisjoint(metrics) else 0,
            likelihood=self.likelihood,
            imported_reference=imported_digest,
            lpips=lpips if LPIPS in metrics else None,
        )


PRESETS: dict[str, ProtocolRequest] = {
    "quick": ProtocolRequest(name="quick", samples=500, reconstructions=500, reference=500, draws=16),
    "standard": ProtocolRequest(name="standard", interpolations=5_000, fitted=5_000),
    "full": ProtocolRequest(
        name="full",
        samples=50_000,
        reconstructions=50_000,
        reference=50_000,
        interpolations=10_000,
        fitted=10_000,
    ),
    "textbook": ProtocolRequest(
        name="textbook",
        interpolations=10_000,
        extractor="inception-v3-keras",
        metrics=("fid", "mse", "cross_entropy", "kl", "fid_interpolations"),
    ),
    "tokenizer": ProtocolRequest(
        name="tokenizer",
        samples=0,
        reconstructions=50_000,
        reference=50_000,
        extractor="inception-v3-fid",
        metrics=("rfid", "psnr", "ssim"),
    ),
}
"""Named protocols. Few images make FID biased upward, so only compare within one: `quick` finds bugs, `standard`
ranks checkpoints, `full` is what papers report. `textbook` is the list of a textbook's chapter on VAEs, with the network
that its code takes; `tokenizer` is what papers on autoencoders for latent diffusion report.

Interpolations and draws from the fitted density are there for the gaps between their distances and others. Gaps are read
without bias, and bias is known from two images per feature on: so they are a few more than twice the 2,048 features of
Inception, and not as many as samples."""


def read_protocol(name_or_path: str) -> ProtocolRequest:
    """A preset by name, or a YAML file by path.

    Raises:
        NotFound: A path where there is no file.
        InvalidInput: No name of a preset, or the file is no YAML mapping of the fields of `ProtocolRequest`.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        raise _no_such_protocol(name_or_path)
    expected = f"lines such as `samples: 2000`; the fields are {', '.join(ProtocolRequest.model_fields)}"
    try:
        content = read_settings(path)
    except OSError as error:
        raise InvalidInput(
            "The protocol file cannot be read.",
            received=f"{path} ({error.strerror})",
            expected="a readable file",
            next_step="check the path given as --protocol",
        ) from error
    except NotSettings as error:
        raise InvalidInput(
            "The protocol file is not YAML.",
            received=f"{path}: {error}",
            expected=expected,
            next_step="correct that line; each field is a line such as `samples: 2000`",
        ) from error
    if not isinstance(content, dict):
        received = f"{path}, which {'is empty' if content is None else f'holds {shortly(content)}'}"
        raise InvalidInput(
            "The protocol file names no fields.",
            received=received,
            expected=expected,
            next_step="vaeval run --protocol quick needs no file; docs/files.md shows one",
        )
    try:
        return ProtocolRequest.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        received, expected = told(error.errors(), ProtocolRequest.model_fields)
        raise InvalidInput(
            f"The protocol file {path} has values that cannot be used.",
            received=received,
            expected=expected,
            next_step="correct the file, then run the same command again",
        ) from error


def _no_such_protocol(name_or_path: str) -> NotFound | InvalidInput:
    names = ", ".join(PRESETS)
    if Path(name_or_path).name != name_or_path or Path(name_or_path).suffix.lower() in {".yaml", ".yml"}:
        return NotFound(
            "There is no such protocol file.",
            received=name_or_path,
            expected=f"the path of a YAML file, or one of {names}",
            next_step="check the path given as --protocol",
        )
    close = difflib.get_close_matches(name_or_path, PRESETS, n=1)
    return InvalidInput(
        "There is no such protocol.",
        received=name_or_path,
        expected=f"one of {names}, or the path of a YAML file",
        next_step=f"--protocol {close[0]}" if close else "leave --protocol out, or write a file of your own",
    )

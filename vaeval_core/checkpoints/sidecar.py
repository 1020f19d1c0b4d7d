"""`vaeval.yaml` beside a checkpoint: what its files cannot say.

    image_range: [-1, 1]        # what the networks call black and white
    scale: log_sigma            # what the encoder's second output is
    decoder_output: logits      # the decoder ends before its sigmoid
    image_shape: [28, 28, 1]    # for networks on flat vectors that are no square
    likelihood: {kind: gaussian, sigma: 0.025}   # or bernoulli, none: what the mean image is the mean of

Every key is optional; the file counts for all checkpoints in its folder and is a part of their digest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vaeval_core.errors import CheckpointRejected
from vaeval_core.likelihood import Likelihood
from vaeval_core.settings_file import NotSettings, read_settings
from vaeval_core.types import ImageShape
from vaeval_core.wrong_values import told

SIDECAR_NAME = "vaeval.yaml"

ScaleKind = Literal["log_variance", "log_sigma", "sigma", "variance"]
"""What an encoder's second output is: ln σ², ln σ, σ or σ²."""

DecoderOutput = Literal["mean", "logits"]
"""What a decoder gives: the mean image, or the number whose sigmoid is the mean image."""

_Finite = Annotated[float, Field(allow_inf_nan=False)]


class CheckpointSettings(BaseModel):
    """The content of a `vaeval.yaml`; None where nothing was said.

    Attributes:
        image_range: (black, white) as the networks see them.
        scale: Meaning of the encoder's second output.
        decoder_output: Meaning of the decoder's output.
        image_shape: (height, width, channels) of images that the networks see as flat vectors.
        likelihood: What the decoder's mean image is the mean of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_range: tuple[_Finite, _Finite] | None = None
    scale: ScaleKind | None = None
    decoder_output: DecoderOutput | None = None
    image_shape: ImageShape | None = None
    likelihood: Likelihood | None = None

    @field_validator("image_range")
    @classmethod
    def _is_ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not value[0] < value[1]:
            raise ValueError("the first number must be below the second, such as [-1, 1]")
        return value

    @field_validator("image_shape")
    @classmethod
    def _is_a_picture(cls, value: ImageShape | None) -> ImageShape | None:
        if value is not None and (min(value) < 1 or value[2] not in {1, 3}):
            raise ValueError("must be [height, width, channels] with 1 or 3 channels, such as [28, 28, 1]")
        return value

    @model_validator(mode="after")
    def _logits_are_of_unit_range(self) -> CheckpointSettings:
        if self.decoder_output == "logits" and self.image_range not in {None, (0.0, 1.0)}:
            raise ValueError("the sigmoid of logits lies in [0, 1], so image_range cannot be another one")
        return self


def read_sidecar(folder: Path) -> CheckpointSettings:
    """The settings in a folder; all None if it has no `vaeval.yaml`.

    Raises:
        CheckpointRejected: The file is no YAML mapping of the keys above.
    """
    path = folder / SIDECAR_NAME
    if not path.is_file():
        return CheckpointSettings()
    expected = "YAML lines such as `image_range: [-1, 1]`; keys are " + ", ".join(CheckpointSettings.model_fields)
    try:
        content = read_settings(path)
    except NotSettings as error:
        raise CheckpointRejected(
            f"{path} is not YAML.",
            received=str(error),
            expected=expected,
            next_step="correct that line; docs/files.md shows what may stand in the file",
        ) from error
    try:
        return CheckpointSettings.model_validate({} if content is None else content)
    except ValidationError as error:
        received, expected = told(error.errors(), CheckpointSettings.model_fields)
        raise CheckpointRejected(
            f"{path} has settings that cannot be used.",
            received=received,
            expected=expected,
            next_step="correct the file, then run the same command again",
        ) from error

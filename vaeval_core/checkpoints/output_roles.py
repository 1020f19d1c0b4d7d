"""Which of an encoder's outputs is the posterior mean, and which tells its spread.

Names decide where they can: `z_mean`, `mu` · `z_log_var`, `log_variance`, `log_sigma2` · `log_sigma`, `log_std` · `sigma`,
`stddev` · `variance` · `z`, `sampling` (a draw, never needed). Where they do not, the order of the Keras example counts,
mean before log-variance, and a note says so. A spread that is named or computed as anything but a log-variance is never
guessed at: a wrong guess gives a plausible, wrong KL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vaeval_core.checkpoints.layer_shapes import Shape, size_of
from vaeval_core.checkpoints.sidecar import SIDECAR_NAME, ScaleKind
from vaeval_core.errors import CheckpointRejected

Role = Literal["mean", "log_variance", "log_sigma", "sigma", "variance", "sample", "unknown"]

_MEAN_WORDS = frozenset(["loc", "mean", "means", "mu"])
_SAMPLE_WORDS = frozenset(["code", "reparameterization", "reparameterize", "sample", "sampled", "sampling", "z"])
_SIGMA_WORDS = frozenset(["scale", "sd", "sigma", "std", "stddev", "stdev"])
_VARIANCE_WORDS = frozenset(["sigma2", "var", "variance"])
_LOG_VARIANCE = re.compile(r"log_?(var|cov|sigma_?(2|sq))|ln_?(var|sigma_?(2|sq))")
_LOG_SIGMA = re.compile(r"(log|ln)_?(sigma|std|sd|scale)")
_POSITIVE_ACTIVATIONS = frozenset(["exponential", "softplus"])

_SYMBOLS: dict[Role, str] = {"log_sigma": "ln σ", "sigma": "σ", "variance": "σ²"}
_DECLARE = (
    f"if you know what it is, write `scale: log_variance` (or log_sigma, sigma, variance) into {SIDECAR_NAME} beside it"
)


@dataclass(frozen=True)
class EncoderOutput:
    """One output, as far as the file tells.

    Attributes:
        place: Position among the encoder's outputs.
        name: What it is called: a dict key, or the last layer with a telling name on the way to it.
        shape: Without batch axis; None if unknown.
        activation: The last activation before it; None if it cannot be known.
        foreign: "layer 'name' of class X" that it cannot do without, or None.
    """

    place: int
    name: str
    shape: Shape | None
    activation: str | None = "linear"
    foreign: str | None = None


@dataclass(frozen=True)
class PosteriorPlan:
    """How to read a posterior off an encoder.

    Attributes:
        places: Outputs to keep, mean first.
        scale: Meaning of the second of two, or of the second half; None if the encoder says nothing about spread.
        is_halved: One output holds mean and spread as halves of its last axis.
        notes: What was assumed.
    """

    places: tuple[int, ...]
    scale: ScaleKind | None
    is_halved: bool = False
    notes: tuple[str, ...] = ()


def role_of(name: str) -> Role:
    """What a name says about an output.

    >>> [role_of(name) for name in ("z_mean", "z_log_var", "logSigma", "sampling_3", "dense_7")]
    ['mean', 'log_variance', 'log_sigma', 'sample', 'unknown']
    """
    snake = re.sub(r"[^a-z0-9]+", "_", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()).strip("_")
    words = set(snake.split("_"))
    if _LOG_VARIANCE.search(snake):
        return "log_variance"
    if _LOG_SIGMA.search(snake):
        return "log_sigma"
    if words & _VARIANCE_WORDS:
        return "variance"
    if words & _SIGMA_WORDS:
        return "sigma"
    if words & _MEAN_WORDS or snake.removeprefix("z") in _MEAN_WORDS:
        return "mean"
    return "sample" if words & _SAMPLE_WORDS else "unknown"


def plan_posterior(
    outputs: Sequence[EncoderOutput], latent_shape: Shape, declared_scale: ScaleKind | None
) -> PosteriorPlan:
    """Decide which outputs to use.

    Args:
        outputs: All outputs of the encoder, at least one.
        latent_shape: What the decoder takes.
        declared_scale: From the sidecar.

    Raises:
        CheckpointRejected: The mean needs a foreign layer, the spread has an unclear meaning, there are several levels
            of latents, or the sizes do not fit the decoder.
    """
    usable = [output for output in outputs if output.foreign is None]
    for output in outputs:
        if output.foreign and (not usable or role_of(output.name) not in {"sample", "unknown"}):
            raise _needs_foreign_layer(output)
    draws = [output for output in usable if role_of(output.name) == "sample"]
    candidates = [output for output in usable if output not in draws] or usable
    means = [output for output in candidates if role_of(output.name) == "mean"]
    spreads = [output for output in candidates if role_of(output.name) not in {"mean", "sample", "unknown"}]
    if len(means) > 1 or len(spreads) > 1:
        raise CheckpointRejected(
            "The encoder has several levels of latents, which cannot be evaluated yet.",
            received=f"outputs {_names(outputs)}",
            expected="one mean and one log-variance",
            next_step="leave this checkpoint out",
        )
    if len(candidates) == 1:
        return _single(candidates[0], latent_shape, declared_scale, has_draws=len(outputs) > 1)
    mean = means[0] if means else next(output for output in candidates if output not in spreads)
    spread = spreads[0] if spreads else next(output for output in candidates if output is not mean)
    _require_size(mean, latent_shape)
    _require_size(spread, latent_shape)
    notes: tuple[str, ...] = ()
    if not (means and spreads):
        by_order = f"mean ({mean.name}) and log-variance ({spread.name}) by their order"
        notes = (f"The encoder's outputs are taken as {by_order}: the names {_names(outputs)} do not tell.",)
    scale = declared_scale or _scale_of(spread)
    if declared_scale:
        notes = (*notes, f"The encoder's {spread.name} is read as {declared_scale}, as {SIDECAR_NAME} says.")
    return PosteriorPlan((mean.place, spread.place), scale, notes=notes)


def _single(
    output: EncoderOutput, latent_shape: Shape, declared_scale: ScaleKind | None, *, has_draws: bool
) -> PosteriorPlan:
    shape, size = output.shape, size_of(output.shape)
    if shape is None or size is None:
        raise CheckpointRejected(
            "The encoder has one output, and its size cannot be read from the file.",
            received=f"output {output.name}",
            expected="outputs [z_mean, z_log_var], or one that ends in a Dense, Conv2D, Flatten or Reshape layer",
            next_step="save the encoder as keras.Model(inputs, [z_mean, z_log_var])",
        )
    if role_of(output.name) not in {"mean", "sample", "unknown"}:
        raise CheckpointRejected(
            "The encoder gives a spread but no mean.",
            received=f"output {output.name}",
            expected="outputs [z_mean, z_log_var]",
            next_step="save the encoder as keras.Model(inputs, [z_mean, z_log_var])",
        )
    if size == size_of(latent_shape):
        missing = "it has no other output without code of its author" if has_draws else "its one output is the latent"
        note = f"The encoder says nothing about the spread of its latents ({missing}): KL is not applicable."
        return PosteriorPlan((output.place,), None, notes=(note,))
    if size == 2 * (size_of(latent_shape) or 0) and (shape[-1] or 0) % 2 == 0:
        note = (
            f"The encoder's one output of shape {shape} is taken as mean (first half of its last axis) "
            f"and {declared_scale or 'log_variance'} (second half), as the decoder takes {latent_shape}."
        )
        return PosteriorPlan((output.place,), declared_scale or _scale_of(output), is_halved=True, notes=(note,))
    raise misfit(output.name, size, latent_shape)


def _scale_of(spread: EncoderOutput) -> ScaleKind:
    """log_variance, unless name or activation contradict."""
    role = role_of(spread.name)
    if role in _SYMBOLS:
        raise CheckpointRejected(
            f"The encoder's second output has the name of a {_SYMBOLS[role]}, not of a log-variance.",
            received=f"output {spread.name}",
            expected="a log-variance, ln σ², under a name such as z_log_var",
            next_step=_DECLARE,
        )
    if spread.activation in _POSITIVE_ACTIVATIONS:
        raise CheckpointRejected(
            "The encoder's second output is never negative, so it is a σ or σ² rather than a log-variance.",
            received=f"output {spread.name} behind activation {spread.activation}",
            expected="a log-variance, ln σ², of any sign",
            next_step=_DECLARE,
        )
    return "log_variance"


def misfit(name: str, size: int, latent_shape: Shape) -> CheckpointRejected:
    """The error for an encoder and a decoder that do not belong together."""
    return CheckpointRejected(
        "The encoder's latent size does not fit the decoder.",
        received=f"encoder output {name} of {size} numbers, decoder input of {size_of(latent_shape)} {latent_shape}",
        expected="equal latent sizes",
        next_step="check that encoder.keras and decoder.keras are from the same model",
    )


def _require_size(output: EncoderOutput, latent_shape: Shape) -> None:
    size = size_of(output.shape)
    if size is not None and size != size_of(latent_shape):
        raise misfit(output.name, size, latent_shape)


def _needs_foreign_layer(output: EncoderOutput) -> CheckpointRejected:
    return CheckpointRejected(
        "The encoder cannot be opened without code of its author: a layer on the way to its mean or log-variance "
        "is none of Keras's own.",
        received=f"output {output.name} depends on {output.foreign}",
        expected="outputs that only layers of Keras lead to; a sampling layer behind them does no harm",
        next_step="save the encoder as keras.Model(inputs, [z_mean, z_log_var]) without Lambda or custom layers",
    )


def _names(outputs: Sequence[EncoderOutput]) -> str:
    return ", ".join(output.name for output in outputs)

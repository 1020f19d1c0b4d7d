"""The likelihood p(x|z) that a checkpoint's decoder stands for: what its files cannot say, and a bound needs.

    likelihood: {kind: bernoulli}                # vaeval.yaml, images that are black and white
    likelihood: {kind: gaussian, sigma: 0.025}   # σ in intensities of [0, 1]
    likelihood: gaussian:0.025                   # the same, in one word, as on the command line

A `vaeval.yaml` says it of checkpoints, a protocol (`--likelihood`) of all checkpoints that are evaluated under it.

Without one there is a reconstruction error but no probability: the same decoder means are a good or a bad model of an
image depending on σ. So nothing is assumed, and scores that need a likelihood are not applicable.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vaeval_core.errors import InvalidInput
from vaeval_core.wrong_values import expectation

LikelihoodKind = Literal["bernoulli", "gaussian", "none"]
"""`bernoulli`: the mean is a probability. `gaussian`: the mean of N(x̂, σ² I). `none`: the decoder stands for none."""


class Likelihood(BaseModel):
    """A declared likelihood.

    Attributes:
        kind: Which family.
        sigma: σ of a Gaussian, in intensities of [0, 1] whatever range the networks see; None for the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: LikelihoodKind
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_one_word(cls, value: Any) -> Any:
        if isinstance(value, dict) and "kind" not in value:
            raise ValueError("a likelihood needs its kind: bernoulli, gaussian or none")
        if not isinstance(value, str):
            return value
        kind, colon, sigma = value.partition(":")
        return {"kind": kind.strip(), "sigma": sigma.strip()} if colon else {"kind": kind.strip()}

    @model_validator(mode="after")
    def _sigma_belongs_to_a_gaussian(self) -> Self:
        if self.kind == "gaussian" and self.sigma is None:
            raise ValueError("a gaussian likelihood needs its sigma, such as {kind: gaussian, sigma: 0.025}")
        if self.kind != "gaussian" and self.sigma is not None:
            raise ValueError(f"only a gaussian likelihood has a sigma, not {self.kind}")
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `bernoulli`, `none` or `gaussian:σ`.

        Raises:
            InvalidInput: It is none of them.

        >>> Likelihood.parse("gaussian:0.025").sigma
        0.025
        """
        try:
            return cls.model_validate(text)
        except ValidationError as error:
            wanted = "; ".join(expectation(problem) for problem in error.errors())
            raise InvalidInput(
                "This is no likelihood of a decoder.",
                received=repr(text),
                expected=f"{wanted}; one of bernoulli, none, or gaussian with its σ such as gaussian:0.025",
                next_step="--likelihood gaussian:0.025, with the σ that the model was trained with",
            ) from error

    def __str__(self) -> str:
        return self.kind if self.sigma is None else f"{self.kind}:{self.sigma:g}"

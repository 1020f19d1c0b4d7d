"""The declared likelihood, in a word and in a mapping."""

from __future__ import annotations

import pytest

from vaeval_core.errors import InvalidInput
from vaeval_core.likelihood import Likelihood


@pytest.mark.parametrize(
    ("text", "kind", "sigma"),
    [("bernoulli", "bernoulli", None), ("none", "none", None), ("gaussian:0.025", "gaussian", 0.025)],
)
def test_one_word_says_it(text: str, kind: str, sigma: float | None) -> None:
    likelihood = Likelihood.parse(text)
    assert (likelihood.kind, likelihood.sigma) == (kind, sigma)
    assert Likelihood.parse(str(likelihood)) == likelihood


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gaussian", "needs its sigma"),
        ("gaussian:0", "more than 0"),
        ("gaussian:-1", "more than 0"),
        ("gaussian:inf", "a finite number"),
        ("gaussian:wide", "a number"),
        ("bernoulli:0.1", "only a gaussian likelihood has a sigma, not bernoulli"),
        ("laplace:0.1", "bernoulli, gaussian or none"),
        ("", "bernoulli, gaussian or none"),
    ],
)
def test_what_is_no_likelihood_is_named(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Likelihood.parse(text)
    assert caught.value.received == repr(text)
    assert problem in str(caught.value.expected).partition(";")[0]
    assert "gaussian:0.025" in str(caught.value.expected)

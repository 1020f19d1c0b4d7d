"""`--likelihood`: part of what an evaluation is, told wherever its scores are, and refused where it says nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import SMALL, Outcome

Vaeval = Callable[..., Outcome]


@pytest.mark.usefixtures("no_broker")
def test_another_likelihood_is_another_evaluation_with_another_name(vaeval: Vaeval, checkpoints: Path) -> None:
    words = ("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL)
    for declared in ((), ("--likelihood", "gaussian:0.1"), ("--likelihood", "gaussian:0.2")):
        assert vaeval(*words, *declared).exit_code == 5
    again = vaeval(*words, "--likelihood", "gaussian:0.20")
    assert "0 evaluations created, 1 known already" in again.err
    shown = [vaeval("show", number, "--json").document for number in (1, 2, 3)]
    assert len({document["fingerprint"] for document in shown}) == 3
    assert "likelihood" not in shown[0]["protocol_spec"]
    assert [document["protocol_spec"]["likelihood"]["sigma"] for document in shown[1:]] == [0.1, 0.2]
    assert shown[1]["protocol"].endswith(",likelihood=gaussian:0.1")


@pytest.mark.slow
@pytest.mark.usefixtures("no_broker")
def test_show_tells_the_likelihood_the_draws_and_the_verdict_on_the_latents(
    vaeval: Vaeval, checkpoints: Path, work_off: Callable[[], None]
) -> None:
    words = ("submit", checkpoints / "step-2", "--data", "digits:test", *SMALL)
    vaeval(*words)
    vaeval(*words, "--likelihood", "gaussian:0.1")
    work_off()
    own, given = (vaeval("show", number).out for number in (1, 2))
    assert "of the checkpoint; 50 draws from each posterior" in own
    assert "likelihood  gaussian:0.1, of the protocol; 50 draws from each posterior" in given
    assert "posterior collapse: healthy" in own
    document = vaeval("show", 1, "--json").document
    assert document["collapse"] == "healthy"
    columns = vaeval("leaderboard", "--columns", "fid,elbo,collapsed_dimensions").out
    assert "gaussian:0.1" in columns


def test_a_word_that_is_no_likelihood_is_told_with_those_that_are(vaeval: Vaeval, checkpoints: Path) -> None:
    outcome = vaeval("submit", checkpoints, "--data", "digits:test", "--likelihood", "gaussian")
    assert outcome.exit_code == 2
    assert "'gaussian'" in outcome.err
    assert "a gaussian likelihood needs its sigma" in outcome.err
    assert "--likelihood gaussian:0.025" in outcome.err
    other = vaeval("submit", checkpoints, "--data", "digits:test", "--likelihood", "laplace:1")
    assert "'laplace:1'" in other.err
    assert "bernoulli" in other.err

"""Which encoder output is what."""

from __future__ import annotations

import pytest

from vaeval_core.checkpoints.output_roles import EncoderOutput, plan_posterior, role_of
from vaeval_core.errors import CheckpointRejected


def outputs(*names: str, size: int = 3, foreign: str | None = None) -> list[EncoderOutput]:
    """Outputs of one size; those whose name begins with ! depend on a foreign layer."""
    return [
        EncoderOutput(
            place, name.lstrip("!"), (size,), foreign="layer 'mine' of class Mine" if name[0] == "!" else foreign
        )
        for place, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("mean", ["z_mean", "mu", "zMean", "latent_mean", "z_mu", "zmean", "mean_2", "loc"]),
        ("log_variance", ["z_log_var", "logvar", "log_variance", "logVar", "z_log_sigma2", "log_sigma_sq", "lnvar"]),
        ("log_variance", ["log_sigma_squared", "logsigma2", "z_log_cov", "enc_logvar_1"]),
        ("log_sigma", ["z_log_sigma", "logsigma", "log_std", "logStd", "log_scale", "log_stddev"]),
        ("sigma", ["z_sigma", "stddev", "std", "scale"]),
        ("variance", ["z_var", "variance"]),
        ("sample", ["z", "sampling", "sampling_1", "z_sample"]),
        ("unknown", ["dense", "dense_2", "multiply", "rescaling", "maximum", "conv2d", "muddle", "lambda"]),
    ],
)
def test_names_tell_roles(role: str, names: list[str]) -> None:
    assert {name: role_of(name) for name in names} == dict.fromkeys(names, role)


def test_names_decide_whatever_the_order() -> None:
    plan = plan_posterior(outputs("!z", "z_log_var", "z_mean"), (3,), None)
    assert (plan.places, plan.scale, plan.notes) == ((2, 1), "log_variance", ())


def test_a_draw_that_needs_no_foreign_layer_is_left_out_as_well() -> None:
    assert plan_posterior(outputs("z", "mu", "logvar"), (3,), None).places == (1, 2)


def test_without_names_the_order_counts_and_is_noted() -> None:
    plan = plan_posterior(outputs("dense_1", "dense_2", "!sampling"), (3,), None)
    assert plan.places == (0, 1)
    assert "mean (dense_1) and log-variance (dense_2) by their order" in plan.notes[0]


@pytest.mark.parametrize(("names", "places"), [(("dense", "z_mean"), (1, 0)), (("z_log_var", "dense"), (1, 0))])
def test_one_name_that_tells_leaves_the_other_role_to_the_other(
    names: tuple[str, str], places: tuple[int, int]
) -> None:
    plan = plan_posterior(outputs(*names), (3,), None)
    assert plan.places == places
    assert len(plan.notes) == 1


@pytest.mark.parametrize(("name", "symbol"), [("log_sigma", "ln σ"), ("stddev", "σ"), ("z_var", "σ²")])
def test_a_spread_of_another_kind_must_be_declared(name: str, symbol: str) -> None:
    with pytest.raises(CheckpointRejected, match=f"the name of a {symbol}, not of a log-variance") as caught:
        plan_posterior(outputs("mean", name), (3,), None)
    assert caught.value.received == f"output {name}"
    assert "scale: log_variance` (or log_sigma, sigma, variance) into vaeval.yaml" in str(caught.value.next_step)
    assert plan_posterior(outputs("mean", name), (3,), "log_sigma").scale == "log_sigma"


def test_a_spread_that_is_never_negative_must_be_declared() -> None:
    spread = EncoderOutput(1, "z_log_var", (3,), activation="softplus")
    with pytest.raises(CheckpointRejected, match=r"never negative.*z_log_var behind activation softplus"):
        plan_posterior([*outputs("z_mean"), spread], (3,), None)
    assert plan_posterior([*outputs("z_mean"), spread], (3,), "sigma").scale == "sigma"


def test_a_mean_behind_a_foreign_layer_is_refused_by_name() -> None:
    with pytest.raises(CheckpointRejected, match="output z_mean depends on layer 'mine' of class Mine"):
        plan_posterior(outputs("!z_mean", "z_log_var"), (3,), None)


def test_an_encoder_that_gives_only_a_draw_is_refused() -> None:
    with pytest.raises(CheckpointRejected, match="output sampling depends on layer 'mine'"):
        plan_posterior(outputs("!sampling"), (3,), None)


def test_several_levels_of_latents_are_refused() -> None:
    with pytest.raises(CheckpointRejected, match=r"several levels.*z1_mean, z1_logvar, z2_mean, z2_logvar"):
        plan_posterior(outputs("z1_mean", "z1_logvar", "z2_mean", "z2_logvar"), (3,), None)


def test_one_output_of_the_latent_size_is_an_autoencoder() -> None:
    plan = plan_posterior(outputs("dense"), (3,), None)
    assert (plan.places, plan.scale, plan.is_halved) == ((0,), None, False)
    assert "its one output is the latent" in plan.notes[0]


def test_one_output_of_twice_the_latent_size_is_halved() -> None:
    output = EncoderOutput(0, "conv", (4, 4, 6))
    plan = plan_posterior([output], (4, 4, 3), None)
    assert (plan.scale, plan.is_halved) == ("log_variance", True)
    assert plan_posterior([output], (4, 4, 3), "sigma").scale == "sigma"


@pytest.mark.parametrize(("given", "latent"), [((5,), (3,)), ((3, 2), (7,))])
def test_a_size_that_does_not_fit_names_both(given: tuple[int, ...], latent: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointRejected, match="does not fit") as caught:
        plan_posterior([EncoderOutput(0, "dense", given)], latent, None)
    assert f"of {given[0] * (given[1] if len(given) > 1 else 1)} numbers" in str(caught.value.received)
    assert f"decoder input of {latent[0]}" in str(caught.value.received)


def test_one_output_of_unknown_size_is_refused() -> None:
    with pytest.raises(CheckpointRejected, match=r"its size cannot be read.*output odd"):
        plan_posterior([EncoderOutput(0, "odd", None)], (3,), None)


def test_a_spread_without_mean_is_refused() -> None:
    with pytest.raises(CheckpointRejected, match="gives a spread but no mean"):
        plan_posterior(outputs("!z", "z_log_var"), (3,), None)

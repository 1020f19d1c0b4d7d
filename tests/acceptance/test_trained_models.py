"""Small VAEs with a known fate, trained in seconds: what is good or ill about each shows in its scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from cli.attribution import attribution, sentences
from tests.acceptance.small_vaes import Recipe, SmallVae
from vaeval_core.disentanglement.all_scores import DISENTANGLEMENT_SCORES
from vaeval_core.evaluation_result import MetricValue, Score
from vaeval_core.images.digits import digits_split
from vaeval_core.images.shapes import shapes_set
from vaeval_core.metrics.collapse import verdict_on
from vaeval_core.presets import ProtocolRequest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tensorflow,
    # Keras 3.15 turns TensorFlow variables into NumPy arrays by a protocol that NumPy 2 is moving away from.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

Values = dict[str, MetricValue]
Evaluated = Callable[..., list[Values]]

SYMPTOMS = (
    *("fid", "rfid", "fid_fitted", "fid_interpolations", "mse", "psnr"),
    *("kl", "mutual_information", "aggregated_posterior_gap", "collapsed_dimensions", "active_units"),
)


def scores_of(result: Values) -> list[Score]:
    return [Score(metric=name, version=1, value=value) for name, value in result.items()]


def number(value: MetricValue) -> float:
    assert value.value is not None, value
    return value.value


def test_a_trained_model_beats_an_untrained_one_on_every_score(evaluated: Evaluated, tmp_path: Path) -> None:
    """Measured with seeds 0, 1 and 2: every score rises under each; the least, SAP under seed 2, by 0.081. This is seed 0."""
    images, _ = shapes_set("shapes:train")
    request = ProtocolRequest(
        samples=0, reconstructions=2000, reference=64, extractor="pixels-8x8", metrics=DISENTANGLEMENT_SCORES
    )
    folders = []
    with threadpool_limits(1):
        for epochs in (0, 20):
            recipe = Recipe(latent_size=4, beta=16, epochs=epochs, hidden=128, seen=2, drawn=2)
            folders.append(SmallVae(images, recipe).save(tmp_path / f"after-{epochs}"))
    untrained, trained = evaluated("shapes", request, *folders, shard=2048)
    gains = {name: number(trained[name]) - number(untrained[name]) for name in DISENTANGLEMENT_SCORES}
    assert gains.pop("mig_ceiling") == 0, "a property of the images"
    # Half of what was measured when this was written.
    assert min(gains.values()) > 0.06, gains


def test_three_models_of_known_illness_are_told_apart(evaluated: Evaluated, tmp_path: Path) -> None:
    """A posterior collapsed by a huge β, latents far from the prior for want of any β, and a decoder without detail."""
    images, _ = digits_split("train")
    recipes = {
        "healthy": Recipe(latent_size=4, beta=0.25, epochs=100),
        "collapsed": Recipe(latent_size=4, beta=100, epochs=100),
        "mismatched": Recipe(latent_size=4, beta=1e-4, epochs=100),
        "blurry": Recipe(latent_size=4, beta=0.25, epochs=100, drawn=2),
    }
    with threadpool_limits(1):
        folders = [SmallVae(images, recipe).save(tmp_path / name) for name, recipe in recipes.items()]
    request = ProtocolRequest(
        samples=500,
        reconstructions=500,
        reference=500,
        fitted=500,
        interpolations=500,
        extractor="pixels-8x8",
        metrics=SYMPTOMS,
    )
    healthy, collapsed, mismatched, blurry = evaluated("digits:test", request, *folders, shard=512)

    verdicts = [
        verdict_on(result["collapsed_dimensions"].components) for result in (healthy, collapsed, mismatched, blurry)
    ]
    assert verdicts == ["healthy", "full", "healthy", "healthy"]
    assert number(collapsed["kl"]) < 0.01
    assert number(collapsed["mutual_information"]) < 0.01
    assert number(collapsed["active_units"]) == 0
    gaps = [number(result["aggregated_posterior_gap"]) for result in (healthy, collapsed, blurry)]
    assert max(gaps) < 1
    assert number(mismatched["aggregated_posterior_gap"]) > 10
    # The decoder is as good as the healthy one's, only the prior is not met: rfid small, fid large.
    assert number(mismatched["rfid"]) < 2 * number(healthy["rfid"])
    assert number(mismatched["fid"]) > 3 * number(healthy["fid"])
    # Draws from a density fitted to the latents find them where the prior does not.
    prior_gap = number(mismatched["fid"]) - number(mismatched["rfid"])
    assert number(mismatched["fid"]) - number(mismatched["fid_fitted"]) > 0.8 * prior_gap
    # The blurry decoder meets its prior, and loses as much on reconstructions as on samples: a fitted density helps nothing.
    assert number(blurry["rfid"]) > 3 * number(healthy["rfid"])
    assert number(blurry["mse"]) > 2 * number(healthy["mse"])
    assert number(blurry["psnr"]) < number(healthy["psnr"]) - 3
    assert abs(number(blurry["fid"]) - number(blurry["fid_fitted"])) < 0.1 * number(blurry["rfid"])
    assert number(blurry["mutual_information"]) > 3, "unlike a collapsed one, it is told much about the image"
    advice = [" ".join(sentences(attribution(scores_of(result)))) for result in (mismatched, blurry)]
    assert "draws from a fitted density instead of the prior" in advice[0]
    assert "a better decoder would help most" in advice[1]

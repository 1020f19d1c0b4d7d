"""Interpolations and draws from a fitted density through a whole evaluation: known answers, and what is said without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae, linear_gaussian_vae
from vaeval_core.evaluate import measure_reference_shard, measure_shard, merge_reference, merge_shards, score
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.generation.fitted_density import MAX_LATENT_SIZE
from vaeval_core.generation.interpolation_pairs import interpolation_fractions, interpolation_partners
from vaeval_core.likelihood import Likelihood
from vaeval_core.metrics.catalogue import metric_versions
from vaeval_core.metrics.fidelity import frechet_distance
from vaeval_core.protocol import Protocol
from vaeval_core.shard_plan import plan_shards
from vaeval_core.streams.fitted import SecondStage
from vaeval_core.testing import ImagesInMemory, PixelExtractor, protocol_for
from vaeval_core.types import Float32, Float64, ImageShape, IndexRange

SHAPE = (2, 3, 1)
EXTRACTOR = PixelExtractor(6)
DISTANCES = ("fid", "rfid", "fid_interpolations", "fid_fitted")


def linear_model(latent_size: int = 2, scale: float = 0.05) -> LinearGaussianVae:
    """Mean grey; its latents move the pixels by about `scale`."""
    directions, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, latent_size)))
    return linear_gaussian_vae(directions * scale, np.full(6, 0.5), (scale / 10) ** 2, SHAPE)


def images_of(model: LinearGaussianVae, latents: Float64) -> ImagesInMemory:
    """What the model makes of latents (n, k), as images of 256 levels."""
    pixels = model.decode(latents.astype(np.float32))
    return ImagesInMemory(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def normal(count: int, size: int = 2, *, seed: int = 2) -> Float64:
    return np.random.default_rng(seed).normal(size=(count, size))


def a_protocol(images: ImagesInMemory, metrics: Sequence[str] = DISTANCES, **fields: int | str) -> Protocol:
    count = len(images)
    lengths: dict[str, int | str] = {"num_interpolations": count, "num_fitted": count, "seed": 3}
    return protocol_for(images, EXTRACTOR, metric_versions(metrics), **(lengths | fields))  # type: ignore[arg-type]


def evaluate(
    vae: object, images: ImagesInMemory, protocol: Protocol, shard_size: int = 4096, **options: object
) -> dict[str, MetricValue]:
    real = [measure_reference_shard(images, EXTRACTOR, protocol, IndexRange(0, protocol.num_reference))]
    shards = [
        measure_shard(vae, images, EXTRACTOR, protocol, shard, **options)  # type: ignore[arg-type]
        for shard in plan_shards(protocol.num_images, shard_size)
    ]
    scores = score(merge_shards(shards, protocol), merge_reference(real, protocol), protocol)
    return {each.metric: each.value for each in scores}


def value(result: dict[str, MetricValue], name: str) -> float:
    number = result[name].value
    assert number is not None, result[name]
    return number


@dataclass(frozen=True)
class Wrapped:
    """A linear model whose encoder or decoder does something else."""

    model: LinearGaussianVae
    encoder: Callable[[Posterior], Posterior] = lambda posterior: posterior
    decoder: Callable[[Float32], Float32] = lambda images: images
    size: int | None = None

    @property
    def image_shape(self) -> ImageShape:
        return self.model.image_shape

    @property
    def latent_size(self) -> int:
        return self.size or self.model.latent_size

    @property
    def likelihood(self) -> Likelihood | None:
        return None

    def encode(self, images: Float32) -> Posterior:
        return self.encoder(self.model.encode(images))

    def decode(self, latents: Float32) -> Float32:
        return self.decoder(self.model.decode(latents))


# ------------------------------------------------------------------------------------------------------- interpolations


def path_ends(model: LinearGaussianVae, images: ImagesInMemory, protocol: Protocol) -> tuple[Float64, Float64, Float64]:
    """Reconstructions by matrix algebra at both ends of each path, (n, 6), and where on it the image lies."""
    whole = IndexRange(0, protocol.num_interpolations)
    pixels = images.array.reshape(len(images), -1)[: len(whole)] / 255 - model.offset
    precision = np.linalg.inv(model.weights.T @ model.weights + model.noise_variance * np.eye(model.latent_size))
    reconstructed = pixels @ model.weights @ precision @ model.weights.T + model.offset
    ends = interpolation_partners(protocol.seed, whole, len(whole), protocol.network_batch)
    return reconstructed, reconstructed[ends], interpolation_fractions(protocol.seed, whole)


def test_points_on_lines_through_a_linear_decoder_are_mixtures_of_both_reconstructions() -> None:
    model = linear_model()
    images = images_of(model, normal(70))
    protocol = a_protocol(images)
    arrays = measure_shard(model, images, EXTRACTOR, protocol, IndexRange(0, 70))
    start, end, fractions = path_ends(model, images, protocol)
    expected = (1 - fractions[:, None]) * start + fractions[:, None] * end
    # Both are rounded to levels, and a hair may decide.
    np.testing.assert_allclose(arrays["interpolations/features"], expected, atol=0.5 / 255 + 1e-6)
    distance = frechet_distance(np.rint(expected * 255) / 255, images.array.reshape(70, -1) / 255)
    assert value(evaluate(model, images, protocol), "fid_interpolations") == pytest.approx(distance.value, rel=1e-4)


def test_the_path_length_of_a_linear_decoder_is_the_squared_distance_of_the_ends() -> None:
    model = linear_model()
    images = images_of(model, normal(70))
    protocol = a_protocol(images, ["ppl", "ppl_pixels"])
    start, end, _ = path_ends(model, images, protocol)
    squared = np.sort(np.square(end - start).sum(axis=1))
    result = evaluate(model, images, protocol)
    # A per cent of 70 paths is less than one: the extremes of both sides are at the percentiles and stay.
    assert value(result, "ppl_pixels") == pytest.approx(squared.mean() / 6, rel=1e-4)
    assert result["ppl_pixels"].num_images == 70
    # Features are levels: a step moves a pixel by about one of them, so rounding adds ε⁻² · d/6 levels² on average.
    rounding = 6 / 6 * (16 / 255) ** 2
    assert value(result, "ppl") == pytest.approx(squared.mean() + rounding, rel=0.2)


def test_arcs_are_another_protocol_with_other_scores() -> None:
    model = linear_model()
    images = images_of(model, normal(60))
    straight, arcs = (a_protocol(images, interpolation_path=path) for path in ("linear", "spherical"))
    assert straight.fingerprint != arcs.fingerprint
    assert value(evaluate(model, images, straight), "fid_interpolations") != pytest.approx(
        value(evaluate(model, images, arcs), "fid_interpolations"), rel=0.01
    )


def test_the_error_of_interpolations_knows_which_paths_share_an_image() -> None:
    """Two neighbours of a path share an image with it, so a covariance comes on top of the variance of independent paths."""
    model = linear_model()
    images = images_of(model, normal(160))
    protocol = a_protocol(images, ["fid_interpolations"])
    found = evaluate(model, images, protocol)["fid_interpolations"]
    after = interpolation_partners(protocol.seed, IndexRange(0, 160), 160, protocol.network_batch)
    np.testing.assert_array_equal(found.partners, after)
    assert found.influence is not None
    alone = frechet_jackknife_error(model, images, protocol)
    covariance = 2 * float(found.influence @ found.influence[after]) / (160 * 159)
    assert covariance > 0
    assert found.std_error == pytest.approx(np.sqrt(alone**2 + covariance), rel=1e-9)


def frechet_jackknife_error(model: LinearGaussianVae, images: ImagesInMemory, protocol: Protocol) -> float:
    """The error of the same features, as if no two images had anything in common."""
    shard = measure_shard(model, images, EXTRACTOR, protocol, IndexRange(0, 160))
    real = measure_reference_shard(images, EXTRACTOR, protocol, IndexRange(0, protocol.num_reference))
    error = frechet_distance(shard["interpolations/features"], real["features"]).std_error
    assert error is not None
    return error


def test_latents_with_a_hole_between_them_show_in_interpolations_alone() -> None:
    model = linear_model()
    latents = 0.3 * normal(200) + np.array([3.0, 0.0]) * np.where(np.arange(200) % 2, 1, -1)[:, None]
    result = evaluate(model, images_of(model, latents), a_protocol(images_of(model, latents)))
    assert value(result, "fid_interpolations") > 10 * max(value(result, "rfid"), value(result, "fid_fitted"))


def test_path_lengths_rest_on_the_first_paths_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaeval_core.protocol.MOST_PATHS", 40)
    model = linear_model()
    images = images_of(model, normal(70))
    protocol = a_protocol(images, ["fid_interpolations", "ppl", "ppl_pixels"])
    seen: list[int] = []
    whole = measure_shard(model, images, EXTRACTOR, protocol, IndexRange(0, 70), on_progress=seen.append)
    assert seen[-1] == protocol.forward_passes == 70 + 70 + 70 + 70 + 40
    result = evaluate(model, images, protocol)
    assert (result["ppl"].num_images, result["fid_interpolations"].num_images) == (40, 70)
    cut = [measure_shard(model, images, EXTRACTOR, protocol, part) for part in (IndexRange(0, 39), IndexRange(39, 70))]
    for name in ("interpolations/feature_speed", "interpolations/pixel_speed"):
        np.testing.assert_array_equal(np.concatenate([part[name] for part in cut if name in part]), whole[name])


def test_paths_through_images_that_are_not_finite_have_no_length() -> None:
    def broken(images: Float32) -> Float32:
        images[3] = np.nan
        return images

    images = images_of(linear_model(), normal(40))
    vae = Wrapped(linear_model(), decoder=broken)
    result = evaluate(vae, images, a_protocol(images, ["ppl", "ppl_pixels", "fid_interpolations"]))
    assert result["fid_interpolations"].reason == "2 of 40 interpolations hold values that are not finite."
    for name in ("ppl", "ppl_pixels"):
        assert (result[name].kind, result[name].reason) == (
            "nan",
            "2 of 40 paths go through images that are not finite.",
        )


def test_what_was_not_asked_for_says_so() -> None:
    images = images_of(linear_model(), normal(40))
    protocol = a_protocol(images, [*DISTANCES, "ppl", "mig"], num_interpolations=0, num_fitted=0)
    result = evaluate(linear_model(), images, protocol)
    assert result["fid_interpolations"] == result["ppl"]
    assert str(result["ppl"].reason).startswith("The protocol has no interpolations. Ask for them by --interpolations")
    assert str(result["fid_fitted"].reason).startswith(
        "The protocol has no draws from the fitted density. Ask for them"
    )
    assert "does not say what varies in its images" in str(result["mig"].reason)


# -------------------------------------------------------------------------------------------------------------- fitted


def test_images_from_the_model_itself_are_as_near_to_fitted_draws_as_to_samples() -> None:
    model = linear_model()
    images = images_of(model, normal(600))
    result = evaluate(model, images, a_protocol(images))
    fitted, fid = (result[name] for name in ("fid_fitted", "fid"))
    assert fitted.std_error is not None
    assert fid.std_error is not None
    # Four standard errors, and what a fit of 600 latents leaves of its own: as much again.
    assert abs(value(result, "fid_fitted") - value(result, "fid")) < 8 * (fitted.std_error + fid.std_error)


def test_latents_where_no_prior_draw_goes_are_found_by_the_fitted_density() -> None:
    model = linear_model()
    images = images_of(model, 0.3 * normal(300) + 3.0)
    result = evaluate(model, images, a_protocol(images))
    # Three standard deviations of both latents away, at 0.05 of intensity each.
    assert value(result, "fid") > 2 * (3 * 0.05) ** 2 * 0.9
    assert value(result, "fid_fitted") < 0.02 * value(result, "fid")


def test_the_mixture_depends_neither_on_shards_nor_on_what_was_asked_for_beside_it() -> None:
    model = linear_model()
    images = images_of(model, normal(100))
    protocol = a_protocol(images, ["fid_fitted", "ppl_pixels", "fid_interpolations"])
    whole = evaluate(model, images, protocol)
    assert evaluate(model, images, protocol, shard_size=32) == whole
    alone = a_protocol(images, ["fid_fitted"], num_interpolations=0, num_samples=0, num_reconstructions=0)
    assert evaluate(model, images, alone)["fid_fitted"] == whole["fid_fitted"]


def test_a_process_may_keep_the_fit_for_its_other_shards() -> None:
    model = linear_model()
    images = images_of(model, normal(100))
    protocol = a_protocol(images)
    kept: list[SecondStage] = []

    def keep(fit: Callable[[], SecondStage]) -> SecondStage:
        if not kept:
            kept.append(fit())
        return kept[0]

    assert evaluate(model, images, protocol, shard_size=32, second_stage=keep) == evaluate(model, images, protocol)
    assert len(kept) == 1


def test_nothing_is_fitted_for_shards_beyond_the_stream() -> None:
    def never(fit: Callable[[], SecondStage]) -> SecondStage:
        raise AssertionError

    images = images_of(linear_model(), normal(70))
    protocol = a_protocol(images, num_fitted=32)
    arrays = measure_shard(linear_model(), images, EXTRACTOR, protocol, IndexRange(32, 70), second_stage=never)
    assert not [name for name in arrays if name.startswith("fitted/")]


def test_a_fit_gives_signs_of_life_and_can_be_stopped() -> None:
    class Stop(Exception):
        pass

    signs: list[int] = []

    def until_the_third(done: int) -> None:
        signs.append(done)
        if len(signs) == 3:
            raise Stop

    images = images_of(linear_model(), normal(90))
    with pytest.raises(Stop):
        measure_shard(
            linear_model(), images, EXTRACTOR, a_protocol(images), IndexRange(0, 90), on_progress=until_the_third
        )
    assert signs == [0, 0, 0], "three batches are encoded for the fit before any image is done"


def test_an_autoencoder_is_fitted_to_its_codes() -> None:
    model = linear_model()
    images = images_of(model, 0.3 * normal(300) + 3.0)
    bare = Wrapped(model, encoder=lambda posterior: Posterior(posterior.mean, None))
    assert value(evaluate(bare, images, a_protocol(images)), "fid_fitted") < 1e-3


def test_too_many_latent_dimensions_are_told_and_the_rest_is_scored() -> None:
    def padded(posterior: Posterior) -> Posterior:
        mean = np.zeros((len(posterior.mean), MAX_LATENT_SIZE + 1), np.float32)
        mean[:, :2] = posterior.mean
        return Posterior(mean, None)

    @dataclass(frozen=True)
    class Wide(Wrapped):
        def decode(self, latents: Float32) -> Float32:
            return self.model.decode(latents[:, :2])

    images = images_of(linear_model(), normal(40))
    vae = Wide(linear_model(), encoder=padded, size=MAX_LATENT_SIZE + 1)
    result = evaluate(vae, images, a_protocol(images))
    assert result["fid_fitted"] == MetricValue.not_applicable(
        "A latent has 513 dimensions; mixtures with full covariances are fitted up to 512."
    )
    assert result["fid"].kind == result["rfid"].kind == result["fid_interpolations"].kind == "finite"


def test_latents_that_are_not_finite_leave_the_stream_without_a_number() -> None:
    def diverged(posterior: Posterior) -> Posterior:
        mean = posterior.mean.copy()
        mean[0] = np.nan
        return Posterior(mean, posterior.log_variance)

    images = images_of(linear_model(), normal(40))
    result = evaluate(Wrapped(linear_model(), encoder=diverged), images, a_protocol(images))
    assert result["fid_fitted"].kind == "nan"
    assert result["fid_fitted"].num_images == 40
    assert str(result["fid_fitted"].reason).startswith("The latents are not finite. Received: 2 of 40 rows")
    assert result["fid"].kind == "finite"


def test_few_latents_for_ten_components_are_a_warning() -> None:
    images = images_of(linear_model(), normal(40))
    warnings = evaluate(linear_model(), images, a_protocol(images))["fid_fitted"].warnings
    assert any(warning.startswith("40 latents of 2 dimensions are few for 10 components") for warning in warnings)


def test_shards_that_drew_from_different_mixtures_are_told() -> None:
    model, other = linear_model(), linear_model(scale=0.2)
    images = images_of(model, normal(64))
    protocol = a_protocol(images)
    real = [measure_reference_shard(images, EXTRACTOR, protocol, IndexRange(0, 64))]
    shards = [
        measure_shard(vae, images, EXTRACTOR, protocol, part)
        for vae, part in ((model, IndexRange(0, 32)), (other, IndexRange(32, 64)))
    ]
    scores = score(merge_shards(shards, protocol), merge_reference(real, protocol), protocol)
    (warnings,) = [each.value.warnings for each in scores if each.metric == "fid_fitted"]
    assert any("drew from 2 different mixtures" in warning for warning in warnings)
    (same,) = [each.value.warnings for each in scores if each.metric == "fid_interpolations"]
    assert not any("mixtures" in warning for warning in same)

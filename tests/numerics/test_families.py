"""All families of metrics out of one pass: what is computed for a protocol, and what is not."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.numerics.known_linear_model import DIVERGENCES, images_from_the_model, linear_model
from tests.wrapped_model import WrappedModel
from vaeval_core.checkpoints.base import Posterior
from vaeval_core.checkpoints.linear_gaussian import LinearGaussianVae, fit_linear_gaussian
from vaeval_core.evaluate import measure_reference_shard, measure_shard, merge_reference, merge_shards, score
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.generation.interventions import MOST_DIMENSIONS
from vaeval_core.images.shapes import shapes_set
from vaeval_core.likelihood import Likelihood
from vaeval_core.metrics.catalogue import METRICS, default_metrics, metric_versions, needs_of
from vaeval_core.metrics.collapse import verdict_on
from vaeval_core.protocol import METRICS_OF_DRAWS, ImageFit
from vaeval_core.quantisation import to_uint8
from vaeval_core.shard_plan import plan_shards
from vaeval_core.streams.base import ShardArrays
from vaeval_core.testing import ImagesInMemory, PixelExtractor, TwoPixelVae, protocol_for
from vaeval_core.types import Float32, ImageShape, IndexRange, Uint8


@dataclass(frozen=True, eq=False)
class FloatsInMemory(ImagesInMemory):
    """Images that were never levels."""

    def read(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Uint8:
        return to_uint8(self.read_floats(index_range, shape, fit))

    def read_floats(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Float32:
        return super().read(index_range, shape, fit).astype(np.float32)


@dataclass
class Counting:
    """A linear model that counts how often its networks are called."""

    model: LinearGaussianVae
    likelihood: Likelihood | None = None
    calls: dict[str, int] = field(default_factory=lambda: {"encode": 0, "decode": 0})

    @property
    def image_shape(self) -> ImageShape:
        return self.model.image_shape

    @property
    def latent_size(self) -> int:
        return self.model.latent_size

    def encode(self, images: Float32) -> Posterior:
        self.calls["encode"] += 1
        return self.model.encode(images)

    def decode(self, latents: Float32) -> Float32:
        self.calls["decode"] += 1
        return self.model.decode(latents)


def smooth_images(count: int, side: int = 12, channels: int = 1) -> ImagesInMemory:
    """Neighbouring pixels are alike, as in pictures."""
    steps = np.random.default_rng(0).normal(size=(count, side, side, channels))
    heights = np.cumsum(np.cumsum(steps, axis=1), axis=2)
    return ImagesInMemory(np.rint(255 * (heights - heights.min()) / np.ptp(heights)).astype(np.uint8))


def measured(
    vae: Any, images: ImagesInMemory, *metrics: str, shard_size: int = 256, **fields: Any
) -> list[ShardArrays]:
    protocol = protocol_of(images, *metrics, **fields)
    return [
        measure_shard(vae, images, extractor_of(images), protocol, shard)
        for shard in plan_shards(protocol.num_images, shard_size)
    ]


def extractor_of(images: ImagesInMemory) -> PixelExtractor:
    return PixelExtractor(math.prod(images.array.shape[1:]))


def protocol_of(images: ImagesInMemory, *metrics: str, **fields: Any) -> Any:
    return protocol_for(images, extractor_of(images), metric_versions(metrics or None), **fields)


def scored(
    vae: Any, images: ImagesInMemory, *metrics: str, shard_size: int = 256, **fields: Any
) -> dict[str, MetricValue]:
    protocol = protocol_of(images, *metrics, **fields)
    real = [measure_reference_shard(images, extractor_of(images), protocol, IndexRange(0, protocol.num_reference))]
    shards = measured(vae, images, *metrics, shard_size=shard_size, **fields)
    scores = score(merge_shards(shards, protocol), merge_reference(real, protocol), protocol, reference_shards=real)
    return {each.metric: each.value for each in scores}


# --- one pass, and no more than is asked for --------------------------------------------------------------------------


def test_one_encoding_and_one_decoding_feed_all_families_of_means() -> None:
    images = smooth_images(96)
    vae = Counting(fit_linear_gaussian(images.array, 3))
    of_means = [name for name in default_metrics(96, 96, 12) if not _decodes_more(name)]
    protocol = protocol_of(images, *of_means, num_samples=0)
    measure_shard(
        vae, images, extractor_of(images), protocol, IndexRange(32, 96)
    )  # strips are drawn from the first batch
    assert vae.calls == {"encode": 2, "decode": 2}  # two batches of 32


def _decodes_more(name: str) -> bool:
    return any(need.startswith(("drawn/", "likelihood", "interventions", "samples/")) for need in METRICS[name].needs)


@pytest.mark.parametrize(
    ("metrics", "likelihood", "decoded"),
    [
        (["mse_drawn", "psnr_drawn", "elbo_calibrated"], None, 1),
        (["elbo", "iwae", "mse_drawn"], Likelihood(kind="gaussian", sigma=0.1), 6),
        (["elbo", "iwae"], None, 0),
        (["elbo", "iwae"], Likelihood(kind="none"), 0),
        (["collapsed_dimensions"], None, 1 + 8),
    ],
)
def test_the_decoder_is_called_as_often_as_the_metrics_need(
    metrics: list[str], likelihood: Likelihood | None, decoded: int
) -> None:
    images = smooth_images(32)
    with_kl, with_these = (
        Counting(fit_linear_gaussian(images.array, 3), likelihood),
        Counting(fit_linear_gaussian(images.array, 3), likelihood),
    )
    # With both the range of the first batch is looked at, which takes two passes of its own.
    measured(with_kl, images, "kl", "mse", num_samples=0, num_draws=6)
    measured(with_these, images, "mse", *metrics, num_samples=0, num_draws=6)
    assert with_these.calls["encode"] == with_kl.calls["encode"]
    assert with_these.calls["decode"] - with_kl.calls["decode"] == decoded


def test_arrays_that_no_metric_needs_are_neither_computed_nor_stored() -> None:
    images = smooth_images(40)
    model = fit_linear_gaussian(images.array, 3)
    (arrays,) = measured(model, images, "mse", num_samples=0)
    kept = {name for name in arrays if not name.startswith(("pictures/", "reconstructions/"))}
    assert kept == {"squared_error", "range/errors"}
    assert "reconstructions/features" not in arrays
    (arrays,) = measured(model, images, "kl")
    assert {"posterior/mean", "posterior/log_variance"} <= arrays.keys()
    assert not {"samples/features", "reconstructions/features", "squared_error", "range/errors"} & arrays.keys()


def test_what_a_metric_says_does_not_depend_on_which_others_a_protocol_has() -> None:
    images = smooth_images(70)
    vae = Counting(fit_linear_gaussian(images.array, 3), Likelihood(kind="gaussian", sigma=0.1))
    together = scored(vae, images, num_draws=4)
    for name in ("ssim", "psnr_drawn", "iwae", "total_correlation", "collapsed_dimensions", "kl", "rfid", "vendi"):
        assert scored(vae, images, name, num_draws=4) == {name: together[name]}


def test_every_metric_of_draws_is_one_that_a_protocol_gives_draws_for() -> None:
    assert {name for name in METRICS if "likelihood" in METRICS[name].needs} == METRICS_OF_DRAWS


def test_needs_of_metrics_that_this_program_does_not_know_are_none() -> None:
    assert needs_of(["mse", "from the future"]) == {"squared_error"}


def test_a_batch_of_many_draws_gives_signs_of_life_and_can_be_stopped() -> None:
    images = smooth_images(32)
    vae = Counting(fit_linear_gaussian(images.array, 3), Likelihood(kind="gaussian", sigma=0.1))
    protocol = protocol_of(images, "iwae", num_samples=0, num_draws=6)
    seen: list[int] = []
    measure_shard(vae, images, extractor_of(images), protocol, IndexRange(0, 32), on_progress=seen.append)
    assert seen == [0] * 5 + [32]

    class Stop(Exception):
        pass

    def stop(images_done: int) -> None:
        raise Stop

    vae.calls["decode"] = 0
    with pytest.raises(Stop):
        measure_shard(vae, images, extractor_of(images), protocol, IndexRange(0, 32), on_progress=stop)
    assert vae.calls["decode"] == 3, "the mean and two draws; no strips after them"


# --- likelihoods ------------------------------------------------------------------------------------------------------


def test_without_a_declared_likelihood_the_reason_says_what_to_type() -> None:
    images = smooth_images(32)
    result = scored(Counting(fit_linear_gaussian(images.array, 3)), images, "elbo", "iwae", "elbo_calibrated")
    for name in ("elbo", "iwae"):
        assert result[name].kind == "not_applicable"
        assert "--likelihood gaussian:0.025" in (result[name].reason or "")
    assert result["elbo_calibrated"].kind == "finite"


def test_the_likelihood_of_the_protocol_goes_before_that_of_the_checkpoint() -> None:
    images = smooth_images(32)
    model = fit_linear_gaussian(images.array, 3)
    declared = Likelihood(kind="gaussian", sigma=0.5)
    own, given = (scored(vae, images, "elbo", num_draws=2)["elbo"] for vae in (model, Counting(model, declared)))
    assert own != given
    assert scored(model, images, "elbo", num_draws=2, likelihood=declared)["elbo"] == given


def test_greys_under_a_bernoulli_have_a_reason_and_black_and_white_a_bound() -> None:
    grey = smooth_images(32)
    bernoulli = Likelihood(kind="bernoulli")
    reason = scored(Counting(fit_linear_gaussian(grey.array, 3), bernoulli), grey, "elbo")["elbo"].reason or ""
    assert "32 of 32 images have values between 0 and 1" in reason
    binary = ImagesInMemory(np.where(grey.array > 128, 255, 0).astype(np.uint8))
    bound = scored(Counting(fit_linear_gaussian(binary.array, 3), bernoulli), binary, "elbo")["elbo"]
    assert bound.value is not None
    assert bound.value < 0


# --- collapse ---------------------------------------------------------------------------------------------------------


def test_the_decoder_is_asked_about_the_first_images_only() -> None:
    images = smooth_images(70)
    arrays = measured(fit_linear_gaussian(images.array, 3), images, "collapsed_dimensions", shard_size=32)
    assert arrays[0]["interventions/response"].shape == (8, 3)
    assert "interventions/response" not in arrays[1]


def test_of_a_long_latent_the_decoder_is_not_asked_and_this_is_said() -> None:
    class Long(TwoPixelVae):
        @property
        def latent_size(self) -> int:
            return MOST_DIMENSIONS + 1

        def encode(self, images: Float32) -> Posterior:
            posterior = super().encode(images)
            assert posterior.log_variance is not None
            return Posterior(
                np.repeat(posterior.mean, self.latent_size, axis=1),
                np.repeat(posterior.log_variance, self.latent_size, axis=1) - np.float32(1),
            )

    images = ImagesInMemory(np.random.default_rng(1).integers(0, 256, (32, 1, 2, 1), dtype=np.uint8))
    value = scored(Long(), images, "collapsed_dimensions")["collapsed_dimensions"]
    assert verdict_on(value.components) == "healthy"
    assert value.warnings == ("The decoder was not asked which latent dimensions it uses.",)


def test_a_posterior_that_is_not_finite_is_no_verdict() -> None:
    class Diverged(TwoPixelVae):
        def encode(self, images: Float32) -> Posterior:
            mean = super().encode(images).mean
            mean[3] = np.nan
            return Posterior(mean, np.zeros_like(mean))

    images = ImagesInMemory(np.random.default_rng(1).integers(0, 256, (32, 1, 2, 1), dtype=np.uint8))
    result = scored(Diverged(), images, "kl", "mutual_information", "collapsed_dimensions", "active_units")
    assert {value.kind for value in result.values()} == {"nan"}


# --- other posteriors -------------------------------------------------------------------------------------------------


@dataclass
class Turned(WrappedModel):
    """The linear model with its latents turned: the same images, and a posterior of full covariance."""

    turn: np.ndarray

    def encode(self, images: Float32) -> Posterior:
        own = self.model.encode(images)
        assert own.log_variance is not None
        covariances = np.einsum("ij,nj,kj->nik", self.turn, np.exp(own.log_variance.astype(np.float64)), self.turn)
        factors = np.linalg.cholesky(covariances).astype(np.float32)
        return Posterior((own.mean @ self.turn.T).astype(np.float32), None, covariance_factor=factors)

    def decode(self, latents: Float32) -> Float32:
        return self.model.decode((latents @ self.turn).astype(np.float32))


def test_a_full_covariance_has_the_kl_and_the_bound_of_the_same_model_on_its_axes() -> None:
    model = linear_model()
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))
    images = FloatsInMemory(images_from_the_model(model, 64, seed=2))
    metrics = (
        "kl",
        "kl_bits",
        "iwae",
        "mse",
        "mse_drawn",
        "elbo_calibrated",
        "mutual_information",
        "collapsed_dimensions",
    )
    plain, turned = (scored(vae, images, *metrics, num_draws=3) for vae in (model, Turned(model, turn)))
    for name in ("kl", "kl_bits", "iwae", "mse"):
        assert turned[name].value == pytest.approx(plain[name].value, rel=1e-5), name
    assert turned["kl"].components == ()
    assert turned["mse_drawn"].kind == turned["elbo_calibrated"].kind == "finite"
    for name in ("mutual_information", "collapsed_dimensions"):
        assert "no diagonal Gaussian" in (turned[name].reason or "")


def test_the_groups_of_a_hierarchy_are_what_the_model_says_of_them() -> None:
    class Hierarchical(TwoPixelVae):
        def encode(self, images: Float32) -> Posterior:
            groups = np.tile(np.float32([0.5, 2.25]), (len(images), 1))
            return Posterior(super().encode(images).mean, None, group_divergences=groups)

    images = ImagesInMemory(np.random.default_rng(1).integers(0, 256, (32, 1, 2, 1), dtype=np.uint8))
    result = scored(
        Hierarchical(), images, "kl", "mse_drawn", "elbo", likelihood=Likelihood(kind="gaussian", sigma=0.1)
    )
    assert (result["kl"].value, result["kl"].components) == (2.75, (0.5, 2.25))
    assert "the model alone can draw" in (result["mse_drawn"].reason or "")
    assert "the model alone can draw" in (result["elbo"].reason or "")


def test_the_codes_of_a_vq_model_are_counted_over_all_shards() -> None:
    class Quantised(TwoPixelVae):
        """Four codes: which quarter of the greys each of the two pixels is in."""

        def encode(self, images: Float32) -> Posterior:
            codes = np.minimum(images.reshape(len(images), 2) * 4, 3).astype(np.int64)
            return Posterior(super().encode(images).mean, None, codes=codes, codebook_size=4)

    levels = np.array([[0, 255], [100, 100], [0, 0], [0, 255]], np.uint8)
    images = ImagesInMemory(np.tile(levels, (20, 1)).reshape(80, 1, 2, 1))
    result = scored(Quantised(), images, "codebook_usage", "codebook_perplexity", "codebook_rate", "kl", shard_size=32)
    shares = np.array([4, 2, 2]) / 8  # of the codes 0, 1 and 3; nothing is in the third quarter
    entropy = -(shares * np.log(shares)).sum()
    assert result["codebook_usage"].value == 0.75
    assert result["codebook_perplexity"].value == pytest.approx(math.exp(entropy))
    assert result["codebook_rate"].value == pytest.approx(2 * entropy / math.log(2))
    assert (result["codebook_rate"].num_images, result["kl"].kind) == (80, "not_applicable")


def test_a_model_without_codes_says_what_has_some() -> None:
    images = smooth_images(32)
    value = scored(fit_linear_gaussian(images.array, 3), images, "codebook_usage")["codebook_usage"]
    assert "for VQ models" in (value.reason or "")


# --- wrong ranges -----------------------------------------------------------------------------------------------------


def test_a_decoder_of_images_in_another_range_is_noticed_and_the_range_is_named() -> None:
    images = smooth_images(32)
    model = fit_linear_gaussian(images.array, 20)

    class Scaled(Counting):
        factor, offset = 2.0, -1.0

        def decode(self, latents: Float32) -> Float32:
            return np.clip(super().decode(latents), 0, 1) * np.float32(self.factor) + np.float32(self.offset)

    class Bytes(Scaled):
        factor, offset = 255.0, 0.0

    for vae, told in ((Scaled(model), "`image_range: [-1, 1]`"), (Bytes(model), "`image_range: [0, 255]`")):
        (warning,) = scored(vae, images, "mse")["mse"].warnings
        assert "lie outside [0, 1]" in warning
        assert told in warning


def test_a_decoder_that_overshoots_its_range_is_not_told_to_take_another() -> None:
    # Samples of a principal component analysis of drawn shapes, whose range is [0, 1], go down to about -½.
    shapes = ImagesInMemory(np.ascontiguousarray(shapes_set("shapes:train")[0][::70, ::2, ::2]))
    (warning,) = scored(fit_linear_gaussian(shapes.array, 20), shapes, "vendi")["vendi"].warnings
    assert "lie outside [0, 1]" in warning
    assert "image_range" not in warning

    class Grey(Counting):
        """In [-1, 1] without black or white, as a blurry decoder of photographs."""

        def decode(self, latents: Float32) -> Float32:
            return np.clip(super().decode(latents), 0.2, 0.8) * np.float32(2) - np.float32(1)

    images = smooth_images(32)
    (warning,) = scored(Grey(fit_linear_gaussian(images.array, 20)), images, "mse")["mse"].warnings
    assert "`image_range: [-1, 1]`" in warning


class Signed(Counting):
    """Networks that were trained on images in [-1, 1], and are given them in [0, 1]."""

    def encode(self, images: Float32) -> Posterior:
        return super().encode((images + np.float32(1)) / np.float32(2))

    def decode(self, latents: Float32) -> Float32:
        # As bounded as a last tanh, so that bright images stay within [0, 1] on both sides.
        return np.clip(super().decode(latents), 0, 1) * np.float32(2) - np.float32(1)


def test_images_that_come_back_better_in_another_range_are_noticed_though_hardly_a_value_is_outside() -> None:
    # Given [0, 1] such networks see images from middle grey to white, which is what comes back: within [0, 1], but poor.
    vae = Signed(fit_linear_gaussian(smooth_images(200).array, 8))
    result = scored(vae, smooth_images(40), "mse", "psnr", "kl", num_samples=0, shard_size=32)
    for name in ("mse", "psnr"):
        (warning,) = result[name].warnings
        assert "of the squared error if the networks get them in [-1, 1]" in warning
        assert "`image_range: [-1, 1]`" in warning
    assert result["kl"].warnings == ()


def test_a_model_that_is_right_about_its_range_is_not_told_to_take_another() -> None:
    images = smooth_images(40)
    model = fit_linear_gaussian(images.array, 8)

    class Untrained(Counting):
        """Middle grey whatever it is asked, which is nearer to bright images in another range."""

        def decode(self, latents: Float32) -> Float32:
            return np.full((len(latents), 12, 12, 1), 0.5, np.float32)

    class Choosy(Counting):
        """Looks greys up in a table, as an embedding does, and takes no others."""

        def encode(self, images: Float32) -> Posterior:
            if images.min() < 0 or images.max() > 1:
                raise ValueError("no such grey level")
            return super().encode(images)

    bright = ImagesInMemory(np.full((40, 12, 12, 1), 240, np.uint8))
    for vae, shown in ((Counting(model), images), (Untrained(model), bright), (Choosy(model), images)):
        value = scored(vae, shown, "mse", num_samples=0)["mse"]
        assert value.kind == "finite"
        assert not any("image_range" in warning for warning in value.warnings), type(vae)


def test_known_divergences_are_those_of_the_linear_model() -> None:
    model = linear_model()
    images = ImagesInMemory(to_uint8(images_from_the_model(model, 512, seed=6)))
    value = scored(model, images, "kl")["kl"]
    assert value.value is not None
    assert value.std_error is not None
    assert abs(value.value - DIVERGENCES.sum()) < 3 * value.std_error


# --- mistakes of published code ---------------------------------------------------------------------------------------


class Unequal(TwoPixelVae):
    """Reconstructs ½ for both pixels, so that the error of an image is told by its pixels alone."""

    def encode(self, images: Float32) -> Posterior:
        return Posterior(np.zeros((len(images), 1), np.float32), np.zeros((len(images), 1), np.float32))


def test_a_smaller_last_batch_weighs_by_its_images_and_no_batch_is_left_out() -> None:
    # 64 grey images without an error to speak of and 6 black ones: the mean of three batch means would be a third.
    levels = np.repeat(np.array([128] * 64 + [0] * 6, np.uint8), 2).reshape(70, 1, 2, 1)
    result = scored(Unequal(), ImagesInMemory(levels), "mse", "psnr", "kl", num_samples=0, shard_size=32)
    errors = np.square(levels.reshape(70, 2) / 255 - 0.5).mean(axis=1)
    assert result["mse"].value == pytest.approx(errors.mean(), rel=1e-6)
    assert result["mse"].value == pytest.approx(0.25 * 6 / 70, rel=1e-3)
    assert {value.num_images for value in result.values()} == {70}


def test_scores_do_not_depend_on_the_global_generator() -> None:
    images = smooth_images(40)
    vae = Counting(fit_linear_gaussian(images.array, 3), Likelihood(kind="gaussian", sigma=0.1))
    runs = []
    for global_seed in (1, 2):
        np.random.seed(global_seed)
        runs.append(scored(vae, images, num_draws=3))
    assert runs[0] == runs[1]


def test_the_rate_is_what_the_bound_subtracts_with_its_sign() -> None:
    images = smooth_images(40)
    vae = Counting(fit_linear_gaussian(images.array, 3), Likelihood(kind="gaussian", sigma=0.1))
    result = scored(vae, images, "kl", "elbo", "log_likelihood", num_draws=3)
    rate, bound, expected = (result[name].value for name in ("kl", "elbo", "log_likelihood"))
    assert rate is not None
    assert bound is not None
    assert expected is not None
    assert rate > 0
    assert bound == pytest.approx(expected - rate, rel=1e-9)

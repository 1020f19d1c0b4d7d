"""The three functions together: known answers, and independence of how the work is cut."""

from __future__ import annotations

import numpy as np
import pytest

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluate import (
    measure_reference_shard,
    measure_shard,
    merge_reference,
    merge_shards,
    score,
)
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.images.factor_labels import FactorLabels
from vaeval_core.likelihood import Likelihood
from vaeval_core.metrics.catalogue import METRICS, metric_versions
from vaeval_core.protocol import Protocol
from vaeval_core.seeding import standard_normal
from vaeval_core.shard_plan import plan_shards
from vaeval_core.streams.base import NUM_PICTURES
from vaeval_core.testing import ImagesInMemory, PixelExtractor, TwoPixelVae, protocol_for
from vaeval_core.types import Float32, IndexRange

EXTRACTOR = PixelExtractor(2)


def real_images(count: int, *, factors: bool = False) -> ImagesInMemory:
    pixels = np.random.default_rng(5).integers(0, 256, (count, 1, 2, 1), dtype=np.uint8)
    labels = FactorLabels(("first", "second"), pixels[:, 0, :, 0] // 64 % 4) if factors else None
    return ImagesInMemory(pixels, factors=labels)


def evaluate(
    vae: TwoPixelVae,
    images: ImagesInMemory,
    protocol: Protocol,
    shards: list[IndexRange],
    reference_shard_size: int = 32,
) -> dict:
    real = [
        measure_reference_shard(images, EXTRACTOR, protocol, shard)
        for shard in plan_shards(protocol.num_reference, reference_shard_size)
    ]
    reference = merge_reference(real, protocol)
    summary = merge_shards([measure_shard(vae, images, EXTRACTOR, protocol, shard) for shard in shards], protocol)
    scores = score(summary, reference, protocol, reference_shards=real)
    return {s.metric: s.value for s in scores} | {"pictures": summary.pictures}


def test_scores_of_a_vae_with_known_answers() -> None:
    images = real_images(110)
    protocol = protocol_for(images, EXTRACTOR, metric_versions(), seed=4)
    result = evaluate(TwoPixelVae(log_variance=np.log(4.0)), images, protocol, list(plan_shards(110, 32)))

    pixels = images.array.reshape(110, 2) / 255
    # The first pixel is reconstructed exactly, the second is always ½.
    errors = np.square(pixels[:, 1] - 0.5) / 2
    assert result["mse"].value == pytest.approx(errors.mean(), rel=1e-6)
    assert result["mse"].std_error == pytest.approx(errors.std(ddof=1) / np.sqrt(110), rel=1e-6)
    assert result["mse"].num_images == 110
    divergences = 0.5 * (np.square(pixels[:, 0] - 0.5) + 4 - 1 - np.log(4))
    assert result["kl"].value == pytest.approx(divergences.mean(), rel=1e-6)
    assert result["kl"].components == pytest.approx([divergences.mean()], rel=1e-6)
    grey = np.abs(np.rint(0.5 * 255) - images.array.reshape(110, 2)[:, 1])
    ratios = 10 * np.log10(255**2 / (grey**2 / 2))
    assert result["psnr"].value == pytest.approx(ratios.mean(), rel=1e-9)

    # FID of two 2-d Gaussians of which one is flat: tr √(S₁S₂) = √(s₁₁ · (S₂)₁₁).
    noise = standard_normal(4, "samples", IndexRange(0, 110), 1)[:, 0]
    drawn = np.rint(np.clip(noise + 0.5, 0, 1) * 255) / 255
    covariance = np.cov(pixels.T)
    shift = np.array([drawn.mean(), np.rint(0.5 * 255) / 255]) - pixels.mean(axis=0)
    variance = drawn.var(ddof=1)
    expected = shift @ shift + covariance.trace() + variance - 2 * np.sqrt(variance * covariance[0, 0])
    assert result["fid"].value == pytest.approx(expected, rel=1e-6)
    assert result["fid"].std_error is not None
    assert result["fid"].bias is not None


@pytest.mark.parametrize("shard_sizes", [[90], [32, 32, 26], [1, 2, 3, 84], [45, 45], [33, 57]])
def test_how_the_work_is_cut_changes_no_bit(shard_sizes: list[int]) -> None:
    images = real_images(130, factors=True)
    protocol = protocol_for(
        images,
        EXTRACTOR,
        metric_versions(),
        num_samples=70,
        num_reconstructions=90,
        num_interpolations=65,
        num_fitted=40,
        num_draws=3,
        likelihood=Likelihood(kind="gaussian", sigma=0.2),
    )
    stops = np.cumsum(shard_sizes)
    shards = [IndexRange(int(stop) - size, int(stop)) for stop, size in zip(stops, shard_sizes, strict=True)]
    whole = evaluate(TwoPixelVae(), images, protocol, [IndexRange(0, 90)], reference_shard_size=130)
    cut = evaluate(TwoPixelVae(), images, protocol, shards)
    assert {name for name in METRICS if whole[name].kind != "finite"} == {
        "inception_score",  # pixels do not classify
        "sfid",  # and have no places
        *("ssim", "ms_ssim", "ssim_drawn", "ms_ssim_drawn"),  # two pixels have no window
        *("codebook_usage", "codebook_perplexity", "codebook_rate"),
        "dci_completeness",  # there is one latent
        "lpips",  # there is no network
    }
    for name in METRICS:
        assert cut[name] == whole[name]
    for name in ("fid", "rfid", "fid_interpolations", "fid_fitted"):
        assert whole[name].influence is not None
        np.testing.assert_array_equal(cut[name].influence, whole[name].influence)
    for name, pictures in whole["pictures"].items():
        np.testing.assert_array_equal(cut["pictures"][name], pictures)
    for name in ("originals", "reconstructions", "samples"):
        assert len(whole["pictures"][name]) == NUM_PICTURES


def test_the_network_always_sees_one_batch_size_and_one_place_per_image() -> None:
    seen: list[tuple[int, Float32]] = []

    class Watching(TwoPixelVae):
        def encode(self, images: Float32) -> Posterior:
            seen.append((len(images), images[:, 0, 0, 0].copy()))
            return super().encode(images)

    images = real_images(50)
    protocol = protocol_for(images, EXTRACTOR, metric_versions(), num_samples=0)
    measure_shard(Watching(), images, EXTRACTOR, protocol, IndexRange(40, 50))
    ((size, first_pixels),) = seen
    assert size == protocol.network_batch == 32
    np.testing.assert_array_equal(first_pixels[8:18], images.array[40:50, 0, 0, 0] / np.float32(255))
    assert not first_pixels[:8].any()


def test_a_checkpoint_that_gives_nan_gets_a_reason_not_a_number() -> None:
    class Diverged(TwoPixelVae):
        def decode(self, latents: Float32) -> Float32:
            pixels = super().decode(latents)
            pixels[5] = np.nan
            return pixels

    images = real_images(40)
    protocol = protocol_for(images, EXTRACTOR, metric_versions())
    result = evaluate(Diverged(), images, protocol, [IndexRange(0, 40)])
    assert (result["fid"].kind, result["fid"].value) == ("nan", None)
    assert result["fid"].reason == "2 of 40 samples hold values that are not finite."
    assert result["psnr"].kind == result["mse"].kind == result["rfid"].kind == "nan"
    assert result["kl"].kind == "finite"


def test_an_infinite_pixel_leaves_no_metric_of_clamped_pixels_a_number() -> None:
    class Overflowing(TwoPixelVae):
        def decode(self, latents: Float32) -> Float32:
            pixels = super().decode(latents)
            pixels[5] = np.inf
            return pixels

    images = real_images(40)
    protocol = protocol_for(images, EXTRACTOR, metric_versions(), num_samples=0)
    result = evaluate(Overflowing(), images, protocol, [IndexRange(0, 40)])
    for name in ("cross_entropy", "psnr", "rfid"):
        assert (result[name].kind, result[name].value, result[name].num_images) == ("nan", None, 40)
        assert result[name].reason == "2 of 40 reconstructions hold values that are not finite."
    assert result["mse"].kind == "inf", "the one metric that clamps nothing"


class Logits(TwoPixelVae):
    """The first pixel is far outside [0, 1] for each latent but one in four, the second never."""

    def decode(self, latents: Float32) -> Float32:
        pixels = super().decode(latents)
        pixels[:, 0, 0] = np.where(np.arange(len(latents)) % 4 == 0, 0.5, -3.0)[:, np.newaxis]
        return pixels


def test_values_outside_the_range_are_a_warning_on_every_metric_of_the_stream() -> None:
    images = real_images(100)
    protocol = protocol_for(images, EXTRACTOR, metric_versions())
    result = evaluate(Logits(), images, protocol, [IndexRange(0, 100)])
    # Three images of four have one of their two pixels outside.
    sentence = "37.5% of the values that the decoder gives for {} lie outside [0, 1]"
    for name in ("rfid", "mse", "cross_entropy", "psnr"):
        (warning,) = result[name].warnings
        assert warning.startswith(sentence.format("reconstructions"))
        assert "logits or another range, say so in vaeval.yaml" in warning
    assert result["fid"].warnings[0].startswith(sentence.format("samples"))
    assert result["kl"].warnings == (), "it sees no pixel of the decoder"


@pytest.mark.parametrize("shard_sizes", [[32, 32], [1, 63]])
def test_the_share_outside_is_that_of_the_images_however_the_work_is_cut(shard_sizes: list[int]) -> None:
    images = real_images(64)
    protocol = protocol_for(images, EXTRACTOR, metric_versions(), num_samples=30)
    shards = [IndexRange(0, shard_sizes[0]), IndexRange(shard_sizes[0], 64)]
    arrays = [measure_shard(Logits(), images, EXTRACTOR, protocol, shard) for shard in shards]
    summary = merge_shards(arrays, protocol)
    assert arrays[0]["samples/outside"].dtype == np.float64
    assert arrays[0]["samples/outside"][0] == 0
    assert summary.values["reconstructions/outside"].mean[0] == 0.375
    # Samples 0, 4, …, 28 are inside: 8 of 30.
    assert summary.values["samples/outside"].mean[0] == pytest.approx(22 / 30 / 2)
    assert summary.values["samples/outside"].count == 30


@pytest.mark.parametrize(("bright", "warnings"), [(1.009, 0), (1.02, 1)])
def test_a_hair_outside_the_range_is_no_warning(bright: float, warnings: int) -> None:
    class Overshooting(TwoPixelVae):
        def decode(self, latents: Float32) -> Float32:
            pixels: Float32 = np.where(super().decode(latents) > 0.5, bright, 0.0).astype(np.float32)
            return pixels

    images = real_images(100)
    protocol = protocol_for(images, EXTRACTOR, metric_versions())
    result = evaluate(Overshooting(), images, protocol, [IndexRange(0, 100)])
    assert len(result["mse"].warnings) == len(result["fid"].warnings) == warnings


@pytest.mark.parametrize(("num_images", "warnings"), [(60, 0), (40, 1)])
def test_a_few_values_outside_the_range_are_no_warning(num_images: int, warnings: int) -> None:
    class OverflowingOnWhite(TwoPixelVae):
        def decode(self, latents: Float32) -> Float32:
            pixels = super().decode(latents)
            pixels[:, 0, 0] = np.where(latents > 0.4, np.float32(5), np.float32(0.5))
            return pixels

    array = np.full((num_images, 1, 2, 1), 100, np.uint8)
    array[7, 0, 0, 0] = 255  # one value of 2 · 60 or of 2 · 40: below and above one in a hundred
    protocol = protocol_for(ImagesInMemory(array), EXTRACTOR, metric_versions(), num_samples=0)
    result = evaluate(OverflowingOnWhite(), ImagesInMemory(array), protocol, [IndexRange(0, num_images)])
    assert len(result["mse"].warnings) == warnings


def test_shards_of_an_earlier_version_are_scored_without_a_word_about_the_range() -> None:
    images = real_images(40)
    protocol = protocol_for(images, EXTRACTOR, metric_versions())
    arrays = measure_shard(Logits(), images, EXTRACTOR, protocol, IndexRange(0, 40))
    earlier = {name: array for name, array in arrays.items() if not name.endswith("/outside")}
    reference = merge_reference([measure_reference_shard(images, EXTRACTOR, protocol, IndexRange(0, 40))], protocol)
    result = {s.metric: s.value for s in score(merge_shards([earlier], protocol), reference, protocol)}
    assert (result["mse"].kind, result["mse"].warnings) == ("finite", ())


def test_an_autoencoder_has_no_divergence() -> None:
    class Autoencoder(TwoPixelVae):
        def encode(self, images: Float32) -> Posterior:
            return Posterior(mean=super().encode(images).mean, log_variance=None)

    images = real_images(40)
    protocol = protocol_for(images, EXTRACTOR, metric_versions())
    result = evaluate(Autoencoder(), images, protocol, [IndexRange(0, 40)])
    assert result["kl"] == MetricValue.not_applicable(
        "The encoder gives no variance: this is an autoencoder without a posterior."
    )
    assert result["mse"].kind == "finite"


def test_a_protocol_without_samples_says_so() -> None:
    images = real_images(40)
    protocol = protocol_for(images, EXTRACTOR, metric_versions(), num_samples=0)
    result = evaluate(TwoPixelVae(), images, protocol, [IndexRange(0, 40)])
    assert result["fid"].reason == "The protocol has no samples."
    assert result["rfid"].kind == "finite"


def test_too_few_images_for_full_rank_is_a_warning_with_the_numbers() -> None:
    images = ImagesInMemory(np.random.default_rng(6).integers(0, 256, (20, 1, 2, 1), dtype=np.uint8))
    protocol = protocol_for(images, EXTRACTOR, metric_versions(), num_samples=2)
    result = evaluate(TwoPixelVae(), images, protocol, [IndexRange(0, 20)])
    assert "2 images span at most 1 of 2 feature dimensions" in result["fid"].warnings[-1]
    assert not any("dimensions" in warning for warning in result["rfid"].warnings)


def test_a_missing_shard_is_noticed() -> None:
    images = real_images(64)
    protocol = protocol_for(images, EXTRACTOR, metric_versions())
    shard = measure_shard(TwoPixelVae(), images, EXTRACTOR, protocol, IndexRange(0, 32))
    with pytest.raises(InvalidInput, match=r"Received: 32 samples Expected: 64"):
        merge_shards([shard], protocol)


def test_a_metric_of_another_version_is_refused() -> None:
    images = real_images(40)
    protocol = protocol_for(images, EXTRACTOR, {"fid": 99})
    with pytest.raises(InvalidInput, match=r"Received: fid version 99 Expected: fid version 2 Next"):
        evaluate(TwoPixelVae(), images, protocol, [IndexRange(0, 40)])


def test_progress_counts_forward_passes_and_can_stop_the_work() -> None:
    images = real_images(64)
    protocol = protocol_for(images, EXTRACTOR, metric_versions(), num_samples=40)
    seen: list[int] = []
    measure_shard(TwoPixelVae(), images, EXTRACTOR, protocol, IndexRange(0, 64), on_progress=seen.append)
    assert seen == [32, 64, 96, 104]

    class Stop(Exception):
        pass

    def stop(images_done: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        measure_shard(TwoPixelVae(), images, EXTRACTOR, protocol, IndexRange(0, 64), on_progress=stop)

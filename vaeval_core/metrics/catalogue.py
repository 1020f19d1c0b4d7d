"""Every metric, by name. A new one is added here, in docs/metrics.md and, to be ranked, in the view `leaderboard`."""

from __future__ import annotations

from vaeval_core.metrics.base import Metric
from vaeval_core.metrics.divergence import divergence_to_prior
from vaeval_core.metrics.fidelity import frechet_distance_of_reconstructions, frechet_distance_of_samples
from vaeval_core.metrics.reconstruction import mean_cross_entropy, mean_peak_signal_to_noise, mean_squared_error

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="fid",
            version=1,
            title="Fréchet distance of samples",
            unit="squared feature units",
            direction="lower",
            compute=frechet_distance_of_samples,
        ),
        Metric(
            name="rfid",
            version=1,
            title="Fréchet distance of reconstructions",
            unit="squared feature units",
            direction="lower",
            compute=frechet_distance_of_reconstructions,
        ),
        Metric(
            name="mse",
            version=1,
            title="Mean squared error",
            unit="squared intensity per pixel and channel",
            direction="lower",
            compute=mean_squared_error,
        ),
        Metric(
            name="cross_entropy",
            version=1,
            title="Binary cross-entropy",
            unit="nats per image",
            direction="lower",
            compute=mean_cross_entropy,
        ),
        Metric(
            name="psnr",
            version=1,
            title="Peak signal-to-noise ratio",
            unit="decibels",
            direction="higher",
            compute=mean_peak_signal_to_noise,
        ),
        Metric(
            name="kl",
            version=1,
            title="KL divergence to the prior",
            unit="nats per image",
            direction="neither",
            compute=divergence_to_prior,
        ),
    )
}


def metric_versions() -> dict[str, int]:
    """Name → version of every metric, as a protocol records them."""
    return {name: metric.version for name, metric in METRICS.items()}

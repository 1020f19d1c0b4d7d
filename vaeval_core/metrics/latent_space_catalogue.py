"""Metrics of the latent space: what lies between latents, what a fitted density makes of them, what factors they hold."""

from __future__ import annotations

from typing import Literal

from vaeval_core.metrics.base import Metric
from vaeval_core.metrics.disentanglement import OfFactors
from vaeval_core.metrics.fidelity import frechet_distance_of_fitted, frechet_distance_of_interpolations
from vaeval_core.metrics.path_length import path_length_in_features, path_length_in_pixels

OF_INTERPOLATIONS = (
    Metric(
        name="fid_interpolations",
        version=2,
        title="Fréchet distance of interpolations",
        unit="squared feature units",
        direction="lower",
        compute=frechet_distance_of_interpolations,
        needs=frozenset({"interpolations/features"}),
    ),
    Metric(
        name="ppl",
        version=2,
        title="Perceptual path length",
        unit="squared feature units per path",
        direction="lower",
        compute=path_length_in_features,
        needs=frozenset({"interpolations/feature_speed"}),
    ),
    Metric(
        name="ppl_pixels",
        version=2,
        title="Path length in pixels",
        unit="squared intensity per pixel and channel, per path",
        direction="lower",
        compute=path_length_in_pixels,
        needs=frozenset({"interpolations/pixel_speed"}),
    ),
)

OF_FITTED = (
    Metric(
        name="fid_fitted",
        version=2,
        title="Fréchet distance of draws from the fitted mixture",
        unit="squared feature units",
        direction="lower",
        compute=frechet_distance_of_fitted,
        needs=frozenset({"fitted/features"}),
    ),
)


def _of_factors(
    name: str, title: str, unit: str, direction: Literal["lower", "higher", "neither"] = "higher"
) -> Metric:
    return Metric(
        name=name,
        version=1,
        title=title,
        unit=unit,
        direction=direction,
        compute=OfFactors(name),
        needs=frozenset({"posterior", "factors"}),
    )


OF_FACTORS = (
    _of_factors("mig", "Mutual information gap", "share of a factor's entropy"),
    _of_factors(
        "mig_ceiling", "Mutual information gap of a perfect code", "share of a factor's entropy", direction="neither"
    ),
    _of_factors("sap", "Separated attribute predictability", "difference of balanced accuracies"),
    _of_factors("dci_disentanglement", "DCI disentanglement", "1 - normalised entropy"),
    _of_factors("dci_completeness", "DCI completeness", "1 - normalised entropy"),
    _of_factors("dci_informativeness", "DCI informativeness", "share of variance (R²)"),
    _of_factors("factor_vae", "FactorVAE score", "accuracy"),
    _of_factors("beta_vae", "β-VAE score", "accuracy"),
    _of_factors("modularity", "Modularity", "share"),
    _of_factors("explicitness", "Explicitness", "area under the ROC curve"),
    _of_factors("irs", "Interventional robustness", "share"),
)


def inapplicable(*, num_interpolations: int, num_fitted: int, has_factors: bool) -> frozenset[str]:
    """Names of the metrics above that such a protocol leaves without a number, and so does not ask for by itself.

    Args:
        num_interpolations: Interpolations of the protocol.
        num_fitted: Draws from the fitted density.
        has_factors: Whether the data set has factors, and images of it are encoded.
    """
    left_out = (
        *(() if num_interpolations else OF_INTERPOLATIONS),
        *(() if num_fitted else OF_FITTED),
        *(() if has_factors else OF_FACTORS),
    )
    return frozenset(metric.name for metric in left_out)

"""FID of samples and of reconstructions: how far their features are from those of real images, and how sure that is.

>>> import numpy as np
>>> rng = np.random.default_rng(0)
>>> real, generated = rng.normal(size=(2, 500, 4))
>>> value = frechet_distance(generated * 2, real)
>>> f"{value.value:.2f} ± {value.std_error:.2f}, of which {value.bias:.2f} is bias"
'4.00 ± 0.24, of which 0.05 is bias'
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from vaeval_core.accumulators.feature_moments import FeatureMoments
from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.accumulators.feature_summary import FeatureSummary
from vaeval_core.errors import InvalidInput
from vaeval_core.evaluation_result import MetricValue
from vaeval_core.metrics.base import EvaluationSummary, outside_warnings, unusable
from vaeval_core.metrics.effective_images import FEWEST_IMAGES_OF_A_DISTANCE, TOO_FEW_FOR_A_DISTANCE, unreliable
from vaeval_core.metrics.feature_blocks import CheckedBlocks, Features, as_blocks
from vaeval_core.metrics.frechet import fit_gaussian, require_moderate, require_usable, squared_frechet_distance
from vaeval_core.metrics.frechet_jackknife import FEWEST_IMAGES, frechet_jackknife, is_calibrated
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.protocol import StreamName
from vaeval_core.types import Float32, Float64, Int64

ON_THE_SAFE_SIDE = (
    "The standard error is on the safe side: below two images per feature it comes out up to 1.6 times too large."
)


def frechet_distance(
    generated: Features, reference: Features | GaussianFit, *, partners: Int64 | None = None
) -> MetricValue:
    """Squared Fréchet distance of generated to real features, with its standard error over generated images.

    Args:
        generated: (n, d), at once or in pieces. Pieces are read twice, and not held if n ≥ d.
        reference: (m, d) of the real images, or a Gaussian that was fitted to them.
        partners: Where the generated images lie on paths between real ones: the number of the image at the end of each, (n,);
            path i starts at image i. Then the error is over other real images, each of which ends several paths.

    Returns:
        `value` in squared feature units, ≥ 0, lower is better. `std_error`: how far it would scatter over other generated
        images, at this n and with this reference; with a warning where n < 2d, as it is on the safe side then, and None with a
        warning where it is unreliable. `bias`: how much of it comes from n being finite; None where n < 2d. `influence`
        compares it with that of another checkpoint.

    Raises:
        TooFewImages: Fewer than two feature vectors.
        InvalidInput: A feature is not finite or above 10¹⁸, or the dimensions differ.
    """
    blocks = as_blocks(generated, "generated")
    if not isinstance(reference, GaussianFit):
        reference = fit_gaussian(summarised(as_blocks(reference, "reference")))
    return frechet_value(summarised(blocks), blocks, reference, partners=partners)


def summarised(blocks: CheckedBlocks) -> FeatureMoments | FeatureRows:
    """Rows or moments of features, whichever is smaller."""
    summary = FeatureSummary(*blocks.shape)
    for block in blocks:
        require_moderate(float(np.abs(block).max()), blocks.name)
        summary.push(block)
    return summary.features()


def frechet_value(
    features: FeatureMoments | FeatureRows,
    blocks: Iterable[Float32 | Float64] | None,
    reference: GaussianFit,
    *,
    partners: Int64 | None = None,
) -> MetricValue:
    """The same from what was summed before; without `blocks`, the rows themselves, there is no standard error of moments."""
    warnings = few_images_warnings(features.count, reference)
    if isinstance(features, FeatureRows):
        blocks = [features.rows]
    if blocks is None or features.count < FEWEST_IMAGES:
        distance = squared_frechet_distance(features, reference)
        return MetricValue.of(distance, num_images=features.count, warnings=warnings)
    jackknife = frechet_jackknife(features, blocks, reference)
    count, known = features.count, is_calibrated(features.count, reference.mean.size)
    withheld = (
        TOO_FEW_FOR_A_DISTANCE if count < FEWEST_IMAGES_OF_A_DISTANCE else unreliable(jackknife.influence, partners)
    )
    about_the_error = withheld or (None if known else ON_THE_SAFE_SIDE)
    return MetricValue.of(
        jackknife.distance,
        num_images=count,
        std_error=None if withheld else jackknife.std_error_of(partners),
        bias=jackknife.bias if known else None,
        warnings=warnings if about_the_error is None else (*warnings, about_the_error),
        influence=jackknife.influence,
        partners=partners,
    )


def few_images_warnings(count: int, reference: GaussianFit) -> tuple[str, ...]:
    """Say so where there are too few images: the value then says as much about their number as about what they show."""
    dimension = reference.mean.size
    fewest = count if reference.count is None else min(count, reference.count)
    if fewest <= dimension:
        warning = (
            f"{fewest} images span at most {fewest - 1} of {dimension} feature dimensions: most of this distance may be "
            f"bias. Compare only within this protocol, or evaluate more than {2 * dimension} images."
        )
    elif fewest < 2 * dimension:
        warning = (
            f"{fewest} images are fewer than twice the {dimension} feature dimensions, which biases the distance upward: "
            "compare only within this protocol."
        )
    else:
        return ()
    return (warning,)


def frechet_distance_of_samples(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """FID: decoded prior draws against real images."""
    return _distance_of_stream("samples", summary, reference)


def frechet_distance_of_reconstructions(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """rFID: decoded posterior means against real images."""
    return _distance_of_stream("reconstructions", summary, reference)


def frechet_distance_of_interpolations(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """Decoded points between two posterior means against real images."""
    return _distance_of_stream("interpolations", summary, reference)


def frechet_distance_of_fitted(summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    """Decoded draws from the density fitted to encoded images against real images."""
    return _distance_of_stream("fitted", summary, reference)


def _distance_of_stream(stream: StreamName, summary: EvaluationSummary, reference: GaussianFit) -> MetricValue:
    without_number = unusable(summary, stream)
    if without_number is not None:
        return without_number
    features = summary.features[stream]
    try:
        require_usable(features)
    except InvalidInput as error:  # finite, as is known by now, but so large that a distance would overflow
        reason = f"{error.what} Received: {error.received}."
        warnings = outside_warnings(summary, stream)
        return MetricValue(value=None, num_images=features.count, kind="inf", reason=reason, warnings=warnings)
    rows = summary.rows.get(stream)
    value = frechet_value(
        features, None if rows is None else as_blocks(rows, stream), reference, partners=summary.partners.get(stream)
    )
    warnings = (*outside_warnings(summary, stream), *summary.notes.get(stream, ()), *value.warnings)
    return replace(value, warnings=warnings)

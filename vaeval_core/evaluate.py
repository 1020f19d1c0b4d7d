"""The story of an evaluation in three functions: measure_shard, merge_shards, score.

    adapter, images, extractor ─► measure_shard ─► arrays of one shard      (device, any worker, any order)
    arrays of all shards       ─► merge_shards  ─► EvaluationSummary        (float64, in shard order)
    summary, reference         ─► score         ─► one Score per metric     (pure)

References go the same way (`reference_shards`): measure_reference_shard, merge_reference. So does a noise floor, real images
in the place of samples: `streams.noise_floor`, then merge_shards and score as for a checkpoint.

Shard size, number of workers and order of arrival change no score: noise is addressed per image (`seeding`), an image has
a fixed place in a batch of fixed size (`generation.aligned_batches`), and rows are summed in blocks of fixed image numbers
(`accumulators.fixed_blocks`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaeval_core.accumulators.feature_summary import FeatureSummary
from vaeval_core.checkpoints.base import VaeAdapter
from vaeval_core.evaluation_result import MetricValue, Score
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.perceptual_distance import PerceptualDistance
from vaeval_core.generation.interpolation_pairs import path_ends
from vaeval_core.images.base import ImageSet
from vaeval_core.metrics.base import IMPORTED_WITHOUT_ROWS, EvaluationSummary
from vaeval_core.metrics.catalogue import METRICS, is_of_samples, needs_of, require_known
from vaeval_core.metrics.codebook import CodeCounts
from vaeval_core.metrics.factor_scores import FactorScores
from vaeval_core.metrics.gaussian_fit import GaussianFit
from vaeval_core.metrics.latents import Latents
from vaeval_core.metrics.measured_values import ImageValues, ValueStream, measured_values
from vaeval_core.metrics.reference_rows import ReferenceRows, spatial_fit
from vaeval_core.metrics.shard_rows import ShardRows
from vaeval_core.protocol import Protocol, StreamName
from vaeval_core.reference_shards import complete, incomplete, reference_rows
from vaeval_core.reference_shards import measure_reference_shard as measure_reference_shard
from vaeval_core.reference_shards import merge_reference as merge_reference
from vaeval_core.streams.base import ShardArrays, Subject
from vaeval_core.streams.fitted import FactsOfFits, SecondStage, facts_of, fit_second_stage, measure_fitted
from vaeval_core.streams.interpolations import measure_interpolations
from vaeval_core.streams.noise_floor import NOISE_FLOOR_ONLY_SAMPLES, NOISE_FLOOR_STREAMS
from vaeval_core.streams.range_check import measure_range
from vaeval_core.streams.reconstructions import encode_images, measure_reconstructions
from vaeval_core.streams.samples import measure_samples
from vaeval_core.streams.strips import measure_strips
from vaeval_core.types import IndexRange


def measure_shard(
    adapter: VaeAdapter,
    images: ImageSet,
    extractor: FeatureExtractor,
    protocol: Protocol,
    index_range: IndexRange,
    *,
    on_progress: Callable[[int], None] = lambda images_done: None,
    second_stage: Callable[[Callable[[], SecondStage]], SecondStage] = lambda fit: fit(),
    perceptual: PerceptualDistance | None = None,
) -> ShardArrays:
    """Run every stream of the protocol for the image numbers of a range.

    Args:
        adapter: The checkpoint.
        images: The real images.
        extractor: The feature network that the protocol names.
        protocol: What to run.
        index_range: Image numbers; a stream with fewer images takes part as far as it reaches.
        on_progress: Called after each network batch with the images that are done so far, and again within a batch that
            takes long. May raise to stop.
        second_stage: Called once if the range has images of the stream `fitted`, with a function that fits; may call it, or
            give back what it gave for another shard of the same checkpoint and protocol.
        perceptual: The distance that `protocol.lpips` names, if it names one.

    Returns:
        For each stream what `streams.base.soundness` gives, and `pictures/*` uint8. As far as the metrics of the protocol
        need it, `samples/features` (n, d) float32 and the same for other streams; `samples/logits` (n, classes) float32
        if the extractor classifies; one float64 per image for each measurement of reconstructions, of draws (`drawn/*`) and
        of bounds (`likelihood/*`); `posterior/mean` and `posterior/log_variance` (n, k) float32; `codes`;
        `interventions/response` (m, k) float64 of the first m images; `factors` (n, f) int64; speeds of paths, see
        `streams.interpolations`; and what the draws are from, see `streams.fitted.facts_of`.
    """
    collected: dict[str, list[NDArray[Any]]] = {}
    done = 0

    def take(passes: int, arrays: ShardArrays) -> None:
        nonlocal done
        for name, array in arrays.items():
            collected.setdefault(name, []).append(array)
        done += passes
        on_progress(done)

    subject = Subject(
        adapter=adapter,
        images=images,
        extractor=extractor,
        protocol=protocol,
        needs=needs_of(protocol.metrics),
        perceptual=perceptual,
        on_life=lambda: on_progress(done),
    )
    draws_any = index_range.up_to(protocol.num_fitted) is not None
    stage = second_stage(lambda: fit_second_stage(subject)) if draws_any else None
    for block in index_range.blocks(protocol.network_batch):
        encoded = None
        real = block.up_to(protocol.num_reconstructions)
        if real is not None:
            encoded = encode_images(subject, real)
            take(len(real), measure_reconstructions(subject, encoded))
        sampled = block.up_to(protocol.num_samples)
        if sampled is not None:
            take(len(sampled), measure_samples(subject, sampled))
        between = block.up_to(protocol.num_interpolations)
        if between is not None:
            arrays = measure_interpolations(subject, between, encoded)
            take(len(between) + len(arrays.get("interpolations/feature_speed", ())), arrays)
        drawn = block.up_to(protocol.num_fitted)
        if drawn is not None and stage is not None:
            take(len(drawn), measure_fitted(subject, drawn, stage))
    whole = {} if stage is None else facts_of(stage)
    if index_range.start == 0:
        whole |= measure_strips(subject) | measure_range(subject)
    return whole | {name: np.concatenate(arrays) for name, arrays in collected.items()}


def merge_shards(
    shards: Iterable[ShardArrays], protocol: Protocol, *, streams: Sequence[StreamName] | None = None
) -> EvaluationSummary:
    """Merge all shards of an evaluation.

    Args:
        shards: What `measure_shard` gave, in shard order. Read one at a time, so memory does not grow with their number, and
            again by every metric that needs the rows themselves: a list, or something else that begins anew at each `iter`.
        protocol: The protocol of the evaluation.
        streams: Which of its streams there are; all by default, `NOISE_FLOOR_STREAMS` for real images.

    Raises:
        InvalidInput: The shards hold more or fewer images than the protocol.
    """
    counts = {
        stream: count for stream, count in protocol.stream_lengths.items() if streams is None or stream in streams
    }
    dimension, needs = protocol.extractor.dimension, needs_of(protocol.metrics)
    features = {
        stream: FeatureSummary(count, dimension) for stream, count in counts.items() if f"{stream}/features" in needs
    }
    seen, not_finite = dict.fromkeys(counts, 0), dict.fromkeys(counts, 0)
    values: dict[str, ValueStream] = {}
    pictures: dict[str, list[NDArray[Any]]] = {}
    num_classes, num_factors, codes, has_latents = 0, 0, None, False
    num_spatial, num_places = 0, 0
    fits = FactsOfFits()
    range_errors = None
    for shard in shards:
        range_errors = shard.get("range/errors", range_errors)
        for stream in counts:
            if f"{stream}/finite" in shard:
                finite = shard[f"{stream}/finite"]
                seen[stream] += len(finite)
                not_finite[stream] += int((finite == 0).sum())
            if stream in features and f"{stream}/features" in shard:
                features[stream].push(shard[f"{stream}/features"])
        for name, rows in measured_values(shard).items():
            values.setdefault(name, ValueStream(rows.shape[1])).push(rows)
        if "samples/logits" in shard:
            num_classes = shard["samples/logits"].shape[1]
        if "samples/spatial" in shard:
            num_rows, num_places = shard["samples/spatial"].shape
            num_spatial += num_rows
        if "codes" in shard:
            counted = CodeCounts.from_rows(shard["codes"], int(shard["codes/size"][0]))
            codes = counted if codes is None else codes.merge(counted)
        has_latents |= "posterior/mean" in shard
        if "factors" in shard:
            num_factors = shard["factors"].shape[1]
        fits.push(shard)
        for name, array in shard.items():
            if name.startswith("pictures/"):
                pictures.setdefault(name.removeprefix("pictures/"), []).append(array)
    missing: dict[StreamName, MetricValue] = {} if fits.missing is None else {"fitted": fits.missing}
    for stream, count in counts.items():
        if seen[stream] != count and stream not in missing:
            raise incomplete(f"{seen[stream]} {stream}", count)
    features = {stream: collector for stream, collector in features.items() if stream not in missing}
    latents = Latents(shards, protocol.seed) if has_latents else None
    if num_places and num_spatial != counts["samples"]:
        raise incomplete(f"spatial features of {num_spatial} samples", counts["samples"])
    return EvaluationSummary(
        counts=counts,
        num_values=math.prod(protocol.image_shape),
        features={stream: complete(collector, counts[stream]) for stream, collector in features.items()},
        rows={stream: ShardRows(shards, f"{stream}/features", (counts[stream], dimension)) for stream in features},
        logits={"samples": ShardRows(shards, "samples/logits", (counts["samples"], num_classes))}
        if num_classes
        else {},
        spatial_rows=ShardRows(shards, "samples/spatial", (num_spatial, num_places)) if num_places else None,
        partners={"interpolations": path_ends(protocol)} if "interpolations" in counts else {},
        values={name: collector.summary() for name, collector in values.items()},
        image_values=ImageValues(shards),
        latents=latents,
        codes=codes,
        not_finite=not_finite,
        pictures={name: np.concatenate(arrays) for name, arrays in pictures.items()},
        missing=missing,
        range_errors=range_errors,
        notes={"fitted": fits.notes},
        is_noise_floor=streams == NOISE_FLOOR_STREAMS,
        factor_scores=FactorScores(
            latents, ShardRows(shards, "factors", (protocol.num_reconstructions, num_factors)), seed=protocol.seed
        )
        if latents is not None and num_factors
        else None,
    )


def score(
    summary: EvaluationSummary,
    reference: ShardArrays,
    protocol: Protocol,
    *,
    reference_shards: Iterable[ShardArrays] | None = None,
    on_life: Callable[[], None] = lambda: None,
) -> tuple[Score, ...]:
    """Compute every metric of the protocol.

    Args:
        summary: What `merge_shards` gave.
        reference: What `merge_reference` gave.
        protocol: The protocol of the evaluation.
        reference_shards: What `merge_reference` was given, for metrics that look at single real images; these are not
            applicable without. Read only if there are such, and more than once.
        on_life: Called before each metric. May raise to stop.

    Raises:
        MetricsDiffer: The protocol names a metric, or a version of one, that this program does not have.
    """
    require_known(protocol.metrics)
    fit = GaussianFit.from_arrays(reference)
    summary = replace(summary, spatial_reference=spatial_fit(reference))
    if protocol.imported_reference is not None:
        summary = replace(summary, without_real=IMPORTED_WITHOUT_ROWS)
    elif reference_shards is not None:
        summary = replace(summary, real=ReferenceRows(reference_rows(reference_shards, protocol), reference))

    def value(name: str) -> MetricValue:
        on_life()
        if summary.is_noise_floor and not is_of_samples(name):
            return MetricValue.not_applicable(NOISE_FLOOR_ONLY_SAMPLES)
        return METRICS[name].compute(summary, fit)

    return tuple(Score(metric=name, version=version, value=value(name)) for name, version in protocol.metrics.items())

"""`vaeval show`: everything that is known about one evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import rendering
from cli.attribution import attribution, print_attribution
from cli.factors import factor_names, print_by_factor
from cli.number_formats import as_score, duration, significant
from cli.options import Json
from cli.status import as_document
from cli.waits import told_waits

if TYPE_CHECKING:
    from scheduler.store.answers import FailedAttempt, Waiting
    from scheduler.store.base import EvaluationRecord
    from vaeval_core.evaluation_result import Score

BY_DIMENSION = frozenset({"kl"})
"""Metrics whose components are parts by latent dimension; those of others are for programs (--json)."""

ACTIVE_NATS = 0.01
"""A latent dimension whose KL is below this carries nothing worth naming (posterior collapse)."""


def show(
    evaluation: Annotated[int, typer.Argument(metavar="EVALUATION", help="Its id, from status or leaderboard.")],
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures",
            metavar="FOLDER",
            help="Also draw its pictures as PNG files in this folder: samples and reconstructions, interpolations, traversals.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show everything about one evaluation.

    Scores with standard errors, protocol, checkpoint, times, and what went wrong.

    \b
    Examples:
      vaeval show 12
      vaeval show 12 --pictures pictures/
    """
    from cli.pictures import require_picture_folder, write_pictures
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    if pictures is not None:
        require_picture_folder(pictures)
    with open_application(Settings.from_environment()) as application:
        record = application.reads.evaluation(evaluation)
        attempts = application.reads.failed_attempts(evaluation)
        waiting = application.reads.waiting([evaluation]).get(evaluation)
        factors = factor_names(application, record)
        drawn = [] if pictures is None else write_pictures(application, record, pictures)
    if as_json:
        document = {
            **_document(record, waiting),
            "factors": factors,
            "failed_attempts": [asdict(attempt) for attempt in attempts],
        }
        rendering.document("show", {**document, "pictures_file": drawn[0] if drawn else None, "pictures_files": drawn})
        return
    _print_facts(record)
    if record.scores:
        rendering.data("")
        _print_scores(record.scores)
        print_by_factor(record.scores, factors)
        verdict = _collapse(record)
        if verdict is not None:
            rendering.data("")
            rendering.data(f"posterior collapse: {verdict}")
        print_attribution(record.scores)
    for line in told(attempts):
        rendering.note(line)
    for line in told_waits({evaluation: waiting} if waiting is not None else {}):
        rendering.note(f"waits: {line}")
    if record.error:
        if not any(attempt.reason in record.error for attempt in attempts):  # else it is told above
            rendering.note(f"error: {record.error}")
        rendering.note(
            f"Next: put it right, then vaeval retry {record.evaluation_id}, or submit the same checkpoint again."
        )
    if drawn:
        rendering.note(f"Pictures: {', '.join(map(str, drawn))}")


def told(attempts: Sequence[FailedAttempt], *, latest: int = 6) -> list[str]:
    """A line for each of the latest attempts that came to nothing."""
    lines = [f"{len(attempts) - latest} earlier failed attempts are in --json."] if len(attempts) > latest else []
    for attempt in attempts[-latest:]:
        whose = "of the reference " if attempt.owner == "reference" else ""
        what = "merging" if attempt.shard is None else f"shard {attempt.shard}"
        which = f", attempt {attempt.attempt}" if attempt.attempt is not None else ""
        where = f" on {attempt.worker}" if attempt.worker else ""
        lines.append(f"failed: {what} {whose}".rstrip() + f"{which}{where}: {attempt.reason}")
    return lines


def _document(record: EvaluationRecord, waiting: Waiting | None) -> dict[str, Any]:
    from vaeval_core.metrics.effective_images import why_withheld

    return {
        **as_document(record, waiting),
        "collapse": _collapse(record),
        "checkpoint_uri": record.checkpoint_uri,
        "checkpoint_digest": record.checkpoint_digest,
        "description": record.description,
        "protocol_spec": record.protocol.model_dump(mode="json"),
        "scores": [
            {
                "metric": score.metric,
                "version": score.version,
                "value": score.value.value,
                "std_error": score.value.std_error,
                "std_error_reason": why_withheld(score.value.warnings),
                "bias": score.value.bias,
                "num_images": score.value.num_images,
                "kind": score.value.kind,
                "reason": score.value.reason,
                "components": score.value.components,
                "warnings": score.value.warnings,
            }
            for score in record.scores
        ],
        "attribution": [part.as_document() for part in attribution(record.scores)],
    }


def _collapse(record: EvaluationRecord) -> str | None:
    """The verdict on the latent dimensions; None if there is none."""
    from vaeval_core.metrics.collapse import verdict_on

    components = [score.value.components for score in record.scores if score.metric == "collapsed_dimensions"]
    return verdict_on(components[0]) if components and components[0] else None


def _print_facts(record: EvaluationRecord) -> None:
    protocol, extractor = record.protocol, record.protocol.extractor
    height, width, channels = protocol.image_shape
    facts = {
        "evaluation": f"{record.evaluation_id} · {record.state}"
        + ("" if record.state.is_terminal else f" · {record.shards_finished} of {record.shards_total} shards"),
        "checkpoint": record.checkpoint_name + (f" · step {record.step}" if record.step is not None else ""),
        "": record.checkpoint_uri,
        "digest": record.checkpoint_digest,
        "model": _model(record),
        "tags": ", ".join(f"{key}={value}" for key, value in record.tags.items()),
        "data": f"{record.dataset_name} · images {height}×{width}×{channels}, fit {protocol.image_fit}",
        "protocol": f"{record.protocol_name} · fingerprint {record.fingerprint[:12]}",
        "likelihood": _likelihood(record),
        "images": _images(record),
        "reference": _reference(record),
        "features": f"{extractor.name} (version {extractor.version}, {extractor.dimension} numbers,"
        f" resize {extractor.resize}, {extractor.precision})",
        "submitted": f"{record.submitted_at:%Y-%m-%d %H:%M:%S} UTC",
        "took": _took(record),
    }
    rows = [(name, text) for name, text in facts.items() if text]
    rows += [("note" if i == 0 else "", text) for i, text in enumerate(record.description.get("notes", []))]
    for name, text in rows:
        rendering.fact(f"{name:<12}", text)


def _images(record: EvaluationRecord) -> str:
    protocol = record.protocol
    if record.is_noise_floor:
        words = [f"{protocol.num_samples:,} real images in the place of samples"]
    else:
        words = [f"{protocol.num_samples:,} samples", f"{protocol.num_reconstructions:,} reconstructions"]
        if protocol.num_interpolations:
            words.append(f"{protocol.num_interpolations:,} {protocol.interpolation_path} interpolations")
        if protocol.num_fitted:
            words.append(f"{protocol.num_fitted:,} from a fitted density")
    if protocol.imported_reference is None:
        words.append(f"{protocol.num_reference:,} for reference")
    return f"{', '.join(words)}; seed {protocol.seed}"


def _reference(record: EvaluationRecord) -> str:
    """Only where it is not the data's own."""
    digest = record.protocol.imported_reference
    return "" if digest is None else f"imported statistics, digest {digest[:12]}"


def _model(record: EvaluationRecord) -> str:
    description = record.description
    parts = [str(description["format"])] if "format" in description else []
    if "latent_shape" in description:
        parts.append(f"latent {'×'.join(map(str, description['latent_shape']))}")
    if description.get("posterior") == "none":
        parts.append("no posterior variance")
    if "image_range" in description:
        low, high = description["image_range"]
        parts.append(f"images in [{low:g}, {high:g}]")
    return " · ".join(parts)


def _likelihood(record: EvaluationRecord) -> str:
    """What bounds of the likelihood were taken under, and over how many draws; nothing if there are none."""
    from vaeval_core.likelihood import Likelihood

    protocol, stored = record.protocol, record.description.get("likelihood")
    own = None if stored is None else Likelihood.model_validate(stored)
    likelihood = protocol.likelihood or own
    if not protocol.num_draws or likelihood is None:
        return ""
    whose = "of the protocol" if protocol.likelihood else "of the checkpoint"
    return f"{likelihood}, {whose}; {protocol.num_draws} draws from each posterior"


def _took(record: EvaluationRecord) -> str:
    if record.started_at is None or record.finished_at is None:
        return ""
    return duration((record.finished_at - record.started_at).total_seconds())


def _print_scores(scores: Sequence[Score]) -> None:
    from vaeval_core.metrics.catalogue import METRICS
    from vaeval_core.metrics.effective_images import why_withheld

    has_bias = any(score.value.bias is not None for score in scores)
    columns = [
        rendering.Column(title="METRIC"),
        rendering.Column(title="VALUE", align="right"),
        *([rendering.Column(title="OF WHICH BIAS", align="right", droppable=1)] if has_bias else []),
        rendering.Column(title="UNIT", droppable=3),
        rendering.Column(title="BETTER", droppable=2),
        rendering.Column(title="IMAGES", align="right", droppable=1),
    ]
    rows = []
    scores = sorted(
        scores, key=lambda score: list(METRICS).index(score.metric) if score.metric in METRICS else len(METRICS)
    )
    for score in scores:
        metric, value = METRICS.get(score.metric), score.value
        shown = value.kind.replace("_", " ")
        if value.value is not None:
            is_unreliable = why_withheld(value.warnings) is not None
            shown = as_score(score.metric, value.value, value.std_error, is_unreliable=is_unreliable)
        rows.append(
            (
                score.metric,
                shown,
                *([significant(value.bias, 3) if value.bias is not None else ""] if has_bias else []),
                metric.unit if metric else "",
                metric.direction if metric else "",
                f"{value.num_images:,}",
            )
        )
    rendering.table(columns, rows)
    for score in scores:
        if score.value.components and score.metric in BY_DIMENSION:
            rendering.data("")
            title, parts = per_dimension(score.metric, score.value.components)
            rendering.data(title)
            rendering.list_of(parts, "  ")
        if score.value.components and score.metric == "elbo_calibrated":
            rendering.data("")
            rendering.data(f"elbo_calibrated is largest at σ = {significant(score.value.components[0])}")
    for sentence, metrics in _sentences(scores).items():
        rendering.note(f"{', '.join(metrics)}: {sentence}")


def _sentences(scores: Sequence[Score]) -> dict[str, list[str]]:
    """What a reader must know → the metrics that it is about: the same of several is said once."""
    metrics: dict[str, list[str]] = {}
    for score in scores:
        for sentence in (*([score.value.reason] if score.value.reason else []), *score.value.warnings):
            metrics.setdefault(sentence, []).append(score.metric)
    return metrics


def per_dimension(metric: str, components: Sequence[float], *, largest: int = 8) -> tuple[str, list[str]]:
    """A total's parts: how many count, and the largest with their numbers.

    >>> per_dimension("kl", [0.001, 2.5, 0.5])
    ('kl per latent dimension: 2 of 3 above 0.01', ['#1 2.500', '#2 0.5000'])
    """
    active = sorted((i for i, part in enumerate(components) if part > ACTIVE_NATS), key=lambda i: -components[i])
    parts = [f"#{i} {significant(components[i])}" for i in active[:largest]]
    if len(active) > largest:
        parts.append(f"and {len(active) - largest} more (--json has all)")
    return f"{metric} per latent dimension: {len(active)} of {len(components)} above {ACTIVE_NATS:g}", parts

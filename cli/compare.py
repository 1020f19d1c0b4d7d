"""`vaeval compare`: two checkpoints on the same noise, with how sure their difference is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli import rendering
from cli.boards import score_warnings
from cli.number_formats import count, p_value, significant, with_error
from cli.options import CommonFingerprint, Json

if TYPE_CHECKING:
    from cli.pairing import Pair
    from scheduler.store.base import EvaluationRecord
    from vaeval_core.evaluation_result import MetricValue
    from vaeval_core.metrics.paired_difference import PairedDifference

COMPARED = ("fid", "rfid", "fid_fitted", "fid_interpolations", "sfid")
"""Metrics of which it is kept what each image does to them."""

WHERE_PRESENT = frozenset({"fid_fitted", "fid_interpolations", "sfid"})
"""Those of which not a word is lost where the protocol does not have them."""

WITHOUT_NOISE = frozenset({"rfid"})
"""Reconstructions are decoded posterior means: another seed gives the same ones again, and so tells nothing new."""

BETWEEN_IMAGES = frozenset({"fid_interpolations"})
"""Another seed takes other paths between the same real images."""

LEVEL = 0.05


@dataclass(frozen=True)
class Comparison:
    """One metric of both checkpoints.

    Attributes:
        metric: Its name.
        first: Mean over seeds of the first checkpoint's values; None without a number.
        second: The same of the second.
        pair: Their paired difference, or None with the reason.
        reason: Why there is no difference, or no error of it.
    """

    metric: str
    first: float | None
    second: float | None
    pair: PairedDifference | None
    reason: str | None

    @property
    def better(self) -> Literal["first", "second"] | None:
        """Which one is better beyond chance, if any; lower is better in all that is compared."""
        if self.pair is None or self.pair.p_value is None or self.pair.p_value > LEVEL or not self.pair.difference:
            return None
        return "first" if self.pair.difference < 0 else "second"


def compare(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="ID of an evaluation, or name of a checkpoint.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="What to compare it with, likewise.")],
    fingerprint: CommonFingerprint = None,
    as_json: Json = False,
) -> None:
    """Tell a better checkpoint from a lucky one.

    Both decoded the same noise, so their difference is known better than either number. Seeds that both were evaluated
    under count together.

    \b
    Examples:
      vaeval compare 12 17
      vaeval compare beta4/step-1000 beta4/step-2000 --json
    """
    from cli.influences import with_influences
    from cli.pairing import find_pairs
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    with open_application(Settings.from_environment()) as application:
        pairs = find_pairs(application.reads, first, second, fingerprint=fingerprint)
        values = [tuple(with_influences(record, application.artifacts) for record in pair) for pair in pairs]
        present = {metric for pair in values for of_one in pair for metric in of_one}
        comparisons = [
            compared(metric, pairs, values) for metric in COMPARED if metric in present or metric not in WHERE_PRESENT
        ]
    if as_json:
        rendering.document("compare", _document(pairs, comparisons))
    else:
        _print(pairs, comparisons)


def compared(metric: str, pairs: Sequence[Pair], values: Sequence[Sequence[Mapping[str, MetricValue]]]) -> Comparison:
    """One metric over all seeds.

    Args:
        metric: Its name.
        pairs: One pair of evaluations per seed.
        values: Of each pair, of each of the two: metric → value.
    """
    from vaeval_core.metrics.paired_difference import mean_over_seeds

    if metric in WITHOUT_NOISE:
        pairs, values = pairs[:1], values[:1]
    found = []
    for pair, given in zip(pairs, values, strict=True):
        one, other = (of_metric.get(metric) for of_metric in given)
        if one is None or other is None:
            return Comparison(metric, None, None, None, "The protocol does not have it.")
        for record, value in zip(pair, (one, other), strict=True):
            if value.value is None or value.influence is None:
                reason = value.reason or (
                    "It is not kept what each image does to it: it is from before that was stored, the file is gone, or it"
                    " rests on fewer than three images."
                )
                reason = f"{record.checkpoint_name} (evaluation {record.evaluation_id}): {reason}"
                return Comparison(metric, one.value, other.value, None, reason)
        found.append((one, other))
    together = mean_over_seeds(found)
    first, second = (sum(value.value or 0.0 for value in side) / len(side) for side in zip(*found, strict=True))
    return Comparison(metric, first, second, together, together.reason)


def _document(pairs: list[Pair], comparisons: list[Comparison]) -> dict[str, Any]:
    return {
        "first": pairs[0][0].checkpoint_name,
        "second": pairs[0][1].checkpoint_name,
        "pairs": [
            {
                "first": one.evaluation_id,
                "second": other.evaluation_id,
                "seed": one.protocol.seed,
                "fingerprint": one.fingerprint,
            }
            for one, other in pairs
        ],
        "metrics": [
            {
                "metric": each.metric,
                "first": each.first,
                "second": each.second,
                "difference": each.pair.difference if each.pair else None,
                "std_error": each.pair.std_error if each.pair else None,
                "interval": each.pair.interval if each.pair else None,
                "p_value": each.pair.p_value if each.pair else None,
                "num_images": each.pair.num_images if each.pair else None,
                "num_seeds": each.pair.num_seeds if each.pair else None,
                "better": each.better,
                "reason": each.reason,
            }
            for each in comparisons
        ],
    }


def _print(pairs: list[Pair], comparisons: list[Comparison]) -> None:
    one, other = pairs[0]
    seeds = ", ".join(str(pair[0].protocol.seed) for pair in pairs)
    rendering.heading(
        [
            f"{one.checkpoint_name} against {other.checkpoint_name}",
            one.protocol_name,
            one.dataset_name,
            one.protocol.extractor.name,
            f"{'seed' if len(pairs) == 1 else 'seeds'} {seeds}",
        ]
    )
    columns = [
        rendering.Column(title="METRIC"),
        rendering.Column(title="FIRST", align="right"),
        rendering.Column(title="SECOND", align="right"),
        rendering.Column(title="FIRST − SECOND", align="right"),
        rendering.Column(title="95 % INTERVAL", align="right"),
        rendering.Column(title="P", align="right", droppable=1),
    ]
    rendering.table(columns, [_cells(each) for each in comparisons])
    rendering.data("")
    for each in comparisons:
        sentence = _sentence(
            each,
            one.checkpoint_name,
            other.checkpoint_name,
            on_common_noise=not (one.is_noise_floor or other.is_noise_floor),
        )
        rendering.prose(f"{each.metric}: {sentence}")
    for sentence in score_warnings({record.evaluation_id: _warnings(record) for pair in pairs for record in pair}):
        rendering.note(sentence)


def _warnings(record: EvaluationRecord) -> dict[str, list[str]]:
    """Metric → what is to be known of its value; that its own error is unreliable says nothing about the difference's."""
    from vaeval_core.metrics.effective_images import why_withheld

    return {
        score.metric: [sentence for sentence in score.value.warnings if why_withheld([sentence]) is None]
        for score in record.scores
        if score.metric in COMPARED
    }


def _cells(each: Comparison) -> list[str]:
    pair = each.pair
    return [
        each.metric,
        *("–" if number is None else significant(number) for number in (each.first, each.second)),
        "–" if pair is None else with_error(pair.difference, pair.std_error, is_unreliable=pair.std_error is None),
        "–" if pair is None or pair.interval is None else " to ".join(significant(end, 3) for end in pair.interval),
        "–" if pair is None or pair.p_value is None else p_value(pair.p_value),
    ]


def _sentence(each: Comparison, first: str, second: str, *, on_common_noise: bool = True) -> str:
    """The finding in plain words; real images of a noise floor have no noise in common with samples."""
    pair = each.pair
    if pair is None or pair.p_value is None:
        return f"cannot be told. {each.reason}"
    rests = f"on {count(pair.num_images, 'image')} of common noise"
    if each.metric in BETWEEN_IMAGES:
        rests = f"on {count(pair.num_images, 'path')} between common images"
    elif not on_common_noise:
        rests = f"on {count(pair.num_images, 'image')} of each"
    elif each.metric in WITHOUT_NOISE:
        rests = f"on {count(pair.num_images, 'common image')}"
    if pair.num_seeds > 1:
        rests += f" under {pair.num_seeds} seeds"
    by = significant(abs(pair.difference), 3)
    if each.better is None:
        return f"neither is better for certain: a difference of {by} may be chance, {rests}."
    better = first if each.better == "first" else second
    worse = second if each.better == "first" else first
    return f"{better} is better than {worse} by {by}, which is more than chance, {rests}."

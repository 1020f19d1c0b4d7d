"""Where the Fréchet distance of samples comes from: four distances side by side, with their gaps in plain words.

    rfid                          decoded latents of real images             what the decoder loses
    fid_fitted - rfid             latents drawn from a density fitted to     … not knowing which latents
    fid - fid_fitted              … those, instead of from the prior         … a prior that is not where the latents are
    fid_interpolations - rfid     points between latents of real images      … a latent space with holes

A distance of few images is too large, by what is called its bias. Gaps are of distances without it where all know theirs, or of
distances from equally many images; others would compare numbers of images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli import rendering
from cli.number_formats import significant, with_error

if TYPE_CHECKING:
    from vaeval_core.evaluation_result import MetricValue, Score

_LINES = (
    ("reconstructions", "rfid", None, "what the decoder loses of encoded images"),
    ("fitted", "fid_fitted", "rfid", "not knowing which latents: drawn from a mixture fitted to encoded images"),
    ("samples", "fid", "fid_fitted", "prior mismatch: the prior draws latents that no image has"),
    ("interpolations", "fid_interpolations", "rfid", "geometry: latents between two encoded images"),
)
"""Stream, its distance, the distance that it is compared with, and what makes the gap."""

FEWEST = 3
"""Distances from which on they are set side by side: reconstructions and samples alone stand in the table above."""


@dataclass(frozen=True)
class Part:
    """One distance and what it adds to another.

    Attributes:
        stream: Of which images.
        metric: The distance.
        value: Its number.
        against: The distance below it, or None for the first.
        gap: How far above that it is, without the bias of finite numbers; None if that cannot be told.
        std_error: Of the gap, as if the two were independent; None where that of either is unreliable.
        meaning: What makes the gap.
    """

    stream: str
    metric: str
    value: MetricValue
    against: str | None
    gap: float | None
    std_error: float | None
    meaning: str

    def as_document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "stream": self.stream,
            "metric": self.metric,
            "value": self.value.value,
            "against": self.against,
            "gap": self.gap,
            "std_error": self.std_error,
        }


def attribution(scores: Sequence[Score]) -> list[Part]:
    """The parts that these scores have; none where there are fewer than three of the four distances."""
    values = {score.metric: score.value for score in scores if score.value.value is not None}
    parts = []
    for stream, metric, against, meaning in _LINES:
        if metric not in values or (against is None and metric != "rfid"):
            continue
        gap, error = _gap(values[metric], values.get(against)) if against is not None else (None, None)
        parts.append(Part(stream, metric, values[metric], against, gap, error, meaning))
    return parts if len(parts) >= FEWEST else []


def lines(parts: Sequence[Part]) -> list[tuple[str, ...]]:
    """Cells for a table: stream, name and number of the distance, gap and what makes it."""
    from vaeval_core.metrics.effective_images import why_withheld

    return [
        (
            part.stream,
            part.metric,
            with_error(
                part.value.value or 0.0,
                part.value.std_error,
                is_unreliable=why_withheld(part.value.warnings) is not None,
            ),
            "" if part.against is None else "–" if part.gap is None else f"{part.gap:+.3g}" + _error(part.std_error),
            part.meaning,
        )
        for part in parts
    ]


def print_attribution(scores: Sequence[Score]) -> None:
    """The parts as a table, and what they say; nothing if there are none."""
    parts = attribution(scores)
    if not parts:
        return
    rendering.data("")
    rendering.data("where the distance of samples comes from")
    columns = [
        rendering.Column(title="IMAGES"),
        rendering.Column(title="DISTANCE"),
        rendering.Column(title="VALUE", align="right"),
        rendering.Column(title="GAP", align="right"),
        rendering.Column(title="WHAT MAKES IT", droppable=1),
    ]
    rendering.table(columns, lines(parts))
    for sentence in sentences(parts):
        rendering.note(sentence)


def sentences(parts: Sequence[Part]) -> list[str]:
    """The finding in plain words, and why a gap is missing."""
    found = {part.metric: part for part in parts}
    told = []
    gaps = {name: found[name].gap for name in ("fid_fitted", "fid", "fid_interpolations") if name in found}
    decoder = found["rfid"].value.value if "rfid" in found else None
    latents, prior, geometry = (gaps.get(name) for name in ("fid_fitted", "fid", "fid_interpolations"))
    if decoder is not None and latents is not None and prior is not None:
        told.append(
            f"Of the distance of samples, {significant(decoder, 3)} is the decoder's, {_told(found['fid_fitted'])} comes of"
            f" drawing latents instead of encoding them, and {_told(found['fid'])} of the prior:"
            f" {_advice(decoder, latents, prior)}"
        )
    if geometry is not None and decoder is not None and geometry > max(decoder, 0.0):
        told.append(
            "Interpolations are more than twice as far from real images as reconstructions: between encoded images there are"
            " latents that the decoder does not know."
        )
    if any(part.against is not None and part.gap is None for part in parts):
        told.append(
            "A gap is missing where the two distances rest on different numbers of images and one does not know its bias:"
            " evaluate equally many, or two images per feature."
        )
    return told


def _gap(upper: MetricValue, lower: MetricValue | None) -> tuple[float | None, float | None]:
    if lower is None or upper.value is None or lower.value is None:
        return None, None
    if upper.bias is not None and lower.bias is not None:
        gap = (upper.value - upper.bias) - (lower.value - lower.bias)
    elif upper.num_images == lower.num_images:
        gap = upper.value - lower.value
    else:
        return None, None
    if upper.std_error is None or lower.std_error is None:
        return gap, None
    return gap, math.hypot(upper.std_error, lower.std_error)


def _advice(decoder: float, latents: float, prior: float) -> str:
    largest = max(decoder, latents, prior)
    if largest == decoder:
        return "a better decoder would help most."
    if largest == latents:
        return "a better density of latents, or smoother ones, would help most."
    return "draws from a fitted density instead of the prior, or a prior that fits, would help most."


def _told(part: Part) -> str:
    """The gap, or `nothing` where it is below 0 or within two standard errors of it; where no error is known, as it is."""
    gap = part.gap or 0.0
    if part.std_error is None and gap > 0:
        return f"{gap:+.3g}{_error(None)}"
    return f"{gap:+.3g}" if gap > 2 * (part.std_error or 0.0) else "nothing"


def _error(std_error: float | None) -> str:
    return " ± unreliable" if std_error is None else f" ± {std_error:.2g}"

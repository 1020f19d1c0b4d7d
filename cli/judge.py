"""`vaeval judge`: which of two people prefer, who do not know which is which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli import rendering
from cli.number_formats import count, p_value, significant
from cli.options import CommonFingerprint, Json
from vaeval_core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scheduler.composition import Application
    from scheduler.store.base import EvaluationRecord

REAL = "real"
"""Stands for the real images in the place of a second checkpoint."""

Kind = Literal["samples", "reconstructions"]

_QUESTIONS: dict[str, str] = {
    "samples": "Which one looks better, left or right?",
    "reconstructions": "Which one is more like the image between them, left or right?",
    REAL: "Which one is real, left or right?",
}


@dataclass(frozen=True, eq=False)
class Contest:
    """Pictures of two, and what is asked about them.

    Attributes:
        names: What the two are called.
        known_by: What the two are known by, whatever they are called.
        first: Pictures (n, h, w, c) uint8 of the first.
        second: Of the second, in the same order.
        real: The real images that both show, or None.
        question: What is asked.
    """

    names: tuple[str, str]
    known_by: tuple[str, str]
    first: NDArray[Any]
    second: NDArray[Any]
    real: NDArray[Any] | None
    question: str


def judge(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="ID of an evaluation, or name of a checkpoint.")],
    second: Annotated[
        str, typer.Argument(metavar="SECOND", help="What to judge it against, likewise; or real, for real images.")
    ],
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="FILE.png", help="Write the pairs here, left and right in random order."),
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option("--answers", metavar="LETTERS", help="Count answers: L, R or - (neither) for each pair in turn."),
    ] = None,
    of: Annotated[str, typer.Option("--of", metavar="KIND", help="samples or reconstructions.")] = "samples",
    fingerprint: CommonFingerprint = None,
    as_json: Json = False,
) -> None:
    """Let people say which of two is better, blind.

    The first call writes numbered pairs of pictures from the same noise; which side is which nobody can see. Whoever judges
    notes a letter for each pair, and the second call counts them.

    \b
    Examples:
      vaeval judge 12 17 --sheet pairs.png
      vaeval judge 12 17 --answers LRRLRL-RRLRRLRRR
      vaeval judge 12 real --sheet turing.png
    """
    from cli.pictures import require_png
    from scheduler.composition import open_application
    from scheduler.settings import Settings
    from vaeval_core.metrics.preference import preference, sides

    _require_usable(first, second, sheet, answers, of)
    if sheet is not None:
        require_png(sheet, "--sheet")
    with open_application(Settings.from_environment()) as application:
        contest = _contest(
            application, first, second, "reconstructions" if of == "reconstructions" else "samples", fingerprint
        )
    first_is_left = sides(*contest.known_by, len(contest.first))
    if sheet is not None:
        _write(contest, first_is_left, sheet)
        if as_json:
            rendering.document("judge", {"sheet": sheet, "pairs": len(contest.first), "question": contest.question})
        else:
            rendering.data(str(sheet))
            options = ("" if of == "samples" else f" --of {of}") + (
                "" if fingerprint is None else f" --fingerprint {fingerprint}"
            )
            rendering.note(
                f"{count(len(contest.first), 'pair')}. {contest.question} Note L, R or - for each."
                f" Next: vaeval judge {first} {second}{options} --answers {'L' * len(contest.first)}"
            )
        return
    found = preference(answers or "", first_is_left)
    if as_json:
        facts = {name: getattr(found, name) for name in ("num_pairs", "share", "interval", "p_value")}
        chosen = {"first": found.first, "second": found.second}
        rendering.document("judge", {"names": contest.names, "question": contest.question, "chosen": chosen, **facts})
        return
    undecided = found.num_pairs - found.first - found.second
    rendering.data(f"{contest.names[0]}  {found.first}")
    rendering.data(f"{contest.names[1]}  {found.second}")
    if undecided:
        rendering.data(f"neither  {undecided}")
    if found.share is not None:
        low, high = (significant(end, 2) for end in found.interval)
        decided, chance = count(found.first + found.second, "decided pair"), p_value(found.p_value)
        rendering.data(
            f"{contest.names[0]} was chosen in {found.share:.0%} of {decided} (95 % interval {low} to {high}), "
            f"p {chance if chance.startswith('<') else f'= {chance}'}"
        )


def _require_usable(first: str, second: str, sheet: Path | None, answers: str | None, of: str) -> None:
    if of not in {"samples", "reconstructions"} or (second == REAL and of != "samples"):
        raise InvalidInput(
            "These pictures cannot be judged.",
            received=f"--of {of}" + (f" against {REAL} images" if second == REAL else ""),
            expected="samples, or between two checkpoints reconstructions",
            next_step=f"vaeval judge {first} {second} --of samples --sheet pairs.png",
        )
    if (sheet is None) == (answers is None):
        raise InvalidInput(
            "Either the pairs are drawn or their answers are counted.",
            received="--sheet and --answers" if sheet is not None else "neither --sheet nor --answers",
            expected="one of them; first the sheet",
            next_step=f"vaeval judge {first} {second} --sheet pairs.png",
        )


def _contest(application: Application, first: str, second: str, kind: Kind, fingerprint: str | None) -> Contest:
    """The pictures of two; over several seeds one after the other, where another seed shows others."""
    from cli.pairing import find_one, find_pairs

    if second == REAL:
        record = find_one(application.reads, first, fingerprint=fingerprint)
        kept = _pictures(application, record)
        shown = _equally_many(kept, "samples", kept, "originals")
        known_by = (record.checkpoint_digest, REAL)
        return Contest((record.checkpoint_name, "real images"), known_by, *shown, real=None, question=_QUESTIONS[REAL])
    found = find_pairs(application.reads, first, second, fingerprint=fingerprint)
    of_first_seed = [_pictures(application, record) for record in found[0]]
    real = None
    if kind == "reconstructions":
        shown = _equally_many(of_first_seed[0], kind, of_first_seed[1], kind)
        real = of_first_seed[0].get("originals", shown[0])[: len(shown[0])]
    else:
        import numpy as np

        others = [[_pictures(application, record) for record in pair] for pair in found[1:]]
        each = [_equally_many(one, kind, other, kind) for one, other in (of_first_seed, *others)]
        shown = (np.concatenate([one for one, _ in each]), np.concatenate([other for _, other in each]))
    return Contest(
        (found[0][0].checkpoint_name, found[0][1].checkpoint_name),
        (found[0][0].checkpoint_digest, found[0][1].checkpoint_digest),
        *shown,
        real=real,
        question=_QUESTIONS[kind],
    )


def _pictures(application: Application, record: EvaluationRecord) -> Mapping[str, NDArray[Any]]:
    return {} if record.pictures is None else application.artifacts.read_arrays(record.pictures)


def _equally_many(
    one: Mapping[str, NDArray[Any]], kind: str, other: Mapping[str, NDArray[Any]], other_kind: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The first pictures of either, as many as both have."""
    pictures = one.get(kind), other.get(other_kind)
    number = min(0 if of_one is None else len(of_one) for of_one in pictures)
    if pictures[0] is None or pictures[1] is None or not number:
        raise NotFound(
            "There are no pictures to judge.",
            received=f"no {kind if pictures[0] is None else other_kind}",
            expected="evaluations of a protocol with such images",
            next_step="vaeval show ID --pictures pictures/ draws what there is",
        )
    return pictures[0][:number], pictures[1][:number]


def _write(contest: Contest, first_is_left: NDArray[Any], path: Path) -> None:
    from cli.pictures import save
    from vaeval_core.reports.blind_pairs import blind_sheet

    figure = blind_sheet(contest.first, contest.second, first_is_left, question=contest.question, real=contest.real)
    save(figure, path)

"""Which evaluations two words on the command line mean, and which of them belong together.

Two checkpoints compare under one protocol, so a pair has one fingerprint. Protocols that differ in nothing but the seed give
several pairs of the same two checkpoints, which together tell more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scheduler.lifecycle import EvaluationState
from vaeval_core.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from scheduler.store.base import EvaluationRecord, ReadStore

Pair = tuple["EvaluationRecord", "EvaluationRecord"]


def find_pairs(reads: ReadStore, first: str, second: str, *, fingerprint: str | None = None) -> list[Pair]:
    """The evaluations to compare, with scores: one pair per seed, in the order of seeds.

    Args:
        reads: Where evaluations are.
        first: Number of an evaluation, or name of a checkpoint.
        second: The same.
        fingerprint: Beginning of the only fingerprint to look at.

    Raises:
        NotFound: Nothing of this number or name is finished.
        InvalidInput: They have no protocol in common, or several that differ in more than the seed, or are one.
    """
    found = [_candidates(reads, word, fingerprint) for word in (first, second)]
    by_fingerprint: list[dict[str, EvaluationRecord]] = []
    for word, records in zip((first, second), found, strict=True):
        by_fingerprint.append({record.fingerprint: record for record in records})
        if len(by_fingerprint[-1]) < len(records):
            raise InvalidInput(
                "Several checkpoints have this name.",
                received=f"{word}, as evaluations {_numbers(records)}",
                expected="the number of one of them",
                next_step=f"vaeval compare {records[0].evaluation_id} …",
            )
    common = [key for key in by_fingerprint[0] if key in by_fingerprint[1]]
    if not common:
        raise _no_common_protocol((first, second), found)
    pairs = [(by_fingerprint[0][key], by_fingerprint[1][key]) for key in common]
    kinds = {_without_seed(pair[0]) for pair in pairs}
    if len(kinds) > 1:
        raise InvalidInput(
            "The two were evaluated under several protocols that differ in more than the seed.",
            received=_protocols([pair[0] for pair in pairs]) + _told_apart([pair[0] for pair in pairs]),
            expected="one of them",
            next_step=f"vaeval compare {first} {second} --fingerprint {common[0][:12]}",
        )
    if any(one.evaluation_id == other.evaluation_id for one, other in pairs):
        raise InvalidInput(
            "An evaluation does not compare with itself.",
            received=f"{first} and {second}",
            expected="two checkpoints",
            next_step="name another one; vaeval leaderboard shows ids and names",
        )
    pairs.sort(key=lambda pair: pair[0].protocol.seed)
    return [(reads.evaluation(one.evaluation_id), reads.evaluation(other.evaluation_id)) for one, other in pairs]


def find_one(reads: ReadStore, word: str, *, fingerprint: str | None = None) -> EvaluationRecord:
    """The finished evaluation that a number or name means.

    Raises:
        NotFound: Nothing of this number or name is finished.
        InvalidInput: Several are meant.
    """
    records = _candidates(reads, word, fingerprint)
    if len(records) > 1:
        raise InvalidInput(
            "Several evaluations are of this name.",
            received=f"{word}, as evaluations {_numbers(records)}",
            expected="the number of one of them",
            next_step="vaeval leaderboard",
        )
    return reads.evaluation(records[0].evaluation_id)


def _candidates(reads: ReadStore, word: str, fingerprint: str | None) -> list[EvaluationRecord]:
    if word.isdigit():
        record = reads.evaluation(int(word))
        if record.state is not EvaluationState.FINISHED:
            raise InvalidInput(
                "This evaluation has no scores to compare.",
                received=f"{word}, which is {record.state}",
                expected="a finished evaluation",
                next_step=f"vaeval show {word}",
            )
        candidates = [record]
    else:
        finished = reads.evaluations(states=[EvaluationState.FINISHED])
        candidates = [record for record in finished if record.checkpoint_name == word]
    wanted = [record for record in candidates if record.fingerprint.startswith((fingerprint or "").lower())]
    if not wanted:
        raise NotFound(
            "No finished evaluation has this number or checkpoint"
            + (" under this fingerprint." if fingerprint and candidates else "."),
            received=word if not fingerprint else f"{word}, --fingerprint {fingerprint}",
            expected="an ID or a CHECKPOINT of `vaeval leaderboard`",
            next_step="vaeval leaderboard",
        )
    return wanted


def _no_common_protocol(words: Sequence[str], found: Sequence[Sequence[EvaluationRecord]]) -> InvalidInput:
    """The error that names what keeps the most similar evaluations of the two apart."""
    pairs = [(one, other) for one in found[0] for other in found[1]]
    closest = min(pairs, key=lambda pair: len(_differences(pair)))
    differing = set(_differences(closest))
    if DATA in differing and differing <= {
        DATA,
        "reference",
        "reconstructions",
    }:  # these follow from how many there are
        return InvalidInput(
            "The two were evaluated on different images, so their numbers do not compare.",
            received=" and ".join(
                f"{word} on {record.dataset_name}" for word, record in zip(words, closest, strict=True)
            ),
            expected="evaluations on the same images",
            next_step="submit both with the same --data",
        )
    return InvalidInput(
        "The two were not evaluated under one protocol, so their numbers do not compare.",
        received=" and ".join(f"{word} under {_protocols(records)}" for word, records in zip(words, found, strict=True))
        + _told_apart(closest),
        expected="a fingerprint that both have",
        next_step="submit both under one protocol",
    )


DATA = "data"


def _told_apart(records: Sequence[EvaluationRecord]) -> str:
    """In what evaluations differ, as the end of a sentence: names of protocols may be equal."""
    found = _differences(records)
    words = [f"{name} ({', '.join(values)})" if values else name for name, values in found.items()]
    return f"; they differ in {', '.join(words)}" if words else ""


def _differences(records: Sequence[EvaluationRecord]) -> dict[str, list[str]]:
    """What their protocols do not have in common → the values, as far as people can read them."""
    found: dict[str, list[str]] = {}
    specs = [_readable(record) for record in records]
    for name, (first, _) in specs[0].items():
        if any(spec[name][0] != first for spec in specs):
            found[name] = list(dict.fromkeys(shown for _, shown in (spec[name] for spec in specs) if shown))
    return found


def _readable(record: EvaluationRecord) -> dict[str, tuple[object, str]]:
    """Part of a protocol → what it is, and what to call it; nothing where it is too long for a sentence."""
    protocol = record.protocol
    told_here = {"dataset_digest", "extractor", "metrics", "imported_reference"}
    others = protocol.model_dump(mode="json", exclude=told_here)
    return {
        DATA: (protocol.dataset_digest, record.dataset_name),
        "imported statistics": (protocol.imported_reference, (protocol.imported_reference or "none")[:12]),
        "extractor": (protocol.extractor, protocol.extractor.name),
        "metrics": (protocol.metrics, ""),
        **{name.removeprefix("num_"): (value, str(value)) for name, value in others.items()},
    }


def _without_seed(record: EvaluationRecord) -> str:
    return record.protocol.model_copy(update={"seed": 0}).fingerprint


def _numbers(records: Sequence[EvaluationRecord]) -> str:
    return ", ".join(str(record.evaluation_id) for record in records)


def _protocols(records: Sequence[EvaluationRecord]) -> str:
    return ", ".join(f"{record.protocol_name} {record.fingerprint[:12]}" for record in records)

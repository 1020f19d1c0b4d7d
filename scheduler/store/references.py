"""The port of those who bring references in, or list and write them: what somebody else computed, and what was computed here.

A name stands for the same numbers for ever; what they are is their digest, and several names may mean the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from scheduler.store.base import StoredFile
from vaeval_core.errors import InvalidInput
from vaeval_core.protocol import ExtractorSpec
from vaeval_core.protocol import Protocol as EvaluationProtocol


@dataclass(frozen=True, kw_only=True)
class ImportedReferenceEntry:
    """Statistics that somebody else computed, as they are registered.

    Attributes:
        name: What people call them; unique.
        digest: Of the numbers.
        extractor: What they are features of.
        num_images: Images behind them, or None.
        has_spatial: Whether they have those of spatial features.
        source: Where they were read.
        file: Where they are kept.
    """

    name: str
    digest: str
    extractor: ExtractorSpec
    num_images: int | None
    has_spatial: bool
    source: str
    file: StoredFile


@dataclass(frozen=True, kw_only=True)
class ImportedReferenceRecord(ImportedReferenceEntry):
    """The same with the time at which they were imported."""

    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class ReferenceRecord:
    """A computed reference that is finished."""

    reference_id: int
    dataset_name: str
    protocol: EvaluationProtocol
    file: StoredFile
    finished_at: datetime


def require_same(known: ImportedReferenceRecord, digest: str, extractor: ExtractorSpec) -> None:
    """Raise InvalidInput unless a name that is taken stands for these numbers of this extractor."""
    if (known.digest, known.extractor) == (digest, extractor):
        return
    differing = "other numbers" if known.digest != digest else "the same numbers as of another extractor"
    raise InvalidInput(
        "This name is taken: what evaluations were scored against must not change under it.",
        received=f"{known.name}, which was imported from {known.source} with {differing}",
        expected="a name that is free",
        next_step=f"--name {known.name}-2; vaeval reference list shows which are taken",
    )


class ReferenceStore(Protocol):
    """Who brings references in, and who asks for them."""

    def add(self, entry: ImportedReferenceEntry) -> bool:
        """Register statistics under a name. False: they are there already, under this name.

        Raises:
            InvalidInput: The name is that of others.
        """

    def imported(self, name: str) -> ImportedReferenceRecord:
        """Statistics by their name.

        Raises:
            NotFound: None has this name.
        """

    def all_imported(self) -> tuple[ImportedReferenceRecord, ...]:
        """All that were imported, by name."""

    def computed(self) -> tuple[ReferenceRecord, ...]:
        """Finished references that were computed here, by number."""

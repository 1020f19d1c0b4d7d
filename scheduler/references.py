"""Bringing statistics of real images in, and out again for other programs.

    .npz ─► ImportedReference ─► store_reference ─► a file by its digest, and a row by its name
    a name, or a number ─► find_reference ─► ImportedReference ─► .npz

Which extractor the statistics are of is not in the numbers: it has to be said, is kept with them, and an evaluation of any
other is refused. Two extractors may well have features of one length.
"""

from __future__ import annotations

import re
from contextlib import suppress

from scheduler.store.artifact_keys import imported_key
from scheduler.store.artifacts import ArtifactStore
from scheduler.store.references import ImportedReferenceEntry, ReferenceStore, require_same
from vaeval_core.errors import InvalidInput, NotFound
from vaeval_core.metrics.imported_reference import ImportedReference
from vaeval_core.protocol import ExtractorSpec

LONGEST_NAME = 64

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_name(word: str) -> bool:
    """True for what may stand on a command line for a reference: a number there is a number of images."""
    return len(word) <= LONGEST_NAME and not word.isdecimal() and _NAME.fullmatch(word) is not None


def require_name(name: str) -> None:
    """Refuse what is no name.

    Raises:
        InvalidInput: It is no name.
    """
    if not is_name(name):
        raise InvalidInput(
            "This is no name for a reference.",
            received=repr(name),
            expected=f"letters, digits, dots, - and _, at most {LONGEST_NAME} of them, and not digits alone",
            next_step="--name cifar10-train",
        )


def store_reference(
    reference: ImportedReference,
    *,
    name: str,
    extractor: ExtractorSpec,
    source: str,
    references: ReferenceStore,
    artifacts: ArtifactStore,
) -> tuple[ImportedReferenceEntry, bool]:
    """Keep statistics under a name.

    Args:
        reference: What was read.
        name: For people, unique.
        extractor: What the statistics are features of.
        source: Where they were read.
        references: Where the name goes.
        artifacts: Where the numbers go.

    Returns:
        The entry, and whether it is new.

    Raises:
        InvalidInput: The name is none or taken, or the features have another length than the extractor's.
        StorageFailed: The file cannot be written; nothing is registered.
    """
    require_name(name)
    if reference.dimension != extractor.dimension:
        raise InvalidInput(
            "The statistics are those of another extractor.",
            received=f"{reference.dimension} features in {source}",
            expected=f"{extractor.dimension}, as {extractor.name} has",
            next_step="--extractor NAME with the network that they were computed with",
        )
    with suppress(
        NotFound
    ):  # told before the file is written: another name may stand for the same numbers, and its file
        require_same(references.imported(name), reference.digest, extractor)
    # Written again where it is there already: an old file, needed by nobody until now, may be about to be removed.
    file = artifacts.write_arrays(imported_key(reference.digest), reference.to_arrays())
    entry = ImportedReferenceEntry(
        name=name,
        digest=reference.digest,
        extractor=extractor,
        num_images=reference.count,
        has_spatial=reference.spatial is not None,
        source=source,
        file=file,
    )
    is_new = references.add(entry)
    # Once more: the one that was there may have been removed in between.
    if not artifacts.exists(file.key):
        artifacts.write_arrays(file.key, reference.to_arrays())
    return entry, is_new


def find_reference(word: str, *, references: ReferenceStore, artifacts: ArtifactStore) -> ImportedReference:
    """A reference by its name or number, to be written for others.

    Args:
        word: Name of an imported one, or number of a computed one.
        references: Where it is known.
        artifacts: Where it is kept.

    Raises:
        NotFound: There is none.
        FileLost: Its file is gone or altered.
    """
    if not word.isdecimal():
        imported = references.imported(word)
        return ImportedReference.from_arrays(artifacts.read_arrays(imported.file), imported.extractor)
    computed = {found.reference_id: found for found in references.computed()}
    chosen = computed.get(int(word))
    if chosen is None:
        raise NotFound(
            "There is no finished reference with this number.",
            received=word,
            expected=f"one of {', '.join(map(str, computed))}"
            if computed
            else "one that was computed; there is none yet",
            next_step="vaeval reference list",
        )
    return ImportedReference.from_arrays(artifacts.read_arrays(chosen.file), chosen.protocol.extractor)

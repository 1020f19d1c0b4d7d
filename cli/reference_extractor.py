"""Imported statistics are features of one extractor, and an evaluation that is compared with them has to have the same.

Whoever names no extractor gets that of the reference; whoever names another is told so before anything is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vaeval_core.errors import InvalidInput

if TYPE_CHECKING:
    from scheduler.store.references import ImportedReferenceEntry
    from vaeval_core.presets import ProtocolRequest
    from vaeval_core.protocol import ExtractorSpec


def with_extractor_of(request: ProtocolRequest, imported: ImportedReferenceEntry) -> ProtocolRequest:
    """The protocol with the extractor of its reference, unless somebody named one."""
    if "extractor" in request.model_fields_set:
        return request
    spec = imported.extractor
    named = {"extractor_resize": spec.resize, "extractor_precision": spec.precision}
    left = {name: value for name, value in named.items() if name not in request.model_fields_set}
    return request.model_copy(update={"extractor": spec.name, **left})


def require_same_extractor(extractor: ExtractorSpec, imported: ImportedReferenceEntry) -> None:
    """Refuse to compare features of one network with those of another.

    Raises:
        InvalidInput: The extractors differ.
    """
    ours, theirs = extractor.model_dump(), imported.extractor.model_dump()
    differing = [name for name in ours if ours[name] != theirs[name]]
    if differing:
        raise InvalidInput(
            f"The reference {imported.name} is of another extractor than the protocol names.",
            received=", ".join(f"{name}={ours[name]}" for name in differing),
            expected=", ".join(f"{name}={theirs[name]}" for name in differing),
            next_step=f"leave --extractor and --weights out, or give those of {imported.name}: vaeval reference list",
        )

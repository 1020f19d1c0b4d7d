"""What a survey hands to the workers beside a URI: a JSON text that says what each image must be.

Workers open a set from it without reading anything, and check each image against it when they read that image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vaeval_core.errors import ImagesChanged, StorageFailed


def write_manifest(kind: str, content: Mapping[str, Any]) -> bytes:
    """The text of a manifest; `kind` names its layout and version."""
    return json.dumps({"format": kind, **content}, separators=(",", ":")).encode("ascii")


def read_manifest(manifest: bytes | None, kind: str, uri: str) -> dict[str, Any]:
    """The content of a manifest of this kind.

    Raises:
        StorageFailed: It is missing, damaged, or of another kind.
    """
    try:
        content = json.loads(manifest or b"")
    except ValueError as error:
        raise unusable_manifest(uri, "nothing" if not manifest else "a text that is not JSON") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != kind:
        raise unusable_manifest(uri, f"format {found}", f"format {kind}")
    return dict(content)


def unusable_manifest(uri: str, received: str, expected: str = "the list written at submission") -> StorageFailed:
    """The error for a manifest that does not describe the set it is stored for."""
    return StorageFailed(
        f"The stored list of the images of {uri} cannot be used.",
        received=received,
        expected=expected,
        next_step="submit the evaluation again: the list is then written anew",
    )


def changed_since_submission(received: str, expected: str) -> ImagesChanged:
    """The error for images that are no longer those that were surveyed."""
    return ImagesChanged(
        "An image is not what it was when the evaluation was submitted.",
        received=received,
        expected=expected,
        next_step="put it back, or submit again to evaluate on the images as they are now",
    )

"""Reads a `.keras` file without Keras: a zip archive of config.json, metadata.json and model.weights.h5.

Nothing in it is trusted. Names, sizes and the shape of the JSON are checked here, once, before any other module looks at
it; the weights leave the archive only through `extract_weights`.
"""

from __future__ import annotations

import errno
import json
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from vaeval_core.errors import CheckpointRejected, StorageFailed

CONFIG_MEMBER = "config.json"
METADATA_MEMBER = "metadata.json"
WEIGHTS_MEMBER = "model.weights.h5"

_MOST_CONFIG_BYTES = 16 << 20  # the largest published networks need a few MiB
_MOST_MEMBERS = 10_000
_DEEPEST_JSON = 200
# Keras stores members uncompressed; DEFLATE gives at most 1032:1. What expands more than this is a bomb, not a model.
_MOST_EXPANSION = 100
_EXPANSION_FLOOR_BYTES = 64 << 20

SWEEPS_AT_ONCE = 8
"""Architectures that are remembered: checkpoints of one sweep hold the same config, which is read once for all of them."""

_SAVE_AGAIN = "save the model again with model.save('….keras') and copy the whole file"


@dataclass(frozen=True)
class KerasArchive:
    """A checked archive.

    Attributes:
        path: The `.keras` file.
        config: The text of config.json.
    """

    path: Path
    config: bytes

    @property
    def model(self) -> dict[str, Any]:
        """config.json: `class_name`, `module` and `config` of the model. Shared by archives with this text: only read it."""
        return parsed(self.config)


def read_keras_archive(path: Path) -> KerasArchive:
    """Check the archive and read its config.

    Raises:
        CheckpointRejected: No complete zip archive, unsafe or oversized members, or no Keras 3 model inside.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked_members(path, archive)
            text = _read_json(path, archive, members, CONFIG_MEMBER)
            has_metadata = METADATA_MEMBER in members
            metadata = json.loads(_read_json(path, archive, members, METADATA_MEMBER)) if has_metadata else {}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise _broken(path, error) from error
    version = str(metadata.get("keras_version", ""))
    if version.split(".")[0] in {"1", "2"}:
        raise CheckpointRejected(
            "The file was saved by an old Keras, whose networks Keras 3 rebuilds differently.",
            received=f"{path}, keras_version {version}",
            expected="a file saved by Keras 3",
            next_step="load it with that Keras, copy the weights to the same network in Keras 3, save again",
        )
    config = parsed(text)
    if not isinstance(config.get("class_name"), str) or not isinstance(config.get("config"), dict):
        raise CheckpointRejected(
            "The archive describes no model.",
            received=f"{path}: {CONFIG_MEMBER} with keys {sorted(map(str, config))[:8]}",
            expected="class_name and config, as model.save('….keras') writes them",
            next_step=_SAVE_AGAIN,
        )
    if WEIGHTS_MEMBER not in members:
        raise CheckpointRejected(
            "The archive holds no weights.",
            received=f"{path}: {', '.join(sorted(members)[:8])}",
            expected=WEIGHTS_MEMBER,
            next_step=_SAVE_AGAIN,
        )
    return KerasArchive(path=path, config=text)


@lru_cache(maxsize=2 * SWEEPS_AT_ONCE)
def parsed(text: bytes) -> dict[str, Any]:
    """The content of a config.json that was checked, once for all archives that hold the same text."""
    content: dict[str, Any] = json.loads(text)
    return content


def extract_weights(path: Path, destination: Path) -> None:
    """Write the archive's model.weights.h5 to a new file; its checksum is verified on the way.

    Raises:
        CheckpointRejected: The archive is damaged.
        StorageFailed: The disk is full.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _checked_members(path, archive)
            with archive.open(WEIGHTS_MEMBER) as source, destination.open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFailed(
                "There is no space left to unpack a checkpoint.",
                received=f"{destination} ({error.strerror})",
                expected=f"room for the weights of {path}",
                next_step="free space, or set TMPDIR to a larger disk",
            ) from error
        raise _broken(path, error) from error


def _checked_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise _unsafe(path, f"{len(infos)} members", f"at most {_MOST_MEMBERS}")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or parts[0].startswith("/") or ".." in parts or ":" in parts[0]:
            raise _unsafe(path, f"member {name!r}", "names inside the archive's own folder")
        if name in members:
            raise _unsafe(path, f"member {name!r} twice", "each member once")
        if info.flag_bits & 0x1:
            raise _unsafe(path, f"member {name!r} encrypted", "members without password")
        if info.file_size > max(_EXPANSION_FLOOR_BYTES, _MOST_EXPANSION * info.compress_size):
            raise _unsafe(
                path,
                f"member {name!r} of {info.compress_size} bytes that unpacks to {info.file_size}",
                f"at most {_MOST_EXPANSION} times the packed size",
            )
        members[name] = info
    return members


def _read_json(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], name: str) -> bytes:
    if name not in members:
        inside = ", ".join(sorted(members)[:8]) or "nothing"
        raise CheckpointRejected(
            f"The zip archive is no Keras model: it holds no {name}.",
            received=f"{path}: {inside}",
            expected=f"{CONFIG_MEMBER}, {METADATA_MEMBER} and {WEIGHTS_MEMBER}",
            next_step=_SAVE_AGAIN,
        )
    if members[name].file_size > _MOST_CONFIG_BYTES:
        raise _unsafe(path, f"{name} of {members[name].file_size} bytes", f"at most {_MOST_CONFIG_BYTES} bytes")
    text = archive.read(name)
    try:
        # The date is in metadata.json, so that no two are alike.
        fault = _config_fault(text) if name == CONFIG_MEMBER else _fault(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointRejected(
            f"{name} in the archive is not JSON.",
            received=f"{path}: {error}",
            expected="what model.save('….keras') writes",
            next_step=_SAVE_AGAIN,
        ) from error
    if fault is not None:
        raise CheckpointRejected(
            f"{name} in the archive is no plain JSON object.",
            received=f"{path}: {fault}",
            expected=f"an object at most {_DEEPEST_JSON} levels deep",
            next_step=_SAVE_AGAIN,
        )
    return text


def _fault(text: bytes) -> str | None:
    """What the text holds if that is no plain object, else None. ValueError or RecursionError if it is no JSON."""
    content: Any = json.loads(text)
    return None if isinstance(content, dict) and not _depth_exceeds(content, _DEEPEST_JSON) else type(content).__name__


_config_fault = lru_cache(maxsize=2 * SWEEPS_AT_ONCE)(_fault)


def _depth_exceeds(content: Any, limit: int) -> bool:
    """Level by level, not by recursion, so that deep nesting cannot exhaust the stack here or later."""
    level = [content]
    for _ in range(limit):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _unsafe(path: Path, received: str, expected: str) -> CheckpointRejected:
    return CheckpointRejected(
        "The archive is not one that Keras writes, and not safe to unpack.",
        received=f"{path}: {received}",
        expected=expected,
        next_step=_SAVE_AGAIN,
    )


def _broken(path: Path, error: Exception) -> CheckpointRejected:
    return CheckpointRejected(
        "The file is no complete zip archive: it is damaged, or was copied while it was still being written.",
        received=f"{path}: {error}",
        expected="a .keras file",
        next_step=_SAVE_AGAIN,
    )

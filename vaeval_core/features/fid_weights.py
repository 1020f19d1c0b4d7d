"""Getting the weights of 2015-12-05 into the weights folder, from whichever published file is at hand.

They are published as a TensorFlow graph and, converted by others, as a PyTorch state dict. A file is compared with its
publisher's digest, then converted once (`converted_weights`); both formats give the same tensors, so the same features
and the same protocol fingerprint.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from vaeval_core.errors import InvalidInput, WeightsUnavailable
from vaeval_core.features.converted_weights import (
    checked,
    holds_converted,
    load_converted,
    read_converted,
    write_converted,
)
from vaeval_core.features.graph_definition import read_constants
from vaeval_core.features.published_file import PublishedFile, open_content
from vaeval_core.features.published_weights import (
    changed_meanwhile,
    download_published,
    find_on_disk,
    require_file,
    unavailable,
    unreadable,
    unverified,
)
from vaeval_core.features.resumable_download import OnProgress, ignore_progress
from vaeval_core.features.tensor_files import Source, Tensors, source_of, tensors_digest
from vaeval_core.features.torch_state_dict import read_state_dict
from vaeval_core.features.verified_weights import WeightsFolder, digests_of
from vaeval_core.features.weights_formats import format_of

LABEL = "inception-v3-fid"
"""Points at the converted file that came from a published one."""

GRAPH_NAME = "classify_image_graph_def.pb"
_GRAPH_SHA1 = "f34cb9b774a4547b5e214ef4202e5775a9c0f436"
_STATE_DICT_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"

SOURCES: tuple[PublishedFile, ...] = (
    PublishedFile(
        GRAPH_NAME,
        "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches/classify_image_graph_def.pb",
        "git blob sha1",
        _GRAPH_SHA1,
    ),
    PublishedFile(
        "inception-2015-12-05.tgz",
        "http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
        "git blob sha1",
        _GRAPH_SHA1,
        member=GRAPH_NAME,
    ),
    PublishedFile(
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
        "sha256",
        _STATE_DICT_SHA256,
    ),
    PublishedFile(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "sha256",
        _STATE_DICT_SHA256,
    ),
)
"""The published files, in the order in which they are tried; the last two need PyTorch to be read."""


def find_fid_weights(weights: Path | None, weights_folder: Path, *, on_progress: OnProgress = ignore_progress) -> str:
    """See to it that the converted weights are in the folder: of the user's file, or of a published one.

    A published file is looked for in the weights folder and in PyTorch's cache before it is downloaded.

    Args:
        weights: A published file under any name, or one that was imported before; None for the published weights.
        weights_folder: Made if missing.
        on_progress: Told how far a download is.

    Returns:
        Digest of the tensors.

    Raises:
        NotFound: `weights` does not exist.
        InvalidInput: `weights` is no file of these weights, or nobody vouches for it.
        WeightsUnavailable: No published file is on this machine, and there is no way to one.
        StorageFailed: The folder cannot be read or written.
    """
    if weights is not None:
        return import_fid_weights(weights, weights_folder)
    store = WeightsFolder(weights_folder)
    known = store.labelled(LABEL)
    if known is not None:
        return known
    with store.writing():
        # Another process may have converted them while this one waited.
        known = store.labelled(LABEL)
        return known if known is not None else _convert_published(store, on_progress)


def import_fid_weights(path: Path, weights_folder: Path, *, allow_unverified: bool = False) -> str:
    """Convert a file that the user brings into the weights folder, which may be read-only if that was done before.

    Args:
        path: Any of the formats of `SOURCES`, or a converted file from another machine.
        weights_folder: Made if missing.
        allow_unverified: Take a file that is none of `SOURCES`. One that was taken before needs no second permission.

    Returns:
        Digest of the tensors.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be read, does not hold these weights, or nobody vouches for it.
        StorageFailed: The folder cannot be read or written.
    """
    require_file(path, SOURCES[0].name)
    store = WeightsFolder(weights_folder)
    try:
        sha256 = digests_of(path).sha256
        published = any(file.is_in(path) for file in SOURCES)
        known = _converted_before(store, path, sha256)
        if known is not None and (not published or store.labelled(LABEL) == known):
            return known
        if not published and not allow_unverified:
            raise unverified(path, sha256, SOURCES)
        tensors = read_tensors(path)
        if digests_of(path).sha256 != sha256:
            raise changed_meanwhile(path, f"sha256 {sha256} at first")
    except OSError as error:
        raise unreadable(path, error) from error
    with store.writing():
        return _put(store, tensors, Source(path.name, sha256), published=published)


def copy_verified_weights(other_folder: Path, weights_folder: Path) -> bool:
    """Take the verified weights over from another weights folder of this machine.

    Returns:
        True if they are in both now; False if the other folder has none.

    Raises:
        StorageFailed: A folder cannot be read, or the second not be written.
    """
    other, store = WeightsFolder(other_folder), WeightsFolder(weights_folder)
    digest = other.labelled(LABEL)
    if digest is None:
        return False
    source = source_of(other.converted_path_of(digest)) or Source("unknown", "0" * 64)
    tensors = load_converted(other, digest)
    with store.writing():
        _put(store, tensors, source, published=True)
    return True


def published_on_disk(store: WeightsFolder) -> tuple[PublishedFile, Path] | None:
    """A published file, as it is published, in the weights folder or in PyTorch's cache; None if there is none."""
    torch_cache = Path("~/.cache/torch/hub/checkpoints").expanduser()
    for file in readable_sources():
        path = find_on_disk(file, (store.folder, torch_cache))
        if path is not None:
            return file, path
    return None


def readable_sources() -> tuple[PublishedFile, ...]:
    """Those of `SOURCES` that can be read here: without PyTorch no state dict can."""
    has_torch = importlib.util.find_spec("torch") is not None
    return tuple(file for file in SOURCES if has_torch or not file.name.endswith(".pth"))


def read_tensors(path: Path) -> Tensors:
    """The tensors of a file in any of the formats; its digest is for the caller to check.

    Raises:
        InvalidInput: It does not hold these weights, or PyTorch is needed and not there.
        OSError: It cannot be read.
    """
    kind = format_of(path)
    if kind == "torch":
        return read_state_dict(path)
    if kind == "safetensors":
        return read_converted(path)
    if kind == "hdf5":
        raise InvalidInput(
            "Weights in HDF5 are those of Keras, not of the network that FID is defined on.",
            received=str(path),
            expected=" or ".join(file.name for file in SOURCES[:3]),
            next_step=f"vaeval weights import {path} --as inception-v3-keras",
        )
    with open_content(path, GRAPH_NAME if kind == "tgz" else None) as (content, _size):
        return checked(read_constants(content.read(), path), path)


def _converted_before(store: WeightsFolder, path: Path, sha256: str) -> str | None:
    """Digest of the tensors if they are in the folder already, by this file or as this file."""
    for converted in store.files("*.safetensors"):
        source = source_of(converted)
        if source is not None and source.sha256 == sha256 and holds_converted(store, converted.stem):
            return converted.stem
    try:
        digest = tensors_digest(read_converted(path)) if format_of(path) == "safetensors" else None
    except InvalidInput:
        return None
    return digest if digest is not None and holds_converted(store, digest) else None


def _convert_published(store: WeightsFolder, on_progress: OnProgress) -> str:
    """From disk if any of the published files is there, else from the network. Inside `writing`."""
    found = published_on_disk(store)
    if found is not None:
        return _put_published(store, *found)
    failures = []
    for file in readable_sources():
        try:
            partial = download_published(file, store, on_progress)
        except WeightsUnavailable as error:
            failures.append(str(error.received))
            continue
        digest = _put_published(store, file, partial)
        for tried in SOURCES:
            store.discard(store.partial_path_of(tried.name))
        return digest
    raise unavailable("The weights of inception-v3-fid are", readable_sources(), "; ".join(failures))


def _put_published(store: WeightsFolder, file: PublishedFile, path: Path) -> str:
    """Convert a file that was found to be a published one; it may lie in a folder that other programs write to."""
    try:
        tensors, sha256 = read_tensors(path), digests_of(path).sha256
        if not file.is_in(path):
            raise changed_meanwhile(path, f"{file.known_by} at first, then sha256 {sha256}")
    except OSError as error:
        raise unreadable(path, error) from error
    return _put(store, tensors, Source(file.name, sha256), published=True)


def _put(store: WeightsFolder, tensors: Tensors, source: Source, *, published: bool) -> str:
    digest = write_converted(store, tensors, source)
    path = store.converted_path_of(digest)
    if published and store.labelled(LABEL) != digest:
        store.label(LABEL, path)
    return digest

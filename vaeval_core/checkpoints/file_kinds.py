"""What a file or folder is, by its content: suffixes lie, first bytes do not."""

from __future__ import annotations

from pathlib import Path

from vaeval_core.errors import CheckpointRejected, NotFound

_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_PICKLE_START = b"\x80"

KERAS_FILE = "keras"
SAFETENSORS_FILE = "safetensors"

_SAVE_BOTH = 'encoder.save("encoder.keras"); decoder.save("decoder.keras"), both into one folder'


def file_kind(path: Path) -> str:
    """`keras` for a zip archive, `safetensors` for tensors; anything else is refused with a way out.

    Raises:
        NotFound: There is no such file.
        CheckpointRejected: The file is of a kind that is not opened, or cannot be read.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(9)
    except FileNotFoundError:
        raise NotFound(
            "There is no such checkpoint.", received=str(path), expected="an existing path", next_step="check the path"
        ) from None
    except OSError as error:
        raise CheckpointRejected(
            "A checkpoint cannot be read.",
            received=f"{path} ({error.strerror or error})",
            expected="a readable file",
            next_step="make it readable for this user, then run the same command again",
        ) from error
    if start.startswith(_ZIP_SIGNATURES):
        return KERAS_FILE
    if _is_safetensors(start, size):
        return SAFETENSORS_FILE
    raise _refused_file(path, start, size)


def refuse_folder(path: Path) -> CheckpointRejected:
    """The error for a folder that holds no checkpoint, by what it holds instead."""
    if (path / "saved_model.pb").is_file():
        return CheckpointRejected(
            "A TensorFlow SavedModel folder is not opened: it gives no access to the encoder inside.",
            received=str(path),
            expected="encoder.keras and decoder.keras in one folder, or one .keras file",
            next_step=f"in the training program, {_SAVE_BOTH}",
        )
    if (path / "config.json").is_file() and (path / "model.weights.h5").is_file():
        return CheckpointRejected(
            "An unpacked Keras model is not opened.",
            received=str(path),
            expected="the .keras file itself",
            next_step=f"python -c \"import keras; keras.saving.load_model('{path}').save('{path.name}.keras')\"",
        )
    return CheckpointRejected(
        "The folder holds no checkpoint.",
        received=str(path),
        expected="encoder.keras and decoder.keras, or linear_gaussian.safetensors",
        next_step=_SAVE_BOTH,
    )


def _is_safetensors(start: bytes, size: int) -> bool:
    """The format begins with the length of its JSON header, little-endian, then the header's brace."""
    if len(start) < 9 or start[8:9] != b"{":
        return False
    return 2 <= int.from_bytes(start[:8], "little") <= size - 8


def _refused_file(path: Path, start: bytes, size: int) -> CheckpointRejected:
    expected = "a .keras file (a zip archive), or a .safetensors file of a linear Gaussian model"
    if size == 0:
        return CheckpointRejected(
            "The checkpoint file is empty.", received=f"{path} (0 bytes)", expected=expected, next_step="save it again"
        )
    if start.startswith(_HDF5_SIGNATURE):
        only_weights = path.name.endswith(".weights.h5")
        what = (
            "A file of weights alone says nothing about the network they belong to."
            if only_weights
            else "A legacy HDF5 model is not opened: the format may run code while it is read."
        )
        build = (
            "build the networks, load_weights, then "
            if only_weights
            else "load it with the program that made it, then "
        )
        return CheckpointRejected(what, received=f"{path} (HDF5)", expected=expected, next_step=build + _SAVE_BOTH)
    if start.startswith(_PICKLE_START) or path.suffix in {".pt", ".pth", ".ckpt", ".pkl"}:
        return CheckpointRejected(
            "Pickled checkpoints are not opened: reading one runs the code inside it.",
            received=str(path),
            expected=expected,
            next_step="rebuild the networks in Keras, copy the weights, then " + _SAVE_BOTH,
        )
    return CheckpointRejected(
        "The file is no model.",
        received=f"{path} ({size} bytes, begins with {start!r})",
        expected=expected,
        next_step=_SAVE_BOTH,
    )

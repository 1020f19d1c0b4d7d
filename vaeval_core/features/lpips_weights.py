"""The weights of LPIPS, from the state dict of the `lpips` package or from a file that was made of one before.

    <module>/kernel    (rows, columns, in, out), <module>/bias (out,)     of the network
    lin<i>             (channels,), ≥ 0                                   how much each channel of slice i counts

The package has no file with all of it: it ships the five `lin`, and fetches the network from torchvision. One that has both is
written by

    python -c "import lpips, torch; torch.save(lpips.LPIPS(net='vgg').state_dict(), 'lpips-vgg.pth')"

PyTorch is needed to read that, once. What is kept is a safetensors file, `<digest>.lpips` in the weights folder; its digest is
over names, shapes and values, and stands in the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import load_file, save

from vaeval_core.errors import InvalidInput, WeightsUnavailable
from vaeval_core.features.lpips_architecture import ARCHITECTURES, SCALE, SHIFT
from vaeval_core.features.published_weights import require_file, unreadable
from vaeval_core.features.tensor_files import Source, Tensors, tensors_digest, undamaged_tensors
from vaeval_core.features.torch_file import read_tensors_by_name
from vaeval_core.features.verified_weights import WeightsFolder, digests_of
from vaeval_core.features.weights_formats import format_of
from vaeval_core.protocol import PerceptualNetwork, PerceptualSpec
from vaeval_core.types import Float32

PATTERN = "*.lpips"

HOW_TO_GET = (
    "pip install lpips, then: "
    "python -c \"import lpips, torch; torch.save(lpips.LPIPS(net='vgg').state_dict(), 'lpips-vgg.pth')\""
)
"""What a user types to get a file; the published one cannot be had as a whole."""

_SCALING = {"scaling_layer.shift": SHIFT, "scaling_layer.scale": SCALE}
"""Version 0.0 did not scale, and gave other distances."""

_NEXT = f"make the file anew: {HOW_TO_GET}"


def shapes_of(network: PerceptualNetwork) -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor.

    >>> shapes_of("alex")["net.slice1.0/kernel"], shapes_of("vgg")["lin4"]
    ((11, 11, 3, 64), (512,))
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for number, each in enumerate(ARCHITECTURES[network].slices):
        for convolution in each.convolutions:
            kernel = (convolution.size, convolution.size, convolution.inputs, convolution.outputs)
            shapes |= {f"{convolution.module}/kernel": kernel, f"{convolution.module}/bias": kernel[-1:]}
        shapes[f"lin{number}"] = (each.channels,)
    return shapes


def import_lpips_weights(path: Path, weights_folder: Path) -> PerceptualSpec:
    """Convert a file that the user brings into the weights folder, which may be read-only if that was done before.

    Args:
        path: The state dict of `lpips.LPIPS`, with `alex` or `vgg`, or a converted file from another machine.
        weights_folder: Made if missing.

    Returns:
        Which network it is for, and the digest of the tensors.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be read, or does not hold these weights.
        StorageFailed: The folder cannot be read or written.
    """
    require_file(path, "a state dict of lpips.LPIPS")
    store = WeightsFolder(weights_folder)
    try:
        sha256 = digests_of(path).sha256
        if format_of(path) == "safetensors":
            network, tensors = _read_converted(path)
        else:
            network, tensors = _read_state_dict(path)
    except OSError as error:
        raise unreadable(path, error) from error
    digest = tensors_digest(tensors)
    if _undamaged(store, digest) is None:
        source = Source(path.name, sha256)
        metadata = {"network": network, "source_name": source.name, "source_sha256": source.sha256}
        with store.writing():
            store.write(path_of(store, digest), save(tensors, metadata))
    return PerceptualSpec(network=network, weights_digest=digest)


def load_lpips_weights(spec: PerceptualSpec, weights_folder: Path) -> Tensors:
    """The tensors of a spec.

    Raises:
        WeightsUnavailable: They are not in the folder, or damaged.
        StorageFailed: The folder cannot be read.
    """
    store = WeightsFolder(weights_folder)
    tensors = _undamaged(store, spec.weights_digest)
    if tensors is None:
        raise WeightsUnavailable(
            "The LPIPS weights of this evaluation are not on this machine.",
            received=f"no undamaged file {path_of(store, spec.weights_digest)}",
            expected="the weights that were given with --lpips-weights when the evaluation was submitted",
            next_step="copy the file from the weights folder of the machine that submitted",
        )
    return tensors


def holds_lpips(store: WeightsFolder, digest: str) -> bool:
    """True if the tensors are there and undamaged (reads all of them).

    Raises:
        StorageFailed: The folder cannot be read.
    """
    return _undamaged(store, digest) is not None


def path_of(store: WeightsFolder, digest: str) -> Path:
    """Where tensors of this digest are, if they are there."""
    return store.folder / f"{digest}.lpips"


def convert_state_dict(state: Mapping[str, Float32], path: Path) -> tuple[PerceptualNetwork, Tensors]:
    """Rename, and turn kernels from PyTorch's (out, in, rows, columns).

    Args:
        state: Name → value as the package has them. Names that LPIPS needs nothing of are passed over.
        path: Where they come from, for messages.

    Raises:
        InvalidInput: It is of neither network, or a tensor is missing or cannot be what it should be.
    """
    for name, numbers in _SCALING.items():
        if name not in state:
            raise _rejected(path, f"there is no {name}")
        if not np.allclose(state[name].ravel(), numbers, rtol=0, atol=1e-6):
            raise _rejected(path, f"{name} is {', '.join(f'{number:g}' for number in state[name].ravel())}")
    network: PerceptualNetwork = "vgg" if "net.slice1.2.weight" in state else "alex"
    found: dict[str, Float32] = {}
    for name in shapes_of(network):
        if name.startswith("lin"):
            # The second name is that of a model without dropout, which has no weights.
            own = state.get(f"{name}.model.1.weight", state.get(f"{name}.model.0.weight"))
            if own is not None:
                found[name] = own.reshape(-1)
            continue
        module, _, kind = name.partition("/")
        own = state.get(f"{module}.{'weight' if kind == 'kernel' else 'bias'}")
        if own is not None:
            found[name] = own.transpose(2, 3, 1, 0) if own.ndim == 4 else own
    return network, _checked(network, found, path)


def _checked(network: PerceptualNetwork, found: Mapping[str, Float32], path: Path) -> Tensors:
    shapes = shapes_of(network)
    missing = [name for name in shapes if name not in found]
    if missing:
        raise _rejected(path, f"for {network}, {len(missing)} tensors are missing, such as {', '.join(missing[:3])}")
    for name, shape in shapes.items():
        value = found[name]
        if value.shape != shape or value.dtype != np.float32:
            raise _rejected(path, f"for {network}, {name} is {value.dtype} {value.shape} instead of float32 {shape}")
        if not np.isfinite(value).all():
            raise _rejected(path, f"{name} holds values that are not finite")
        if name.startswith("lin") and value.min() < 0:
            raise _rejected(path, f"{name} holds a negative weight, so that a distance could be below 0")
    return {name: np.ascontiguousarray(found[name], dtype="<f4") for name in shapes}


def _read_state_dict(path: Path) -> tuple[PerceptualNetwork, Tensors]:
    if format_of(path) != "torch":
        raise _rejected(path, f"its format is {format_of(path)}")
    state = read_tensors_by_name(
        path,
        _rejected,
        instead="the .lpips file that vaeval made of it on another machine, in its weights folder",
        again=f"vaeval weights import {path} --as lpips",
    )
    return convert_state_dict(state, path)


def _read_converted(path: Path) -> tuple[PerceptualNetwork, Tensors]:
    try:
        tensors = load_file(path)
    except safetensors.SafetensorError as error:
        raise _rejected(path, f"safetensors says: {' '.join(str(error).split())}") from error
    network: PerceptualNetwork = "vgg" if "net.slice1.2/kernel" in tensors else "alex"
    return network, _checked(network, tensors, path)


def _undamaged(store: WeightsFolder, digest: str) -> Tensors | None:
    return undamaged_tensors(store, path_of(store, digest), digest, lambda path: _read_converted(path)[1])


def _rejected(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        "The file does not hold the weights of LPIPS.",
        received=f"{path}: {found}",
        expected="the state dict of lpips.LPIPS(net='alex') or lpips.LPIPS(net='vgg'), release 0.1",
        next_step=_NEXT,
    )

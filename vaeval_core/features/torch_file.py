"""Opening a file that PyTorch wrote: tensors by name, as arrays, and nothing else.

PyTorch is needed for it, once; what is made of the tensors is kept in another form. The file is opened with
`weights_only=True`: it is a pickle, and a pickle that is opened whole may run any program.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vaeval_core.errors import InvalidInput
from vaeval_core.types import Float32

SAFE_SINCE = (2, 6)
"""Before this PyTorch release a file could run a program although weights_only was on (CVE-2025-32434)."""

Rejection = Callable[[Path, str], InvalidInput]
"""The error about a file that holds something else: path, what was found → error."""


def read_tensors_by_name(path: Path, rejected: Rejection, *, instead: str, again: str) -> dict[str, Float32]:
    """All tensors of a state dict file, as PyTorch has them.

    Args:
        path: A .pth file. Whether it is a published one is for the caller to check.
        rejected: Makes the error where the file is no state dict.
        instead: What would do without PyTorch, for the message where it is missing.
        again: The command to run once PyTorch is there.

    Returns:
        Name → values, of whatever kind they are.

    Raises:
        InvalidInput: PyTorch is not installed or too old, or the file is no state dict.
    """
    _require_torch(path, instead, again)
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise rejected(path, f"PyTorch says: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise rejected(path, f"it holds {type(state).__name__}, not tensors by name")
    return {str(name): _values(str(name), tensor, path, rejected) for name, tensor in state.items()}


def _values(name: str, tensor: Any, path: Path, rejected: Rejection) -> Float32:
    try:
        values: Float32 = tensor.detach().numpy()
    except (TypeError, RuntimeError) as error:
        # NumPy has no bfloat16, and no arrays that are sparse or have no values at all.
        raise rejected(path, f"{name} is {tensor.dtype}, {tensor.layout}: {error}") from error
    return values


def _require_torch(path: Path, instead: str, again: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise InvalidInput(
            "Reading a PyTorch file needs PyTorch, which is not installed.",
            received=str(path),
            expected=f"pip install 'vaeval[torch]', or {instead}",
            next_step=f"pip install 'vaeval[torch]', then: {again}",
        )
    import torch

    release = tuple(int(number) for number in re.findall(r"\d+", torch.__version__)[:2])
    if release < SAFE_SINCE:
        raise InvalidInput(
            "This release of PyTorch cannot be trusted with a file of unknown origin.",
            received=f"PyTorch {torch.__version__}",
            expected=f"PyTorch {'.'.join(map(str, SAFE_SINCE))} or newer",
            next_step="pip install --upgrade 'vaeval[torch]'",
        )

"""Whether this process computes where it is meant to: a library that does not find its GPU falls back to the CPU silently.

That happens where the driver is there and CUDA's libraries are not, where the two do not fit, or where a container hides the
device. The scores would be right, and come a hundred times as slowly, under the name of a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from vaeval_core.errors import DeviceUnusable


def _tensorflow_devices() -> int:
    return len(sys.modules["tensorflow"].config.list_physical_devices("GPU"))


def _torch_devices() -> int:
    return int(sys.modules["torch"].cuda.device_count())


def _jax_devices() -> int:
    return sum(device.platform != "cpu" for device in sys.modules["jax"].devices())


_DEVICES: dict[str, Callable[[], int]] = {
    "tensorflow": _tensorflow_devices,
    "torch": _torch_devices,
    "jax": _jax_devices,
}
"""Backend of Keras → how many GPUs its library finds."""


def require_device(environment: Mapping[str, str]) -> None:
    """Return if the process is not meant for a GPU, has loaded no network yet, or finds its GPU.

    Args:
        environment: As `device_pinning.pinned_environment` makes it.

    Raises:
        DeviceUnusable: Networks would be computed on the CPU instead.
    """
    device = environment.get("CUDA_VISIBLE_DEVICES", "")
    keras = sys.modules.get("keras")
    if keras is None or not device.startswith(("GPU-", "MIG-")):
        return
    backend = keras.backend.backend()
    devices = _DEVICES.get(backend)
    if devices is None or devices() > 0:
        return
    raise DeviceUnusable(
        f"This worker is meant to compute on a GPU, and {backend} does not find it.",
        received=f"CUDA_VISIBLE_DEVICES={device}, and no GPU for {backend}",
        expected="a driver and CUDA libraries that fit each other and this package",
        next_step="pip install 'vaeval[gpu]' and look at nvidia-smi, or run vaeval worker --devices cpu",
    )

"""Which GPUs this machine has, without loading CUDA: asked of NVIDIA's management library.

auto            all GPUs that CUDA_VISIBLE_DEVICES allows, or the CPU if there are none
cpu             the CPU
0,2             GPUs by index, as `nvidia-smi -L` numbers them; `gpu:0` and `cuda:0` mean the same
GPU-4f1c…       GPUs, or parts of one (MIG-…), by UUID or its beginning
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from scheduler.usable_cores import usable_cores
from vaeval_core.errors import DeviceUnusable, InvalidInput
from workers.device_pinning import CPU, Device

_NO_DRIVER = frozenset({None, 9, 12})
"""NVML_ERROR_DRIVER_NOT_LOADED and NVML_ERROR_LIBRARY_NOT_FOUND: how a machine without GPUs answers."""

_NO_GPU = frozenset({"-1", "none", "void", "NoDevFiles"})
"""How batch systems and containers say in CUDA_VISIBLE_DEVICES that there is to be no GPU; saying nothing means the same."""


def select_devices(argument: str, environment: Mapping[str, str]) -> tuple[Device, ...]:
    """The devices that a `--devices` argument names, in its order.

    Args:
        argument: As in the module text.
        environment: For CUDA_VISIBLE_DEVICES, by which batch systems say which GPUs a job may use.

    Raises:
        InvalidInput: A name is unknown, fits several devices, or comes twice.
        DeviceUnusable: GPUs are there, or named by CUDA_VISIBLE_DEVICES, and none can be used: nobody wants the CPU then.
    """
    if argument == "cpu":
        return (CPU,)
    found = find_gpus()
    if argument == "auto":
        visible = environment.get("CUDA_VISIBLE_DEVICES")
        if visible is None:
            return found or (CPU,)
        allowed = [device for name in _names(visible) for device in _matching(name, found)]
        if not allowed and not _NO_GPU.issuperset(_names(visible)):
            raise DeviceUnusable(
                "CUDA_VISIBLE_DEVICES names GPUs, and none of them can be used.",
                received=f"CUDA_VISIBLE_DEVICES={visible}",
                expected=f"GPUs of this machine: {_known(found)}",
                next_step="correct it, or compute on the CPU: --devices cpu",
            )
        return tuple(dict.fromkeys(allowed)) or (CPU,)
    matches = [_matching(name, found) for name in _names(argument)]
    chosen = [devices[0] for devices in matches if len(devices) == 1]
    if not chosen or len(set(chosen)) < len(matches):
        raise InvalidInput(
            "--devices names something that is not there, is not clear, or comes twice.",
            received=argument,
            expected=f"auto, cpu, or GPUs of this machine: {_known(found)}",
            next_step="--devices auto",
        )
    return tuple(chosen)


def find_gpus() -> tuple[Device, ...]:
    """All NVIDIA GPUs, or the parts of those that are divided (MIG); none where there is no driver.

    Raises:
        DeviceUnusable: There is a driver, and it does not work.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if getattr(error, "value", None) in _NO_DRIVER:
            return ()
        raise DeviceUnusable(
            "There is an NVIDIA driver on this machine, and it does not work.",
            received=str(error),
            expected="what nvidia-smi lists",
            next_step="look at nvidia-smi, or compute on the CPU: --devices cpu",
        ) from error
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(device for index, handle in enumerate(handles) for device in _devices_of(pynvml, handle, index))
    finally:
        pynvml.nvmlShutdown()


def used_memory(devices: Sequence[Device]) -> dict[Device, int]:
    """Bytes in use on each of these GPUs, by whomever; without those that do not tell."""
    if not devices:
        return {}
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return {}
    used = {}
    try:
        for device in devices:
            with suppress(pynvml.NVMLError):
                handle = pynvml.nvmlDeviceGetHandleByUUID(device.uuid)
                used[device] = int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)
    finally:
        pynvml.nvmlShutdown()
    return used


def _known(found: Sequence[Device]) -> str:
    return ", ".join(f"{device.uuid} ({device.label})" for device in found) or "it has none that can be used"


def _devices_of(pynvml: Any, handle: Any, index: int) -> Iterator[Device]:
    """The GPU itself, or its parts: CUDA does not let a process use a divided GPU as a whole."""
    try:
        is_divided = pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError:  # a GPU that cannot be divided says so by an error
        is_divided = False
    if not is_divided:
        yield _described(pynvml, handle, index, near=_near_cores(pynvml, handle))
        return
    near = _near_cores(pynvml, handle)
    for part in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part_handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, part)
        except pynvml.NVMLError:  # an unused place
            continue
        yield _described(pynvml, part_handle, None, part_of=index, near=near)


def _described(
    pynvml: Any, handle: Any, index: int | None, *, part_of: int | None = None, near: frozenset[int]
) -> Device:
    try:
        memory_bytes = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError:  # some integrated GPUs have none of their own
        memory_bytes = None
    return Device(
        uuid=pynvml.nvmlDeviceGetUUID(handle),
        index=index,
        name=pynvml.nvmlDeviceGetName(handle),
        memory_bytes=memory_bytes,
        part_of=part_of,
        cores=near,
    )


def _near_cores(pynvml: Any, handle: Any) -> frozenset[int]:
    """Cores from which the GPU is reached without crossing the machine; none where that makes no difference."""
    usable = usable_cores()
    words = max(usable) // 64 + 1
    try:
        masks = pynvml.nvmlDeviceGetCpuAffinity(handle, words)
    except pynvml.NVMLError:  # no such knowledge on this platform
        return frozenset()
    near = {64 * word + bit for word, mask in enumerate(masks) for bit in range(64) if mask >> bit & 1} & usable
    return frozenset() if near == usable else frozenset(near)


def _names(argument: str) -> list[str]:
    return [name.strip() for name in argument.split(",") if name.strip()]


def _matching(name: str, found: tuple[Device, ...]) -> list[Device]:
    """Devices of this name; that of a divided GPU means its parts."""
    if name.startswith(("GPU-", "MIG-")):
        return [device for device in found if device.uuid is not None and device.uuid.startswith(name)]
    number = name.removeprefix("gpu:").removeprefix("cuda:")
    if not number.isdecimal():
        return []
    return [device for device in found if int(number) in {device.index, device.part_of}]

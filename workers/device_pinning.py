"""Which device a process sees, and how many threads it uses: decided before it starts, by its environment. Pure.

CUDA, TensorFlow and the BLAS libraries read these variables once, when they are loaded. So a process cannot be moved to
another device later, and the supervisor, which starts the others, never loads any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vaeval_core.errors import InvalidInput


@dataclass(frozen=True)
class Device:
    """What a slot computes on.

    Attributes:
        uuid: NVIDIA's name of the GPU, which unlike its index is the same for every library; None for the CPU.
        index: Position in NVIDIA's list; None for the CPU.
        name: Product name, or `cpu`.
        memory_bytes: All of its memory, or None where nobody knows; for the CPU it is left out.
        part_of: Of a part of a divided GPU (MIG), the position of that GPU; else None.
        cores: Processor cores on the same side of the machine as the GPU; empty where all are as good.
    """

    uuid: str | None = None
    index: int | None = None
    name: str = "cpu"
    memory_bytes: int | None = None
    part_of: int | None = None
    cores: frozenset[int] = frozenset()

    @property
    def label(self) -> str:
        """How tables show the device."""
        return self.name if self.index is None else f"gpu {self.index} ({self.name})"


CPU = Device()


@dataclass(frozen=True)
class SlotPlan:
    """One process to be: where it computes, and with how many threads."""

    number: int
    device: Device
    threads: int


def plan_slots(
    devices: Sequence[Device],
    *,
    cores: int,
    workers: int | None = None,
    slots_per_device: int | None = None,
    threads: int | None = None,
) -> tuple[SlotPlan, ...]:
    """One slot per device, or as many as asked for, dealt to the devices in turn.

    Args:
        devices: At least one.
        cores: Processor cores that may be used.
        workers: Number of slots in all; None for one per device.
        slots_per_device: The same by device. Two may keep a GPU busier where networks are small.
        threads: Threads per slot; None for an equal share of the cores.

    Raises:
        InvalidInput: A number is below 1, or both numbers of slots are given.

    >>> [(slot.device.label, slot.threads) for slot in plan_slots([CPU], cores=8, workers=2)]
    [('cpu', 4), ('cpu', 4)]
    """
    numbers = {"--workers": workers, "--slots-per-device": slots_per_device, "--threads": threads}
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise InvalidInput(
                f"{name} is too small.",
                received=number,
                expected="at least 1",
                next_step=f"leave {name} out for the default",
            )
    if workers is not None and slots_per_device is not None:
        raise InvalidInput(
            "--workers and --slots-per-device both say how many slots there are to be.",
            received=f"--workers {workers} --slots-per-device {slots_per_device}",
            expected="one of the two: --workers is the number in all",
            next_step="leave one of them out",
        )
    count = len(devices) * (slots_per_device or 1) if workers is None else workers
    share = max(1, cores // count) if threads is None else threads
    return tuple(SlotPlan(number, devices[number % len(devices)], share) for number in range(count))


def pinned_environment(device: Device, threads: int, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that uses this device and this many threads.

    Args:
        device: The only device that the process sees.
        threads: For every library that has threads of its own.
        environment: What it has otherwise; not changed.

    >>> pinned_environment(CPU, 2, {})["CUDA_VISIBLE_DEVICES"]
    '-1'
    """
    number = str(threads)
    pinned = {
        "CUDA_VISIBLE_DEVICES": "-1" if device.uuid is None else device.uuid,
        # Take GPU memory as needed: else the first of two processes on a GPU takes all of it.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        # The same score on every run; and float32 means float32, not the 10-bit mantissa of TensorFloat-32.
        "TF_DETERMINISTIC_OPS": "1",
        "NVIDIA_TF32_OVERRIDE": "0",
        "TF_NUM_INTRAOP_THREADS": number,
        "TF_NUM_INTEROP_THREADS": "1",  # side by side with the threads above it would use more cores than the share
        "OMP_NUM_THREADS": number,
        "OPENBLAS_NUM_THREADS": number,
        "MKL_NUM_THREADS": number,
        "VECLIB_MAXIMUM_THREADS": number,
        "NUMEXPR_NUM_THREADS": number,
    }
    # Nothing below a fatal error, unless somebody wants it: TensorFlow's C++ writes plain lines into a log of JSON, on a
    # machine without GPU an "error" that there is none. What fails comes as an exception, too.
    return {"TF_CPP_MIN_LOG_LEVEL": "3", **environment, **pinned}

"""Which device each process of a supervisor sees: real processes, and a stand-in for NVIDIA's library that knows two GPUs.

The stand-in is a module called `pynvml` that comes before the real one. No slot needs to compute anything: what it sees is in
its environment before it starts.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from scheduler.composition import Application, open_application
from scheduler.settings import Settings

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into the environment of other processes"),
]

PROJECT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]

FAKE_NVML = f"""
class NVMLError(Exception):
    pass


class Memory:
    total = 141_000_000_000


NVML_DEVICE_MIG_ENABLE = 1
GPUS = ["GPU-aaaa1111", "GPU-bbbb2222"]
NEAR = {{"GPU-aaaa1111": {CORES[0]}, "GPU-bbbb2222": {CORES[-1]}}}


def not_divided(handle):
    raise NVMLError("not supported")


def near(handle, words):
    return [1 << NEAR[handle] - 64 * word if NEAR[handle] // 64 == word else 0 for word in range(words)]


nvmlInit = nvmlShutdown = lambda: None
nvmlDeviceGetCount = lambda: len(GPUS)
nvmlDeviceGetHandleByIndex = lambda index: GPUS[index]
nvmlDeviceGetMigMode = not_divided
nvmlDeviceGetUUID = lambda handle: handle
nvmlDeviceGetName = lambda handle: "H200"
nvmlDeviceGetMemoryInfo = lambda handle: Memory
nvmlDeviceGetCpuAffinity = near
"""


@pytest.fixture
def application(tmp_path: Path) -> Iterator[Application]:
    with open_application(Settings.from_environment({"VAEVAL_HOME": str(tmp_path / "home")})) as opened:
        yield opened


@pytest.fixture
def supervise(tmp_path: Path, application: Application) -> Iterator[Callable[..., psutil.Process]]:
    """Starts `python -m workers` with these arguments on a machine with two GPUs, or what looks like one."""
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    (fakes / "pynvml.py").write_text(FAKE_NVML, encoding="utf-8")
    started: list[psutil.Popen] = []

    def start(*arguments: str, **variables: str) -> psutil.Process:
        environment = {**os.environ, "PYTHONPATH": f"{fakes}{os.pathsep}{PROJECT}"} | variables
        with (tmp_path / "workers.log").open("ab") as log:
            process = psutil.Popen(
                [sys.executable, "-P", "-m", "workers", *arguments],
                env={**environment, "VAEVAL_HOME": str(application.settings.home)},
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        for member in [*process.children(recursive=True), process]:
            member.kill()
        process.wait(DEADLINE_SECONDS)


def slots_of(supervisor: psutil.Process, number: int) -> list[psutil.Process]:
    """Its slots in the order of their numbers, once there are so many."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        slots = {}
        for child in supervisor.children():
            try:
                command = child.cmdline()
            except psutil.NoSuchProcess:  # a short-lived child of another kind
                continue
            if "workers.slot" in command:
                slots[command[command.index("workers.slot") + 1]] = child
        if len(slots) == number:
            return [slots[name] for name in sorted(slots)]
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS:g} s for {number} slots"
        time.sleep(0.01)


def seen(slots: list[psutil.Process]) -> list[str]:
    return [slot.environ()["CUDA_VISIBLE_DEVICES"] for slot in slots]


def test_every_slot_sees_its_own_gpu_and_the_supervisor_tells_the_table(
    supervise: Callable[..., psutil.Process], application: Application
) -> None:
    supervisor = supervise("--devices", "auto")
    slots = slots_of(supervisor, 2)
    assert seen(slots) == ["GPU-aaaa1111", "GPU-bbbb2222"]
    assert "CUDA_VISIBLE_DEVICES" not in supervisor.environ()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(records := application.reads.workers()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [(record.device, record.memory_bytes) for record in records] == [
        ("gpu 0 (H200)", 141_000_000_000),
        ("gpu 1 (H200)", 141_000_000_000),
    ]


def test_slots_keep_to_the_cores_near_their_gpu(supervise: Callable[..., psutil.Process]) -> None:
    if len(CORES) < 2:
        pytest.skip("with one core there is no other")
    slots = slots_of(supervise("--devices", "auto"), 2)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while [slot.cpu_affinity() for slot in slots] != [[CORES[0]], [CORES[-1]]]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_gpus_are_chosen_by_uuid_and_shared_by_as_many_slots_as_asked_for(
    supervise: Callable[..., psutil.Process],
) -> None:
    slots = slots_of(supervise("--devices", "GPU-bbbb,GPU-aaaa1111", "--slots-per-device", "2"), 4)
    assert seen(slots) == ["GPU-bbbb2222", "GPU-aaaa1111", "GPU-bbbb2222", "GPU-aaaa1111"]


def test_a_batch_system_that_gave_us_one_gpu_is_heeded(supervise: Callable[..., psutil.Process]) -> None:
    slots = slots_of(supervise("--devices", "auto", CUDA_VISIBLE_DEVICES="1"), 1)
    assert seen(slots) == ["GPU-bbbb2222"]

"""Finding and choosing GPUs, with a stand-in for NVIDIA's library: no machine that runs tests need have a GPU."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from scheduler.usable_cores import usable_cores
from vaeval_core.errors import DeviceUnusable, InvalidInput
from workers.device_check import require_device
from workers.device_pinning import CPU
from workers.devices import find_gpus, select_devices


class NvmlError(Exception):
    pass


class FakeNvml(ModuleType):
    """As much of `pynvml` as is asked: GPUs by UUID, each with the UUIDs of its parts, None for a free place."""

    NVMLError = NvmlError
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, gpus: dict[str, list[str | None]], *, has_driver: bool = True) -> None:
        super().__init__("pynvml")
        self._gpus = gpus
        self._has_driver = has_driver
        self.open = 0
        self.near = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if not self._has_driver:
            raise NvmlError("driver not loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self._gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return list(self._gpus)[index]

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:  # noqa: N802
        if not self._gpus[handle]:
            raise NvmlError("not supported")
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:  # noqa: N802
        return len(self._gpus[handle])

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, index: int) -> str:  # noqa: N802
        part = self._gpus[handle][index]
        if part is None:
            raise NvmlError("not found")
        return part

    def nvmlDeviceGetUUID(self, handle: str) -> str:  # noqa: N802
        return handle

    def nvmlDeviceGetName(self, handle: str) -> str:  # noqa: N802
        return "H200 MIG 1g" if handle.startswith("MIG") else "H200"

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> SimpleNamespace:  # noqa: N802
        if handle.endswith("integrated"):
            raise NvmlError("not supported")
        return SimpleNamespace(total=18 * 10**9 if handle.startswith("MIG") else 141 * 10**9, used=7 * 10**9)

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid not in self._gpus:
            raise NvmlError("not found")
        return uuid

    def nvmlDeviceGetCpuAffinity(self, handle: str, words: int) -> list[int]:  # noqa: N802
        if handle.endswith("integrated"):
            raise NvmlError("not supported")
        return ([self.near] + [0] * words)[:words]


def use(monkeypatch: pytest.MonkeyPatch, fake: FakeNvml) -> FakeNvml:
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


@pytest.fixture
def _two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({"GPU-aaa1": [], "GPU-bbb2": []}))


def uuids(argument: str, environment: dict[str, str] | None = None) -> list[str | None]:
    return [device.uuid for device in select_devices(argument, environment or {})]


@pytest.mark.usefixtures("_two_gpus")
def test_auto_takes_every_gpu() -> None:
    assert uuids("auto") == ["GPU-aaa1", "GPU-bbb2"]


@pytest.mark.usefixtures("_two_gpus")
def test_cpu_is_the_cpu_even_where_there_are_gpus() -> None:
    assert select_devices("cpu", {}) == (CPU,)


@pytest.mark.usefixtures("_two_gpus")
@pytest.mark.parametrize("argument", ["1", "gpu:1", "cuda:1", "GPU-bbb2", "GPU-b"])
def test_a_gpu_has_several_names(argument: str) -> None:
    assert uuids(argument) == ["GPU-bbb2"]


@pytest.mark.usefixtures("_two_gpus")
def test_the_order_of_the_argument_is_kept() -> None:
    assert uuids("1, 0") == ["GPU-bbb2", "GPU-aaa1"]


@pytest.mark.usefixtures("_two_gpus")
@pytest.mark.parametrize("visible", ["1", "GPU-bbb2", "GPU-bbb"])
def test_auto_keeps_to_what_a_batch_system_allows(visible: str) -> None:
    assert uuids("auto", {"CUDA_VISIBLE_DEVICES": visible}) == ["GPU-bbb2"]


@pytest.mark.usefixtures("_two_gpus")
@pytest.mark.parametrize("visible", ["", "-1", "NoDevFiles"])
def test_auto_means_the_cpu_where_a_batch_system_allows_no_gpu(visible: str) -> None:
    assert select_devices("auto", {"CUDA_VISIBLE_DEVICES": visible}) == (CPU,)


@pytest.mark.usefixtures("_two_gpus")
@pytest.mark.parametrize("argument", ["2", "0,7", "GPU-zzz", "GPU-", "0,0", "0,GPU-aaa1", "tpu", ",", ""])
def test_a_wrong_argument_is_answered_with_what_there_is(argument: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        select_devices(argument, {})
    assert f"Received: {argument} " in str(caught.value)
    assert "GPU-aaa1 (gpu 0 (H200)), GPU-bbb2 (gpu 1 (H200))" in str(caught.value)
    assert "--devices auto" in str(caught.value)


def test_without_a_driver_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({}, has_driver=False))
    assert select_devices("auto", {}) == (CPU,)


def test_without_a_driver_naming_a_gpu_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({}, has_driver=False))
    with pytest.raises(InvalidInput) as caught:
        select_devices("0", {})
    assert "it has none that can be used" in str(caught.value)


def test_a_divided_gpu_is_replaced_by_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({"GPU-aaa1": ["MIG-x", None, "MIG-y"], "GPU-bbb2": []}))
    assert [(device.uuid, device.label) for device in find_gpus()] == [
        ("MIG-x", "H200 MIG 1g"),
        ("MIG-y", "H200 MIG 1g"),
        ("GPU-bbb2", "gpu 1 (H200)"),
    ]
    assert uuids("MIG-y") == ["MIG-y"]


def test_the_memory_of_a_device_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({"GPU-aaa1": [], "GPU-bbb2": ["MIG-x"], "GPU-integrated": []}))
    assert [device.memory_bytes for device in find_gpus()] == [141 * 10**9, 18 * 10**9, None]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot keep processes on cores")
def test_the_cores_near_a_gpu_are_known_unless_they_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 64})
    fake = use(monkeypatch, FakeNvml({"GPU-aaa1": ["MIG-x"], "GPU-integrated": []}))
    fake.near = 0b11010  # core 4 is not ours to use
    assert [device.cores for device in find_gpus()] == [{1, 3}, frozenset()]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3})
    assert [device.cores for device in find_gpus()] == [frozenset(), frozenset()]


def test_the_library_is_closed_after_use(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, FakeNvml({"GPU-aaa1": []}))
    find_gpus()
    assert fake.open == 0


def test_this_machine_can_be_asked() -> None:
    assert len(select_devices("auto", os.environ)) >= 1
    assert 1 <= len(usable_cores()) <= (os.cpu_count() or 1)


@pytest.mark.parametrize("visible", ["0", "GPU-aaa1", "7,8"])
def test_gpus_that_a_batch_system_names_and_that_are_not_there_are_no_cpu(
    monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    use(monkeypatch, FakeNvml({}, has_driver=False))
    with pytest.raises(DeviceUnusable) as caught:
        select_devices("auto", {"CUDA_VISIBLE_DEVICES": visible})
    assert caught.value.received == f"CUDA_VISIBLE_DEVICES={visible}"
    assert caught.value.expected == "GPUs of this machine: it has none that can be used"


def test_a_driver_that_does_not_work_is_no_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, FakeNvml({"GPU-aaa1": []}))

    def mismatch() -> None:
        error = NvmlError("Driver/library version mismatch")
        error.value = 18  # type: ignore[attr-defined]
        raise error

    monkeypatch.setattr(fake, "nvmlInit", mismatch)
    with pytest.raises(DeviceUnusable, match=r"Driver/library version mismatch .* --devices cpu"):
        select_devices("auto", {})
    assert select_devices("cpu", {}) == (CPU,)


def test_the_number_of_a_divided_gpu_means_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({"GPU-aaa1": ["MIG-x", None, "MIG-y"], "GPU-bbb2": []}))
    assert uuids("auto", {"CUDA_VISIBLE_DEVICES": "0"}) == ["MIG-x", "MIG-y"]
    with pytest.raises(InvalidInput, match="MIG-x"):
        select_devices("0", {})


def test_a_part_of_a_gpu_is_not_called_none(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeNvml({"GPU-aaa1": ["MIG-x"]}))
    with pytest.raises(InvalidInput):
        select_devices("None", {})


class TestTheLibraryThatComputes:
    """With stand-ins for Keras and TensorFlow: loading the real ones takes seconds, and no machine here has a GPU."""

    @pytest.fixture
    def found(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """GPUs that TensorFlow finds."""
        found: list[str] = []
        keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: "tensorflow"))
        tensorflow = SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda _: found))
        monkeypatch.setitem(sys.modules, "keras", keras)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)  # type: ignore[arg-type]
        return found

    @pytest.mark.parametrize("device", ["GPU-aaa1", "MIG-x"])
    def test_a_gpu_that_it_does_not_find_is_told(self, found: list[str], device: str) -> None:
        with pytest.raises(DeviceUnusable, match=f"tensorflow does not find it.*CUDA_VISIBLE_DEVICES={device}"):
            require_device({"CUDA_VISIBLE_DEVICES": device})

    def test_a_gpu_that_it_finds_is_computed_on(self, found: list[str]) -> None:
        found.append("/physical_device:GPU:0")
        require_device({"CUDA_VISIBLE_DEVICES": "GPU-aaa1"})

    @pytest.mark.parametrize("environment", [{}, {"CUDA_VISIBLE_DEVICES": "-1"}])
    def test_who_is_meant_for_the_cpu_needs_none(self, found: list[str], environment: dict[str, str]) -> None:
        require_device(environment)

    def test_nothing_is_asked_before_a_network_is_loaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "keras", raising=False)
        require_device({"CUDA_VISIBLE_DEVICES": "GPU-aaa1"})

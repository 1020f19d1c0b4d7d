"""Pinning is decided by pure functions: devices and numbers in, environments out."""

from __future__ import annotations

import pytest

from vaeval_core.errors import InvalidInput
from workers.device_pinning import CPU, Device, pinned_environment, plan_slots

FIRST = Device(uuid="GPU-aaa", index=0, name="H200")
SECOND = Device(uuid="GPU-bbb", index=1, name="H200")


def test_each_device_gets_one_slot_and_an_equal_share_of_the_cores() -> None:
    slots = plan_slots([FIRST, SECOND], cores=16)
    assert [(slot.number, slot.device, slot.threads) for slot in slots] == [(0, FIRST, 8), (1, SECOND, 8)]


def test_more_workers_than_devices_are_dealt_in_turn() -> None:
    assert [slot.device for slot in plan_slots([FIRST, SECOND], cores=16, workers=3)] == [FIRST, SECOND, FIRST]


def test_each_device_may_have_several_slots() -> None:
    slots = plan_slots([FIRST, SECOND], cores=16, slots_per_device=2)
    assert [(slot.device, slot.threads) for slot in slots] == [(FIRST, 4), (SECOND, 4), (FIRST, 4), (SECOND, 4)]


def test_the_number_of_slots_is_said_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_slots([FIRST, SECOND], cores=16, workers=3, slots_per_device=2)
    assert caught.value.received == "--workers 3 --slots-per-device 2"
    assert "one of the two" in str(caught.value.expected)


def test_fewer_workers_than_devices_leave_devices_free() -> None:
    assert [slot.device for slot in plan_slots([FIRST, SECOND], cores=16, workers=1)] == [FIRST]


def test_more_slots_than_cores_still_get_a_thread_each() -> None:
    assert [slot.threads for slot in plan_slots([CPU], cores=2, workers=3)] == [1, 1, 1]


def test_a_given_number_of_threads_is_kept() -> None:
    assert [slot.threads for slot in plan_slots([CPU], cores=2, workers=2, threads=5)] == [5, 5]


@pytest.mark.parametrize("arguments", [{"workers": 0}, {"workers": -3}, {"slots_per_device": 0}, {"threads": 0}])
def test_a_number_below_one_is_refused(arguments: dict[str, int]) -> None:
    ((name, value),) = arguments.items()
    with pytest.raises(InvalidInput) as caught:
        plan_slots([CPU], cores=2, **arguments)
    option = f"--{name.replace('_', '-')}"
    told = f"{option} is too small. Received: {value} Expected: at least 1 Next: leave {option} out for the default"
    assert str(caught.value) == told


def test_a_gpu_is_pinned_by_uuid_because_indices_differ_between_libraries() -> None:
    assert pinned_environment(SECOND, 4, {})["CUDA_VISIBLE_DEVICES"] == "GPU-bbb"


def test_a_cpu_slot_sees_no_gpu_even_if_the_shell_offers_one() -> None:
    assert pinned_environment(CPU, 4, {"CUDA_VISIBLE_DEVICES": "0,1"})["CUDA_VISIBLE_DEVICES"] == "-1"


def test_every_library_gets_the_same_number_of_threads() -> None:
    environment = pinned_environment(CPU, 3, {"OMP_NUM_THREADS": "64"})
    names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    assert {environment[name] for name in names} == {"3"}


def test_memory_grows_on_demand_and_operations_are_deterministic_float32() -> None:
    environment = pinned_environment(FIRST, 1, {})
    assert environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert environment["TF_DETERMINISTIC_OPS"] == "1"
    assert environment["NVIDIA_TF32_OVERRIDE"] == "0"


def test_the_rest_of_the_environment_passes_through_unchanged() -> None:
    before = {"PATH": "/bin", "TF_CPP_MIN_LOG_LEVEL": "0"}
    after = pinned_environment(CPU, 1, before)
    assert after["PATH"] == "/bin"
    assert after["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert before == {"PATH": "/bin", "TF_CPP_MIN_LOG_LEVEL": "0"}


def test_labels_are_what_people_call_the_devices() -> None:
    assert (CPU.label, SECOND.label) == ("cpu", "gpu 1 (H200)")

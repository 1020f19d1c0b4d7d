"""Whose fault an error is: the table, one line after the other."""

from __future__ import annotations

import errno
import os

import pytest

from scheduler.faults import Fault, fault_of, pause_seconds
from vaeval_core.errors import (
    CheckpointChanged,
    CheckpointRejected,
    DeviceUnusable,
    ExtractorDiffers,
    FileLost,
    ImagesChanged,
    ImagesRejected,
    InvalidInput,
    MetricsDiffer,
    NotFound,
    ServiceUnreachable,
    StorageFailed,
    TooFewImages,
    VaevalError,
    WeightsUnavailable,
)


@pytest.mark.parametrize("kind", [InvalidInput, CheckpointRejected, ImagesRejected, TooFewImages])
def test_what_nobody_can_use_is_the_fault_of_the_input(kind: type[VaevalError]) -> None:
    assert fault_of(kind("No.")) is Fault.INPUT


@pytest.mark.parametrize(
    "kind", [CheckpointChanged, ImagesChanged, ExtractorDiffers, MetricsDiffer, WeightsUnavailable, NotFound]
)
def test_what_another_machine_may_have_is_the_fault_of_this_machine(kind: type[VaevalError]) -> None:
    assert fault_of(kind("No.")) is Fault.MACHINE


def test_a_package_that_is_not_installed_is_the_fault_of_this_machine() -> None:
    assert fault_of(ModuleNotFoundError("No module named 'keras'")) is Fault.MACHINE


@pytest.mark.parametrize("kind", [StorageFailed, FileLost, ServiceUnreachable])
def test_services_and_disks_are_the_surroundings(kind: type[VaevalError]) -> None:
    assert fault_of(kind("No.")) is Fault.SURROUNDINGS


def test_a_device_that_fell_away_is_the_matter_of_its_slot() -> None:
    assert fault_of(DeviceUnusable("No.")) is Fault.DEVICE


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ESTALE, errno.EIO, errno.ECONNRESET])
def test_so_is_what_an_operating_system_says_about_them(number: int) -> None:
    assert fault_of(OSError(number, os.strerror(number))) is Fault.SURROUNDINGS


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError(), MemoryError(), OSError("no errno"), PermissionError(errno.EPERM, "No."), VaevalError("No.")],
)
def test_everything_else_may_be_the_fault_of_the_work(error: Exception) -> None:
    assert fault_of(error) is Fault.WORK


def test_no_pause_between_attempts_at_work_is_longer_than_a_lease() -> None:
    assert pause_seconds(Fault.WORK, failed_before=20, lease_seconds=60.0) == 60.0


def test_another_machine_need_not_wait() -> None:
    assert pause_seconds(Fault.MACHINE, failed_before=3, lease_seconds=60.0) == 0.0

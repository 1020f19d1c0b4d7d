"""What a store raises becomes a sentence, by which it is known for the matter of surroundings."""

from __future__ import annotations

import errno

import pytest

from scheduler.faults import Fault, fault_of
from scheduler.store.storage_errors import storage_troubles
from vaeval_core.errors import FileLost, StorageFailed


class EndpointConnectionError(Exception):
    """Clients of object stores have errors of their own, which are no OSError."""


def raised(error: Exception, *, is_folder: bool = False) -> StorageFailed:
    with pytest.raises(StorageFailed) as caught, storage_troubles("written", "shards/1", is_folder=is_folder):
        raise error
    assert fault_of(caught.value) is Fault.SURROUNDINGS
    return caught.value


def test_an_object_store_that_does_not_answer_is_no_bad_work() -> None:
    error = raised(EndpointConnectionError("Could not connect to the endpoint URL"))
    assert error.what == "A file cannot be written: the store does not answer as it should."
    assert error.received == "shards/1 (EndpointConnectionError: Could not connect to the endpoint URL)"
    assert "its keys and the network" in str(error.next_step)


def test_a_full_disk_is_told_as_such() -> None:
    assert raised(OSError(errno.ENOSPC, "No space left on device")).what == "No space is left for the artifacts."


def test_any_other_error_of_the_system_is_told_in_its_words() -> None:
    assert raised(OSError(errno.EIO, "Input/output error"), is_folder=True).received == "shards/1 (Input/output error)"


def test_what_is_no_matter_of_storage_passes() -> None:
    with pytest.raises(ZeroDivisionError), storage_troubles("read", "shards/1", is_folder=True):
        raise ZeroDivisionError
    with pytest.raises(FileLost), storage_troubles("read", "shards/1", is_folder=False):
        raise FileLost("Gone.")

"""Canonical weights if they can be had soon, random ones with a reason if not."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.file_server import serving
from tests.inception_tensors import GRAPH, published_as
from vaeval_core.features import canonical_choice, fid_weights
from vaeval_core.features.canonical_choice import Choice, canonical_or_random, is_reachable
from vaeval_core.features.fid_weights import LABEL, import_fid_weights
from vaeval_core.features.verified_weights import WeightsFolder

pytestmark = pytest.mark.usefixtures("_published")

CANONICAL = Choice("inception-v3-fid", None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights"


def assert_random(choice: Choice, why: str) -> None:
    assert choice.extractor == "inception-v3-random"
    assert choice.reason is not None
    assert why in choice.reason
    assert "compares with nothing published" in choice.reason
    assert "vaeval weights fetch inception-v3-fid" in choice.reason
    assert "\n" not in choice.reason


def test_weights_that_are_there_are_used(graph_path: Path, folder: Path) -> None:
    import_fid_weights(graph_path, folder)
    assert canonical_or_random(folder) == CANONICAL


def test_weights_in_the_users_own_folder_are_taken_over(graph_path: Path, tmp_path: Path, folder: Path) -> None:
    import_fid_weights(graph_path, tmp_path / "own")
    assert canonical_or_random(folder, tmp_path / "own") == CANONICAL
    assert WeightsFolder(folder).labelled(LABEL) is not None


def test_a_published_file_on_this_machine_is_converted(graph_path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / GRAPH).symlink_to(graph_path)
    assert canonical_or_random(folder) == CANONICAL


@pytest.mark.service
def test_weights_that_a_server_has_are_fetched(
    graph_content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({GRAPH: graph_content}) as server:
        monkeypatch.setattr(fid_weights, "SOURCES", published_as(graph_content, server.url))
        assert canonical_or_random(folder) == CANONICAL
    assert WeightsFolder(folder).labelled(LABEL) is not None


def test_without_a_network_it_is_the_random_network_and_nothing_is_written(folder: Path) -> None:
    assert_random(canonical_or_random(folder), "no server that has them answered within 5 seconds")
    assert not folder.exists()


@pytest.mark.service
def test_a_download_that_fails_leads_to_the_random_network(
    graph_content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({GRAPH: graph_content[:-1]}) as server:
        monkeypatch.setattr(fid_weights, "SOURCES", published_as(graph_content, server.url))
        assert_random(canonical_or_random(folder), "truncated or altered")


def test_weights_of_ones_own_are_not_taken_for_the_canonical_ones(
    graph_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fid_weights, "SOURCES", published_as(b"another graph", "http://127.0.0.1:9"))
    import_fid_weights(graph_path, folder, allow_unverified=True)
    assert_random(canonical_or_random(folder), "no server")


def test_a_server_that_accepts_and_says_nothing_costs_no_more_than_the_time_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canonical_choice, "REACH_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setattr(fid_weights, "SOURCES", published_as(b"a graph", url))
        started = time.monotonic()
        assert_random(canonical_or_random(folder), "within 0.3 seconds")
        # Far below the silence that a download would wait for.
        assert time.monotonic() - started < 10


@pytest.mark.service
def test_one_server_that_answers_is_enough() -> None:
    with serving({"there": b"x"}) as server:
        assert is_reachable([f"{server.url}/absent", f"{server.url}/there", "http://127.0.0.1:9/"], 5)
        assert not is_reachable([f"{server.url}/absent", "http://127.0.0.1:9/"], 5)

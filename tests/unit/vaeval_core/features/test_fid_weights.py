"""From a published file to converted weights: which files are taken, from where, and what is never taken.

The published files themselves are not here; a graph with a few random weights is declared to be the published one. Whole
networks are in tests/numerics/test_inception_v3_fid.py.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.file_server import serving
from tests.inception_tensors import ARCHIVE, GRAPH, archive_bytes, graph_bytes, published_as, small_tensors
from vaeval_core.errors import InvalidInput, NotFound, WeightsUnavailable
from vaeval_core.features import fid_weights
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.features.converted_weights import load_converted
from vaeval_core.features.fid_weights import (
    LABEL,
    SOURCES,
    copy_verified_weights,
    find_fid_weights,
    import_fid_weights,
    read_tensors,
)
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.features.tensor_files import Source, source_of, tensors_digest
from vaeval_core.features.verified_weights import WeightsFolder, digests_of
from vaeval_core.features.weights_catalogue import is_published

DIGEST = tensors_digest(dict(small_tensors()))

published = pytest.mark.usefixtures("_published")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "weights"


@pytest.fixture(scope="session")
def archive_content(graph_content: bytes) -> bytes:
    return archive_bytes({"LICENSE": b"free", GRAPH: graph_content})


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


CONVERTED = {f"{DIGEST}.safetensors", f"{LABEL}.sha256"}


def test_the_published_digests_are_the_public_ones() -> None:
    by_name = {file.name: (file.algorithm, file.digest, file.member) for file in SOURCES}
    graph = "f34cb9b774a4547b5e214ef4202e5775a9c0f436"
    state_dict = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
    assert by_name == {
        "classify_image_graph_def.pb": ("git blob sha1", graph, None),
        "inception-2015-12-05.tgz": ("git blob sha1", graph, "classify_image_graph_def.pb"),
        "weights-inception-2015-12-05-6726825d.pth": ("sha256", state_dict, None),
        "pt_inception-2015-12-05-6726825d.pth": ("sha256", state_dict, None),
    }


@published
def test_the_published_graph_is_converted_and_noted(graph_path: Path, folder: Path) -> None:
    assert import_fid_weights(graph_path, folder) == DIGEST
    assert names_in(folder) == CONVERTED
    store = WeightsFolder(folder)
    assert store.labelled(LABEL) == DIGEST
    assert source_of(store.converted_path_of(DIGEST)) == Source(GRAPH, digests_of(graph_path).sha256)
    tensors = load_converted(store, DIGEST)
    np.testing.assert_array_equal(tensors["conv_3/conv2d_params"], small_tensors()["conv_3/conv2d_params"])
    # From now on it is found without file and network.
    assert find_fid_weights(None, folder) == DIGEST
    assert is_published("inception-v3-fid", DIGEST, folder)
    assert not is_published("inception-v3-fid", "c" * 64, folder)


def test_weights_that_follow_from_the_program_are_not_somebodys_own(folder: Path) -> None:
    assert is_published("inception-v3-random", "c" * 64, folder)


@published
def test_the_archive_gives_the_same_weights(archive_content: bytes, tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "renamed.bin"
    path.write_bytes(archive_content)
    assert import_fid_weights(path, folder) == DIGEST
    assert WeightsFolder(folder).labelled(LABEL) == DIGEST


@published
def test_importing_again_writes_nothing(graph_path: Path, folder: Path) -> None:
    import_fid_weights(graph_path, folder)
    (folder / ".lock").unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    assert import_fid_weights(graph_path, folder) == DIGEST
    assert find_fid_weights(graph_path, folder) == DIGEST
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())} == before


@published
def test_a_published_file_in_the_weights_folder_is_found_without_network(graph_path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / GRAPH).symlink_to(graph_path)
    assert find_fid_weights(None, folder) == DIGEST
    assert names_in(folder) == CONVERTED | {GRAPH}


class Overtaken(PublishedFile):
    """Somebody writes another graph to the file as soon as it was found to be this one."""

    def is_in(self, path: Path) -> bool:
        was_in = super().is_in(path)
        if was_in:
            changed = dict(small_tensors()) | {"softmax/biases": np.ones(1008, np.float32)}
            path.write_bytes(graph_bytes(changed))
        return was_in


@published
def test_a_file_that_changes_after_it_was_compared_is_not_used(
    graph_content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    (folder / GRAPH).write_bytes(graph_content)
    graph = fid_weights.SOURCES[0]
    overtaken = Overtaken(graph.name, graph.url, graph.algorithm, graph.digest)
    monkeypatch.setattr(fid_weights, "SOURCES", (overtaken,))
    with pytest.raises(InvalidInput) as caught:
        find_fid_weights(None, folder)
    assert "changed while it was read" in caught.value.what
    assert f"git blob sha1 {graph.digest} at first, then sha256" in str(caught.value.received)
    assert caught.value.expected == "a file that nobody is writing to"
    assert names_in(folder) == {GRAPH}


@published
def test_a_file_of_another_content_in_the_weights_folder_is_not_used(folder: Path) -> None:
    folder.mkdir()
    (folder / GRAPH).write_bytes(b"\n" * 1000)
    with pytest.raises(WeightsUnavailable):
        find_fid_weights(None, folder)
    assert names_in(folder) == {GRAPH}


@published
def test_no_network_names_every_file_url_and_digest_and_the_command(folder: Path) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        find_fid_weights(None, folder)
    assert caught.value.what == ("The weights of inception-v3-fid are not on this machine and could not be downloaded.")
    graph, archive = fid_weights.SOURCES
    assert caught.value.expected == (
        f"{GRAPH} from {graph.url} with git blob sha1 {graph.digest}; "
        f"or {ARCHIVE} from {archive.url} with git blob sha1 {graph.digest} of {GRAPH} in it"
    )
    assert str(caught.value.received).count("Connection refused") == 2
    assert f"vaeval weights import PATH/{GRAPH}" in str(caught.value.next_step)
    assert names_in(folder) == set()


@pytest.mark.service
@published
def test_weights_are_downloaded_converted_and_the_download_removed(
    graph_content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({GRAPH: graph_content}) as server:
        monkeypatch.setattr(fid_weights, "SOURCES", published_as(graph_content, server.url))
        told: list[tuple[int, int | None]] = []
        assert find_fid_weights(None, folder, on_progress=lambda here, total: told.append((here, total))) == DIGEST
        assert find_fid_weights(None, folder) == DIGEST
    assert server.asked == [("GET", GRAPH)]
    assert names_in(folder) == CONVERTED
    assert told[-1] == (len(graph_content), len(graph_content))


@pytest.mark.service
@published
def test_where_one_server_fails_the_next_is_asked(
    graph_content: bytes, archive_content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    altered = graph_content[:-1] + bytes([graph_content[-1] ^ 1])
    with serving({GRAPH: altered, ARCHIVE: archive_content}) as server:
        monkeypatch.setattr(fid_weights, "SOURCES", published_as(graph_content, server.url))
        assert find_fid_weights(None, folder) == DIGEST
    assert server.asked == [("GET", GRAPH), ("GET", ARCHIVE)]
    assert names_in(folder) == CONVERTED


@published
def test_a_damaged_converted_file_is_made_again(graph_path: Path, folder: Path) -> None:
    import_fid_weights(graph_path, folder)
    path = WeightsFolder(folder).converted_path_of(DIGEST)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsUnavailable):
        find_fid_weights(None, folder)
    assert import_fid_weights(graph_path, folder) == DIGEST
    assert find_fid_weights(None, folder) == DIGEST


# --- what nobody vouches for ------------------------------------------------------------------------------------------


@published
@pytest.mark.parametrize("size", [-1, 10_000])
def test_a_truncated_graph_is_refused_even_with_permission(
    graph_content: bytes, tmp_path: Path, folder: Path, size: int
) -> None:
    path = tmp_path / GRAPH
    path.write_bytes(graph_content[:size])
    with pytest.raises(InvalidInput, match="no known digest"):
        import_fid_weights(path, folder)
    with pytest.raises(InvalidInput) as caught:
        import_fid_weights(path, folder, allow_unverified=True)
    assert "cut off" in str(caught.value.received)
    assert str(path) in str(caught.value.received)
    assert not folder.exists()


@published
def test_a_graph_of_another_network_is_refused_with_the_names_it_lacks(tmp_path: Path, folder: Path) -> None:
    tensors = dict(small_tensors())
    del tensors["conv_3/batchnorm/gamma"], tensors["softmax/biases"]
    path = tmp_path / "other.pb"
    path.write_bytes(graph_bytes(tensors))
    with pytest.raises(InvalidInput) as caught:
        import_fid_weights(path, folder, allow_unverified=True)
    assert caught.value.received == (
        f"{path}: 2 of its tensors are missing, such as conv_3/batchnorm/gamma, softmax/biases"
    )
    assert not folder.exists()


@pytest.mark.usefixtures("_small_network")
def test_weights_of_ones_own_have_their_own_digest_and_no_label(graph_path: Path, folder: Path) -> None:
    assert import_fid_weights(graph_path, folder, allow_unverified=True) == DIGEST
    assert names_in(folder) == {f"{DIGEST}.safetensors"}
    spec = resolve_extractor("inception-v3-fid", weights=graph_path, weights_folder=folder)
    assert spec.weights_digest == DIGEST
    changed = dict(small_tensors()) | {"softmax/biases": np.ones(1008, np.float32)}
    other = graph_path.parent / "changed.pb"
    other.write_bytes(graph_bytes(changed))
    assert import_fid_weights(other, folder, allow_unverified=True) != DIGEST


@published
def test_a_converted_file_of_another_machine_is_known_by_its_tensors(
    graph_path: Path, tmp_path: Path, folder: Path
) -> None:
    here = WeightsFolder(folder)
    import_fid_weights(graph_path, folder)
    other = tmp_path / "other"
    with pytest.raises(InvalidInput, match="no known digest"):
        import_fid_weights(here.converted_path_of(DIGEST), other)
    assert import_fid_weights(here.converted_path_of(DIGEST), other, allow_unverified=True) == DIGEST
    assert import_fid_weights(here.converted_path_of(DIGEST), other) == DIGEST
    assert WeightsFolder(other).labelled(LABEL) is None


def test_the_files_of_keras_are_told_apart(keras_weights_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_tensors(keras_weights_path)
    assert "those of Keras" in caught.value.what
    assert f"vaeval weights import {keras_weights_path} --as inception-v3-keras" in str(caught.value.next_step)


@pytest.mark.parametrize(("content", "said"), [(b"", "empty"), (b"<html>404", "3c 68 74 6d 6c 3e")])
def test_a_file_in_no_known_format_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_tensors(path)
    assert said in str(caught.value.received)
    assert "a PyTorch state dict (.pth)" in str(caught.value.expected)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.pb"):
        import_fid_weights(tmp_path / "absent.pb", folder)
    with pytest.raises(InvalidInput, match="Is a directory"):
        import_fid_weights(tmp_path, folder)


# --- workers and other folders ----------------------------------------------------------------------------------------


@published
def test_verified_weights_are_taken_over_from_another_folder(graph_path: Path, tmp_path: Path, folder: Path) -> None:
    other = tmp_path / "other"
    assert not copy_verified_weights(other, folder)
    import_fid_weights(graph_path, other)
    assert copy_verified_weights(other, folder)
    assert names_in(folder) == CONVERTED
    assert find_fid_weights(None, folder) == DIGEST


@published
def test_a_worker_without_the_weights_and_without_a_network_says_so(graph_path: Path, tmp_path: Path) -> None:
    spec = resolve_extractor("inception-v3-fid", weights=graph_path, weights_folder=tmp_path / "here")
    with pytest.raises(WeightsUnavailable, match="could not be downloaded"):
        load_extractor(spec, tmp_path / "there")


@published
def test_a_worker_that_has_the_published_weights_but_needs_others_says_which(graph_path: Path, folder: Path) -> None:
    spec = resolve_extractor("inception-v3-fid", weights=graph_path, weights_folder=folder)
    with pytest.raises(WeightsUnavailable) as caught:
        load_extractor(spec.model_copy(update={"weights_digest": "c" * 64}), folder)
    assert caught.value.received == f"no undamaged file {folder / ('c' * 64)}.safetensors"
    assert "copy the file" in str(caught.value.next_step)


# --- processes ----------------------------------------------------------------------------------------------------------

AS_IF_PUBLISHED = """
    import sys
    from pathlib import Path
    from tests.inception_tensors import SMALL_SHAPES, published_as
    from vaeval_core.features import converted_weights, fid_weights
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    converted_weights.tensor_shapes = lambda: dict(SMALL_SHAPES)
    fid_weights.SOURCES = published_as(path.read_bytes(), "http://127.0.0.1:9")
"""


PROJECT = Path(__file__).parents[4]


def program(text: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(AS_IF_PUBLISHED) + textwrap.dedent(text)]


@pytest.mark.service
def test_two_processes_importing_at_once_leave_one_whole_file(graph_path: Path, folder: Path) -> None:
    command = program("""
        print("ready", flush=True)
        sys.stdin.readline()
        print(fid_weights.import_fid_weights(path, folder))
    """)
    processes = [
        subprocess.Popen(
            [*command, str(graph_path), str(folder)],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=120)[0] for process in processes] == [f"{DIGEST}\n"] * 2
    assert names_in(folder) == CONVERTED
    assert WeightsFolder(folder).labelled(LABEL) == DIGEST


@pytest.mark.service
@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are those of Linux")
def test_a_read_only_folder_serves_what_it_has_and_refuses_what_it_has_not(
    graph_path: Path, tmp_path: Path, folder: Path
) -> None:
    # The superuser may write anywhere, so the program first gives up that right; others lose nothing by it.
    command = program("""
        import ctypes
        from vaeval_core.errors import StorageFailed
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
        try:
            print(fid_weights.find_fid_weights(None, folder))
            print(fid_weights.import_fid_weights(path, folder))
        except StorageFailed as error:
            print(error.what, error.received, error.next_step, sep="\\n")
    """)
    filling = program("fid_weights.import_fid_weights(path, folder)")
    subprocess.run([*filling, graph_path, folder], cwd=PROJECT, check=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    try:
        for read_only in (folder, empty):
            read_only.chmod(0o555)
        has, has_not = (
            subprocess.run([*command, graph_path, given], cwd=PROJECT, capture_output=True, text=True, check=True)
            for given in (folder, empty)
        )
    finally:
        for read_only in (folder, empty):
            read_only.chmod(0o755)
    assert has.stdout == f"{DIGEST}\n{DIGEST}\n"
    assert has_not.stdout.splitlines()[:2] == [
        "The weights folder cannot be used.",
        f"{empty} (Permission denied)",
    ]
    assert list(empty.iterdir()) == []

"""`vaeval weights`: what it lists, brings and checks; with a graph of a few random weights declared to be published."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.demo import choose_extractor
from cli.exit_codes import ExitCode
from tests.file_server import serving
from tests.inception_tensors import GRAPH, SMALL_SHAPES, graph_bytes, published_as, small_tensors
from tests.unit.cli.conftest import Outcome
from vaeval_core.features import converted_weights, fid_weights, keras_weights_file
from vaeval_core.features.published_file import PublishedFile
from vaeval_core.features.tensor_files import tensors_digest

Vaeval = Callable[..., Outcome]

CONTENT = graph_bytes(small_tensors())
DIGEST = tensors_digest(dict(small_tensors()))
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(converted_weights, "tensor_shapes", lambda: dict(SMALL_SHAPES))
    monkeypatch.setattr(fid_weights, "SOURCES", published_as(CONTENT, NOWHERE))
    monkeypatch.setattr(
        keras_weights_file, "PUBLISHED", PublishedFile("keras.h5", f"{NOWHERE}/keras.h5", "md5", "0" * 32)
    )


@pytest.fixture
def graph_path(tmp_path: Path) -> Path:
    path = tmp_path / "brought.pb"
    path.write_bytes(CONTENT)
    return path


def test_an_empty_home_lists_what_is_absent_and_how_to_get_it(vaeval: Vaeval, home: Path) -> None:
    outcome = vaeval("weights", "list")
    assert outcome.exit_code == ExitCode.OK
    fid, keras, lpips = outcome.out.splitlines()[1:]
    assert fid.split()[:2] == ["inception-v3-fid", "absent"]
    assert keras.split()[:2] == ["inception-v3-keras", "absent"]
    assert lpips.split()[:2] == ["lpips", "absent"]
    assert f"`vaeval weights fetch inception-v3-fid` brings it from {NOWHERE}/{GRAPH}" in outcome.err.splitlines()
    assert not home.exists()


def test_an_imported_file_is_verified_and_listed(vaeval: Vaeval, home: Path, graph_path: Path) -> None:
    imported = vaeval("weights", "import", graph_path, "--json").document
    assert imported == {
        "schema": "vaeval.weights.import/1",
        "name": "inception-v3-fid",
        "status": "verified",
        "file": str(home / "weights" / f"{DIGEST}.safetensors"),
        "size": (home / "weights" / f"{DIGEST}.safetensors").stat().st_size,
        "digest": DIGEST,
        "source": "brought.pb",
        "urls": [file.url for file in fid_weights.SOURCES],
    }
    listed = vaeval("weights", "list", "--json").document
    assert listed["schema"] == "vaeval.weights.list/1"
    assert listed["folder"] == str(home / "weights")
    assert [(row["name"], row["status"]) for row in listed["weights"]] == [
        ("inception-v3-fid", "verified"),
        ("inception-v3-keras", "absent"),
        ("lpips", "absent"),
    ]
    table = vaeval("weights", "list").out
    assert "brought.pb" in table
    assert DIGEST[:12] in table


def test_a_file_that_nobody_publishes_needs_a_permission_and_is_marked(
    vaeval: Vaeval, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.pb"
    path.write_bytes(graph_bytes(dict(small_tensors()) | {"softmax/biases": small_tensors()["softmax/biases"] * 2}))
    refused = vaeval("weights", "import", path)
    assert refused.exit_code == ExitCode.USAGE
    assert hashlib.sha256(path.read_bytes()).hexdigest() in refused.err
    assert f"vaeval weights import {path} --allow-unverified" in refused.err
    assert not (home / "weights").exists()
    taken = vaeval("weights", "import", path, "--allow-unverified")
    assert taken.exit_code == ExitCode.OK
    assert "unverified" in taken.out
    assert f"--extractor inception-v3-fid --weights {path}" in taken.err
    rows = vaeval("weights", "list", "--json").document["weights"]
    assert [(row["name"], row["status"]) for row in rows] == [
        ("inception-v3-fid", "unverified"),
        ("inception-v3-fid", "absent"),
        ("inception-v3-keras", "absent"),
        ("lpips", "absent"),
    ]
    assert rows[0]["digest"] != DIGEST


@pytest.mark.parametrize("name", ["inception-v3-fid", "inception-v3-keras"])
def test_no_network_is_one_error_with_everything_to_bring(vaeval: Vaeval, name: str) -> None:
    outcome = vaeval("weights", "fetch", name)
    assert outcome.exit_code == ExitCode.NOT_FOUND
    assert outcome.out == ""
    file = fid_weights.SOURCES[0] if name == "inception-v3-fid" else keras_weights_file.PUBLISHED
    assert f"{file.name} from {file.url} with {file.algorithm} {file.digest}" in outcome.err
    assert "Connection refused" in outcome.err
    assert f"vaeval weights import PATH/{file.name}" in outcome.err
    assert [line.partition(":")[0].strip() for line in outcome.err.splitlines()] == [
        "error",
        "received",
        "expected",
        "next",
    ]


@pytest.mark.service
def test_fetching_brings_the_file_once(vaeval: Vaeval, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({GRAPH: CONTENT}) as server:
        monkeypatch.setattr(fid_weights, "SOURCES", published_as(CONTENT, server.url))
        first = vaeval("weights", "fetch", "inception-v3-fid")
        again = vaeval("weights", "fetch", "inception-v3-fid")
    assert (first.exit_code, again.exit_code) == (ExitCode.OK, ExitCode.OK)
    assert server.asked == [("GET", GRAPH)]
    assert DIGEST[:12] in first.out
    assert first.out == again.out
    assert "fetching inception-v3-fid" in first.err
    assert again.err == ""


WISH = ("--data", "digits:test", "--samples", "40", "--reconstructions", "40", "--reference", "64")


@pytest.mark.service
@pytest.mark.usefixtures("no_broker")
def test_submitting_fetches_what_is_not_here_and_says_how_far_it_is(
    vaeval: Vaeval, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving({GRAPH: CONTENT}) as server:
        monkeypatch.setattr(fid_weights, "SOURCES", published_as(CONTENT, server.url))
        first = vaeval("submit", checkpoints, *WISH, "--extractor", "inception-v3-fid")
        again = vaeval("submit", checkpoints, *WISH, "--extractor", "inception-v3-fid")
    assert server.asked == [("GET", GRAPH)]
    assert "fetching the weights of inception-v3-fid: 0.0 MB of 0.0 MB" in first.err
    assert "fetching" not in again.err
    assert protocols(vaeval) == {"standard,samples=40,reconstructions=40,reference=64"}


@pytest.mark.usefixtures("no_broker")
def test_weights_that_nobody_publishes_stand_in_the_name_of_the_protocol(
    vaeval: Vaeval, checkpoints: Path, graph_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.pb"
    path.write_bytes(graph_bytes(dict(small_tensors()) | {"softmax/biases": small_tensors()["softmax/biases"] * 2}))
    digest = vaeval("weights", "import", path, "--allow-unverified", "--json").document["digest"]
    vaeval("submit", checkpoints, *WISH, "--extractor", "inception-v3-fid", "--weights", path)
    name = "standard,samples=40,reconstructions=40,reference=64"
    assert protocols(vaeval) == {f"{name},weights={digest[:12]}"}
    # The published file under another name is the published file.
    vaeval("submit", checkpoints, *WISH, "--extractor", "inception-v3-fid", "--weights", graph_path)
    assert protocols(vaeval) == {f"{name},weights={digest[:12]}", name}


def protocols(vaeval: Vaeval) -> set[str]:
    return {entry["protocol"] for entry in vaeval("status", "--json").document["evaluations"]}


def test_a_download_that_broke_off_is_listed(vaeval: Vaeval, home: Path) -> None:
    (home / "weights").mkdir(parents=True)
    (home / "weights" / f"{GRAPH}.partial").write_bytes(bytes(1_500_000))
    row = vaeval("weights", "list", "--json").document["weights"][0]
    assert (row["status"], row["size"], row["source"]) == ("incomplete", 1_500_000, GRAPH)


def test_files_that_are_no_weights_are_not_listed(vaeval: Vaeval, home: Path) -> None:
    (home / "weights").mkdir(parents=True)
    for name in ("notes.txt", "model.safetensors", "model.h5"):
        (home / "weights" / name).write_bytes(b"x")
    rows = vaeval("weights", "list", "--json").document["weights"]
    assert {row["status"] for row in rows} == {"absent"}


def test_an_extractor_without_a_file_is_told_apart(vaeval: Vaeval) -> None:
    outcome = vaeval("weights", "fetch", "inception-v3-fit")
    assert outcome.exit_code == ExitCode.USAGE
    assert "received:  inception-v3-fit" in outcome.err
    assert "one of inception-v3-fid, inception-v3-keras" in outcome.err
    assert "did you mean inception-v3-fid?" in outcome.err


def test_a_file_for_another_extractor_is_refused(vaeval: Vaeval, graph_path: Path) -> None:
    outcome = vaeval("weights", "import", graph_path, "--as", "inception-v3-keras")
    assert outcome.exit_code == ExitCode.USAGE
    assert "it is not an HDF5 file" in outcome.err


def test_a_missing_file_is_named(vaeval: Vaeval, tmp_path: Path) -> None:
    outcome = vaeval("weights", "import", tmp_path / "absent.pb")
    assert outcome.exit_code == ExitCode.NOT_FOUND
    assert f"received:  {tmp_path / 'absent.pb'}" in outcome.err


def test_whole_weights_pass_the_check(vaeval: Vaeval, graph_path: Path) -> None:
    vaeval("weights", "import", graph_path)
    outcome = vaeval("weights", "verify")
    assert outcome.exit_code == ExitCode.OK
    assert "verified" in outcome.out


def test_there_may_be_nothing_to_check(vaeval: Vaeval, home: Path) -> None:
    outcome = vaeval("weights", "verify")
    assert (outcome.exit_code, outcome.out) == (ExitCode.OK, "")
    assert f"There are no weights in {home / 'weights'}" in outcome.err


@pytest.mark.parametrize("damaged", ["weights", "note"])
def test_damaged_weights_are_found_and_replaced(vaeval: Vaeval, home: Path, graph_path: Path, damaged: str) -> None:
    vaeval("weights", "import", graph_path)
    path = home / "weights" / f"{DIGEST}.safetensors"
    content = bytearray(path.read_bytes())
    # The note about the source stands in the header; the tensors behind it.
    place = content.index(b"brought.pb") if damaged == "note" else len(content) - 1
    content[place] ^= 1
    path.write_bytes(content)
    outcome = vaeval("weights", "verify", "--json")
    assert outcome.exit_code == ExitCode.NOT_FOUND
    assert outcome.document["exit_code"] == ExitCode.NOT_FOUND
    assert [(row["file"], row["status"]) for row in outcome.document["weights"]] == [(str(path), "damaged")]
    assert "vaeval weights fetch inception-v3-fid" in outcome.err
    vaeval("weights", "import", graph_path)
    assert vaeval("weights", "verify").exit_code == ExitCode.OK


def test_the_demo_takes_the_weights_that_the_user_has(
    vaeval: Vaeval, graph_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vaeval("weights", "import", graph_path)
    assert choose_extractor(tmp_path / "demo") == "inception-v3-fid"
    assert (tmp_path / "demo" / "weights" / f"{DIGEST}.safetensors").is_file()
    assert capsys.readouterr().err == ""


def test_the_demo_says_in_one_line_what_it_uses_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_extractor(tmp_path / "demo") == "inception-v3-random"
    (line,) = capsys.readouterr().err.splitlines()
    assert "inception-v3-random is used" in line
    assert not (tmp_path / "demo").exists()


def test_the_demo_minds_no_setting_that_is_wrong(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VAEVAL_DATABASE_URL", "mysql://nowhere")
    assert choose_extractor(tmp_path / "demo") == "inception-v3-random"

"""`vaeval demo` from nothing, as a user who types it: a smaller one, with 32 images per stream instead of 192."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.service, pytest.mark.tensorflow]

PROGRAM = Path(sys.executable).with_name("vaeval")


def demo(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it with a shell that would lead elsewhere, which it must not follow, and without a network or a cache."""
    return subprocess.run(
        [PROGRAM, "demo", "--images", "32", "--json"],
        cwd=folder,
        env=os.environ
        | {
            "VAEVAL_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "HOME": str(folder.with_name(f"{folder.name}-user")),
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        },
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(folder: Path) -> subprocess.CompletedProcess[str]:
    finished = demo(folder)
    assert finished.returncode == 0, finished.stderr
    return finished


def rows_of(finished: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Of the five checkpoints, in the order of training."""
    rows: list[dict[str, Any]] = json.loads(finished.stdout)["rows"]
    return sorted((row for row in rows if not row["noise_floor"]), key=lambda row: row["step"])


def test_training_makes_the_scores_better(first: subprocess.CompletedProcess[str]) -> None:
    rows = rows_of(first)
    assert [row["step"] for row in rows] == [1, 3, 10, 30, 100]
    assert rows[-1]["rank"] == 1
    # Ten times with the images of the demo itself; fewer images leave more of the distance to chance.
    assert rows[0]["fid"] > 4 * rows[-1]["fid"]
    assert rows[0]["rfid"] > 4 * rows[-1]["rfid"]
    assert [row["mse"] for row in rows] == sorted((row["mse"] for row in rows), reverse=True)


def test_a_reader_sees_how_low_is_low(first: subprocess.CompletedProcess[str]) -> None:
    (floor,) = [row for row in json.loads(first.stdout)["rows"] if row["noise_floor"]]
    assert (floor["checkpoint"], floor["rank"], floor["rfid"]) == ("noise floor: digits:test", None, None)
    assert floor["num_samples"] == rows_of(first)[0]["num_samples"]
    assert 0 < floor["fid"] < rows_of(first)[0]["fid"]


def test_without_a_network_it_says_what_it_uses_instead(first: subprocess.CompletedProcess[str]) -> None:
    said = [line for line in first.stderr.splitlines() if "inception-v3-random" in line]
    assert len(said) == 1
    assert "vaeval weights fetch inception-v3-fid" in said[0]
    assert {row["extractor"] for row in rows_of(first)} == {"inception-v3-random"}


def test_the_pictures_are_a_png_in_the_folder_of_the_demo(
    first: subprocess.CompletedProcess[str], folder: Path
) -> None:
    assert (folder / "vaeval-demo" / "pictures.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "vaeval-demo/pictures.png" in first.stderr
    assert [path.name for path in folder.iterdir()] == ["vaeval-demo"]


def test_what_it_tells_to_type_next_can_be_typed(first: subprocess.CompletedProcess[str], folder: Path) -> None:
    told = [line.strip() for line in first.stderr.partition("Next:\n")[2].splitlines()]
    commands = [line for line in told if "YOUR_" not in line]
    assert [re.findall(r"vaeval (\w+)", line)[-1] for line in commands] == ["leaderboard", "show", "sql"]
    for command in commands:
        typed = subprocess.run(["/bin/sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60)
        assert typed.returncode == 0, typed.stderr
        assert "100" in typed.stdout


def test_a_second_demo_finds_everything_done(first: subprocess.CompletedProcess[str], folder: Path) -> None:
    again = demo(folder)
    assert again.returncode == 0, again.stderr
    assert "The five checkpoints are there already" in again.stderr
    assert json.loads(again.stdout)["created"] == 0
    assert rows_of(again) == rows_of(first)

"""What files, folders and patterns lead to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from vaeval_core.checkpoints.catalogue import find_checkpoints
from vaeval_core.errors import InvalidInput, NotFound


def touched(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")


def found(root: Path, *arguments: str) -> list[str]:
    paths = find_checkpoints([str(root / argument) for argument in arguments])
    return [path.relative_to(root).as_posix() for path in paths]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for step in (1, 3, 10):
        touched(tmp_path, f"beta4/step-{step}/encoder.keras", f"beta4/step-{step}/decoder.keras")
    touched(
        tmp_path, "beta4/log.txt", "beta1/vae-0001.keras", "beta1/.backup/vae.keras", "pca/linear_gaussian.safetensors"
    )
    return tmp_path


@pytest.mark.parametrize("argument", ["beta4/step-3", "beta4/step-3/encoder.keras", "beta4/step-3/decoder.keras"])
def test_a_folder_with_a_pair_is_one_checkpoint_whichever_part_is_named(runs: Path, argument: str) -> None:
    assert found(runs, argument) == ["beta4/step-3"]


def test_a_folder_is_searched_below_in_natural_order(runs: Path) -> None:
    steps = ["beta4/step-1", "beta4/step-3", "beta4/step-10"]
    assert found(runs, "") == ["beta1/vae-0001.keras", *steps, "pca"]


def test_a_pattern_that_no_shell_expanded_is_expanded(runs: Path) -> None:
    assert found(runs, "*/step-*/") == ["beta4/step-1", "beta4/step-3", "beta4/step-10"]


def test_a_pattern_passes_over_what_it_matches_besides(runs: Path) -> None:
    assert found(runs, "beta4/*") == ["beta4/step-1", "beta4/step-3", "beta4/step-10"]


def test_a_pattern_reaches_any_depth(runs: Path) -> None:
    assert found(runs, "**/*.keras") == ["beta1/vae-0001.keras", "beta4/step-1", "beta4/step-3", "beta4/step-10"]


def test_what_is_named_twice_counts_once(runs: Path) -> None:
    assert found(runs, "beta4", "beta4/../beta4/step-3", "beta4/step-3/encoder.keras") == [
        "beta4/step-1",
        "beta4/step-3",
        "beta4/step-10",
    ]


def test_a_file_of_a_linear_gaussian_folder_means_the_folder(runs: Path) -> None:
    assert found(runs, "pca/linear_gaussian.safetensors") == ["pca"]


def test_a_file_that_is_named_is_kept_for_describe_to_judge(runs: Path) -> None:
    assert found(runs, "beta4/log.txt") == ["beta4/log.txt"]


def test_a_half_pair_is_found_so_that_it_can_be_refused(tmp_path: Path) -> None:
    touched(tmp_path, "run/encoder.keras")
    assert found(tmp_path, "run") == ["run/encoder.keras"]


def test_a_name_with_brackets_that_exists_is_no_pattern(tmp_path: Path) -> None:
    touched(tmp_path, "run[1]/encoder.keras", "run[1]/decoder.keras")
    assert found(tmp_path, "run[1]") == ["run[1]"]


def test_a_link_to_a_folder_is_followed(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("scratch")
    touched(elsewhere, "step-7/encoder.keras", "step-7/decoder.keras")
    (runs / "beta4" / "moved").symlink_to(elsewhere)
    assert found(runs, "beta4") == ["beta4/moved/step-7", "beta4/step-1", "beta4/step-3", "beta4/step-10"]


def test_a_link_to_what_is_there_anyway_adds_nothing(runs: Path) -> None:
    (runs / "beta4" / "best").symlink_to(runs / "beta4" / "step-10")
    assert found(runs, "beta4") == ["beta4/step-1", "beta4/step-3", "beta4/step-10"]


def test_of_a_link_and_what_it_leads_to_a_pattern_takes_the_name_without_link(runs: Path) -> None:
    (runs / "beta4" / "best").symlink_to(runs / "beta4" / "step-10")
    assert found(runs, "beta4/*") == ["beta4/step-1", "beta4/step-3", "beta4/step-10"]
    assert found(runs, "beta4/best") == ["beta4/best"], "named alone, it keeps its name"


def test_a_folder_that_goes_while_it_is_searched_is_passed_over(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = os.walk

    def removing(root: Path, **options: Any) -> Iterator[Any]:
        for folder, subfolders, files in walk(root, **options):
            if folder.endswith("step-1"):
                shutil.rmtree(folder)  # as a training program does that keeps its latest checkpoints
            yield folder, subfolders, files

    monkeypatch.setattr(os, "walk", removing)
    assert found(runs, "beta4") == ["beta4/step-3", "beta4/step-10"]


def test_a_link_to_a_folder_above_does_not_go_round(runs: Path) -> None:
    (runs / "beta4" / "all").symlink_to(runs)
    assert found(runs, "beta4") == [
        "beta4/all/beta1/vae-0001.keras",
        "beta4/all/pca",
        "beta4/step-1",
        "beta4/step-3",
        "beta4/step-10",
    ]


def test_a_missing_path_leads_to_where_it_stops_existing(runs: Path) -> None:
    with pytest.raises(NotFound) as caught:
        find_checkpoints([str(runs / "beta4" / "stpe-3" / "vae.keras")])
    assert caught.value.next_step == f"see what is there: ls {runs / 'beta4'}"


def tensors(file: Path, *names: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.zeros(1, np.float32) for name in names}, file)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A linear Gaussian model among tensors of other kinds."""
    tensors(tmp_path / "pca-8.safetensors", "weights", "offset", "noise_variance", "image_shape")
    tensors(tmp_path / "unet" / "model.safetensors", "conv.weight")
    tensors(tmp_path / "unet" / "half.safetensors", "weights", "offset")
    touched(tmp_path, "empty.safetensors", "notes.txt")
    (tmp_path / "text.safetensors").write_bytes(b"\x05\0\0\0\0\0\0\0hello")
    (tmp_path / "list.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    (tmp_path / "huge.safetensors").write_bytes(b"\xff\xff\xff\xff\xff\0\0\0{}")
    return tmp_path


@pytest.mark.parametrize("argument", ["", "*", "**", "**/*.safetensors", "*.safetensors"])
def test_of_tensors_a_search_takes_those_of_a_checkpoint(mixed: Path, argument: str) -> None:
    assert found(mixed, argument) == ["pca-8.safetensors"]


def test_tensors_that_are_named_are_kept_for_describe_to_judge(mixed: Path) -> None:
    assert found(mixed, "unet/model.safetensors", "empty.safetensors") == [
        "empty.safetensors",
        "unet/model.safetensors",
    ]


def test_where_there_are_only_other_tensors_it_is_said(mixed: Path) -> None:
    with pytest.raises(NotFound) as caught:
        find_checkpoints([str(mixed / "unet")])
    assert str(caught.value.received).startswith(
        f"{mixed / 'unet'} (passed over .safetensors of another kind: 2, such as"
    )


@pytest.mark.parametrize("argument", ["", "*", "**", "**/*.keras", "beta*", "*/step-*/"])
def test_folders_to_pass_over_are_not_entered(runs: Path, argument: str) -> None:
    paths = find_checkpoints([str(runs / argument)], pass_over=lambda folder: folder.name in {"beta1", "step-3"})
    names = {path.relative_to(runs).as_posix() for path in paths}
    assert names - {"pca"} == {"beta4/step-1", "beta4/step-10"}


def test_a_folder_to_pass_over_is_entered_if_it_is_named(runs: Path) -> None:
    def everything(_folder: Path) -> bool:
        return True

    assert find_checkpoints([str(runs / "beta1")], pass_over=everything) == (runs / "beta1" / "vae-0001.keras",)
    assert len(find_checkpoints([str(runs / "beta4" / "step-3")], pass_over=everything)) == 1
    with pytest.raises(NotFound, match=r"passed over folders of vaeval itself: 3, such as"):
        find_checkpoints([str(runs)], pass_over=everything)


@pytest.mark.parametrize("argument", ["", " ", "\n"])
def test_an_empty_argument_is_not_the_current_folder(
    runs: Path, argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(runs)
    with pytest.raises(InvalidInput) as caught:
        find_checkpoints(["beta4", argument])
    assert caught.value.received == repr(argument)
    assert "`.` is the current folder" in str(caught.value.expected)
    assert "shell variable" in str(caught.value.next_step)


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("beta9", "There is no such checkpoint."),
        ("*/epoch-*", "No checkpoint was found."),
        ("empty", "No checkpoint was found."),
    ],
)
def test_nothing_found_names_the_argument(runs: Path, argument: str, sentence: str) -> None:
    (runs / "empty").mkdir()
    with pytest.raises(NotFound) as caught:
        find_checkpoints([str(runs / "beta4"), str(runs / argument)])
    assert caught.value.what == sentence
    assert caught.value.received == str(runs / argument)
    assert "encoder.keras and decoder.keras" in str(caught.value.expected)

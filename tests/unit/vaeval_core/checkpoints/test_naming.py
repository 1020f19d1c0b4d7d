"""Names, steps and the order of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaeval_core.checkpoints.naming import natural_order, short_name, training_step


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/runs/beta4/step-300", "beta4/step-300"),
        ("/data/runs/beta4/vae.best.keras", "beta4/vae.best"),
        ("/vae.keras", "vae"),
        ("/data/runs/lr0.1", "runs/lr0.1"),
    ],
)
def test_the_name_is_the_last_two_parts_without_file_suffix(path: str, name: str) -> None:
    assert short_name(Path(path)) == name


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("runs/beta4/step-300", 300),
        ("runs/beta4/Epoch_3", 3),
        ("runs/beta4/step=3", 3),
        ("runs/beta4/ckpt-12.keras", 12),
        ("runs/beta4/checkpoint12.keras", 12),
        ("runs/beta4/global_step_0500", 500),
        ("runs/beta4/vae-0100.keras", 100),
        ("runs/beta4/model.07-0.35.keras", 7),
        ("runs/beta4/ep7", 7),
        ("runs/beta4/300", 300),
        ("runs/epoch-3/vae.keras", 3),
        ("runs/step-1/step-2", 2),
        ("runs/step_003_of_100/vae.keras", 3),
    ],
)
def test_a_step_is_read_from_the_path(path: str, step: int) -> None:
    assert training_step(Path(path)) == step


@pytest.mark.parametrize(
    "path",
    [
        "runs/beta-4/best",
        "runs/seed_1",
        "runs/latent16",
        "runs/deep7",
        "step-9/a/b",
        "runs/vae.keras",
        "runs/footstep3",
    ],
)
def test_other_numbers_are_no_step(path: str) -> None:
    assert training_step(Path(path)) is None


def test_a_number_too_long_for_a_step_is_none() -> None:
    assert training_step(Path("runs/step-20260101120000123456")) is None


def test_digits_sort_as_numbers() -> None:
    paths = [Path(f"/runs/{name}") for name in ("step-10", "step-3", "a", "step-3/x", "10", "9")]
    names = [path.relative_to("/runs").as_posix() for path in sorted(paths, key=natural_order)]
    assert names == ["9", "10", "a", "step-3", "step-3/x", "step-10"]

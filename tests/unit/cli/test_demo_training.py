"""The VAE of the demo: what is kept of it, and from which images it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cli import demo_training
from cli.demo_training import checkpoint_folders, is_trained, main
from vaeval_core.images import digits


def test_the_folders_are_named_by_epoch_in_the_order_of_training(tmp_path: Path) -> None:
    names = [folder.name for folder in checkpoint_folders(tmp_path)]
    assert names == ["epoch-001", "epoch-003", "epoch-010", "epoch-030", "epoch-100"]
    assert names == sorted(names)


def test_a_training_that_was_interrupted_is_not_complete(tmp_path: Path) -> None:
    *earlier, last = checkpoint_folders(tmp_path)
    for folder in earlier:
        folder.mkdir()
    last.with_suffix(".partial").mkdir()
    assert not is_trained(tmp_path)
    last.mkdir()
    assert is_trained(tmp_path)


def test_a_complete_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Path] = []
    monkeypatch.setattr(demo_training, "train", trained.append)
    for folder in checkpoint_folders(tmp_path):
        folder.mkdir()
    main(["--output", str(tmp_path)])
    assert trained == []
    main(["--output", str(tmp_path), "--retrain"])
    assert trained == [tmp_path]


@pytest.mark.tensorflow
def test_a_repeated_training_that_is_interrupted_leaves_nothing_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_encoder: object, _decoder: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_training, "_training_model", interrupt)
    for folder in checkpoint_folders(tmp_path):
        folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        main(["--output", str(tmp_path), "--retrain"])
    assert not is_trained(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.tensorflow
# Keras reads TensorFlow variables in a way that NumPy 2 calls deprecated; it is theirs to change.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_training_keeps_pairs_that_load_and_learns_from_the_training_digits_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    splits: list[str] = []

    def few_digits(split: digits.DigitsSplit) -> tuple[np.ndarray, np.ndarray]:
        splits.append(split)
        images, labels = read_digits(split)
        return images[:64], labels[:64]

    read_digits = digits.digits_split
    monkeypatch.setattr(digits, "digits_split", few_digits)
    monkeypatch.setattr(demo_training, "EPOCHS", (1, 2))
    half_written = tmp_path / "epoch-002.partial"
    half_written.mkdir()
    (half_written / "encoder.keras").write_bytes(b"half")

    main(["--output", str(tmp_path)])

    assert splits == ["train"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-001", "epoch-002"]
    images = read_digits("test")[0][:3].astype("float32") / 255
    means = []
    for folder in checkpoint_folders(tmp_path):
        encoder = keras.saving.load_model(folder / "encoder.keras")
        decoder = keras.saving.load_model(folder / "decoder.keras")
        mean, log_variance = encoder.predict_on_batch(images)
        decoded = decoder.predict_on_batch(mean)
        assert encoder.output_names == ["z_mean", "z_log_var"]
        assert mean.shape == log_variance.shape == (3, demo_training.LATENT_SIZE)
        assert decoded.shape == (3, 8, 8, 1)
        assert 0 <= decoded.min() < decoded.max() <= 1
        means.append(mean)
    assert not np.array_equal(*means), "the second epoch has changed the encoder"

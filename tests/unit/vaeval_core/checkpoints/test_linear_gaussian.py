"""The linear Gaussian VAE, against its closed forms worked out another way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from vaeval_core.checkpoints.linear_gaussian import fit_linear_gaussian, linear_gaussian_vae, load_linear_gaussian
from vaeval_core.checkpoints.probe import probe
from vaeval_core.errors import CheckpointRejected, InvalidInput, StorageFailed, TooFewImages


def skewed_weights() -> np.ndarray:
    """(6, 2) with columns that are far from orthogonal."""
    return np.random.default_rng(3).normal(size=(6, 2)) @ np.array([[1.0, 0.9], [0.0, 0.4]])


def test_two_latents_by_hand() -> None:
    # s = (2, 1), σ² = ¼: variances σ²/(s²+σ²) = 1/17 and 1/5; means s·x/(s²+σ²) = (8/17)·x₁ and (4/5)·x₂.
    weights = np.zeros((4, 2))
    weights[0, 0], weights[1, 1] = 2.0, 1.0
    model = linear_gaussian_vae(weights, np.full(4, 0.5), 0.25, (2, 2, 1))
    posterior = model.encode(np.float32([1.0, 0.75, 0.0, 0.5]).reshape(1, 2, 2, 1))
    np.testing.assert_allclose(posterior.mean, [[4 / 17, 1 / 5]], rtol=1e-6)
    assert posterior.log_variance is not None
    np.testing.assert_allclose(posterior.log_variance, np.log([[1 / 17, 1 / 5]]), rtol=1e-6)
    np.testing.assert_allclose(model.decode(np.float32([[0.1, -0.2]])).ravel(), [0.7, 0.3, 0.5, 0.5], rtol=1e-6)
    assert (model.image_shape, model.latent_size) == ((2, 2, 1), 2)


def test_any_weights_become_the_same_model_with_independent_latents() -> None:
    weights, offset = skewed_weights(), np.linspace(0.1, 0.6, 6)
    model = linear_gaussian_vae(weights, offset, 0.3, (2, 3, 1))
    np.testing.assert_allclose(model.weights @ model.weights.T, weights @ weights.T, atol=1e-12)
    gram = model.weights.T @ model.weights
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-12)


def test_the_posterior_is_that_of_conditioning_the_joint_gaussian() -> None:
    weights, offset, noise = skewed_weights(), np.linspace(0.1, 0.6, 6), 0.3
    model = linear_gaussian_vae(weights, offset, noise, (2, 3, 1))
    image = np.random.default_rng(4).random((1, 2, 3, 1), dtype=np.float32)
    # Cov(z, x) = Wᵀ and Cov(x) = W Wᵀ + σ² I, conditioned the general way.
    gain = model.weights.T @ np.linalg.inv(model.weights @ model.weights.T + noise * np.eye(6))
    covariance = np.eye(2) - gain @ model.weights
    posterior = model.encode(image)
    np.testing.assert_allclose(posterior.mean[0], gain @ (image.ravel() - offset), rtol=1e-5)
    assert posterior.log_variance is not None
    np.testing.assert_allclose(np.diag(np.exp(posterior.log_variance[0])), covariance, atol=1e-6)


def test_orthogonal_columns_are_left_alone() -> None:
    weights = np.zeros((4, 3))
    weights[2, 0], weights[0, 1] = -1.0, 3.0  # out of order, one negative, one unused
    assert np.array_equal(linear_gaussian_vae(weights, np.zeros(4), 1.0, (2, 2, 1)).weights, weights)


def test_more_latents_than_pixels_leave_some_unused() -> None:
    weights = np.random.default_rng(5).normal(size=(3, 5))
    model = linear_gaussian_vae(weights, np.zeros(3), 1.0, (1, 1, 3))
    np.testing.assert_allclose(model.weights @ model.weights.T, weights @ weights.T, atol=1e-12)
    posterior = model.encode(np.zeros((2, 1, 1, 3), np.float32))
    assert posterior.log_variance is not None
    np.testing.assert_allclose(posterior.log_variance[:, 3:], 0.0, atol=1e-12)


def test_a_saved_model_comes_back_bit_for_bit(tmp_path: Path) -> None:
    model = linear_gaussian_vae(skewed_weights(), np.linspace(0.1, 0.6, 6), 0.3, (2, 3, 1))
    loaded = load_linear_gaussian(model.save(tmp_path / "deep" / "pca.safetensors"))
    assert np.array_equal(loaded.weights, model.weights)
    assert np.array_equal(loaded.offset, model.offset)
    assert (loaded.noise_variance, loaded.image_shape) == (0.3, (2, 3, 1))
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["pca.safetensors"]


def test_a_folder_gets_the_file_by_its_name(tmp_path: Path) -> None:
    model = linear_gaussian_vae(np.eye(4, 1), np.zeros(4), 1.0, (2, 2, 1))
    assert model.save(tmp_path / "step-1") == tmp_path / "step-1" / "linear_gaussian.safetensors"


def test_a_model_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    model = linear_gaussian_vae(np.eye(4, 1), np.zeros(4), 1.0, (2, 2, 1))
    with pytest.raises(StorageFailed, match=r"file/linear_gaussian\.safetensors .*a writable folder"):
        model.save(tmp_path / "file")


def test_the_image_shape_may_stand_in_the_metadata(tmp_path: Path) -> None:
    tensors = {"weights": np.eye(4, 1, dtype=np.float32), "offset": np.zeros(4), "noise_variance": np.ones(1)}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"image_shape": "2, 2, 1"})
    assert load_linear_gaussian(tmp_path / "a.safetensors").image_shape == (2, 2, 1)


@pytest.mark.parametrize(
    ("change", "received"),
    [
        ({"weights": None}, "image_shape, noise_variance, offset"),
        ({"image_shape": None}, "invalid literal"),
        ({"image_shape": np.array([2, 2])}, "image_shape [2, 2]"),
        ({"image_shape": np.array([2, 3, 1])}, "offset (4,), image_shape (2, 3, 1)"),
        ({"image_shape": np.array([1, 1, 4])}, "image_shape (1, 1, 4)"),
        ({"noise_variance": np.ones(2)}, "noise_variance of shape (2,)"),
        ({"noise_variance": np.zeros(1)}, "noise_variance 0.0"),
        ({"noise_variance": np.full(1, np.nan)}, "noise_variance nan"),
        ({"offset": np.full(4, np.inf)}, "weights (4, 1)"),
        ({"weights": np.zeros(4)}, "weights (4,)"),
        ({"weights": np.zeros((4, 0))}, "weights (4, 0)"),
    ],
)
def test_tensors_that_are_no_such_model_are_named(
    tmp_path: Path, change: dict[str, np.ndarray | None], received: str
) -> None:
    tensors: dict[str, np.ndarray | None] = {
        "weights": np.eye(4, 1),
        "offset": np.zeros(4),
        "noise_variance": np.ones(1),
        "image_shape": np.array([2, 2, 1]),
    }
    file = tmp_path / "model.safetensors"
    save_file({name: array for name, array in (tensors | change).items() if array is not None}, file)
    with pytest.raises(CheckpointRejected) as caught:
        load_linear_gaussian(file)
    assert received in str(caught.value.received)
    assert caught.value.expected


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    file = linear_gaussian_vae(np.eye(4, 1), np.zeros(4), 1.0, (2, 2, 1)).save(tmp_path)
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(CheckpointRejected, match="cannot be read as a linear Gaussian model") as caught:
        load_linear_gaussian(file)
    assert str(file) in str(caught.value.received)


def test_a_fit_has_the_closed_form_likelihood_maximum() -> None:
    images = np.random.default_rng(6).integers(0, 256, (40, 2, 3, 1), dtype=np.uint8)
    model = fit_linear_gaussian(images, 2)
    pixels = images.reshape(40, 6) / 255
    eigenvalues = np.linalg.eigvalsh(np.cov(pixels.T, bias=True))[::-1]
    assert model.noise_variance == pytest.approx(eigenvalues[2:].mean(), rel=1e-12)
    np.testing.assert_allclose(model.offset, pixels.mean(axis=0), rtol=1e-12)
    covariance = model.weights @ model.weights.T + model.noise_variance * np.eye(6)
    # The fitted covariance keeps the two largest eigenvalues and levels the others.
    expected = [*eigenvalues[:2], *[eigenvalues[2:].mean()] * 4]
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance)[::-1], expected, rtol=1e-10)


def test_a_fit_finds_the_model_that_drew_the_images() -> None:
    generator = np.random.default_rng(8)
    weights = np.zeros((4, 1))
    weights[:2, 0] = 0.1
    pixels = 0.5 + generator.normal(size=(20_000, 1)) @ weights.T + 0.02 * generator.normal(size=(20_000, 4))
    model = fit_linear_gaussian(np.rint(pixels * 255).clip(0, 255).astype(np.uint8).reshape(-1, 2, 2, 1), 1)
    np.testing.assert_allclose(model.weights, weights, atol=0.003)
    assert model.noise_variance == pytest.approx(0.0004, rel=0.05)


def test_more_pixels_than_images_can_be_fitted() -> None:
    images = np.random.default_rng(9).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    assert fit_linear_gaussian(images, 3).weights.shape == (48, 3)


def test_a_fit_that_leaves_no_noise_is_refused() -> None:
    images = np.random.default_rng(9).integers(0, 256, (4, 4, 4, 3), dtype=np.uint8)
    with pytest.raises(TooFewImages, match=r"4 images, latent_size=3.*at least 5 different images"):
        fit_linear_gaussian(images, 3)


@pytest.mark.parametrize(
    ("shape", "dtype", "latent_size"),
    [((4, 2, 2, 1), np.uint8, 4), ((4, 2, 2, 1), np.uint8, 0), ((4, 4), np.uint8, 1), ((4, 2, 2, 1), np.float32, 1)],
)
def test_a_fit_to_something_else_is_refused(shape: tuple[int, ...], dtype: type, latent_size: int) -> None:
    with pytest.raises(InvalidInput) as caught:
        fit_linear_gaussian(np.zeros(shape, dtype), latent_size)
    assert f"images {shape} {np.dtype(dtype)}, latent_size={latent_size}" in str(caught.value.received)
    assert "1 ≤ latent_size < h·w·c" in str(caught.value.expected)


def test_the_probe_finds_a_well_behaved_model_well_behaved() -> None:
    weights = np.zeros((4, 1))
    weights[0, 0] = 0.05
    assert probe(linear_gaussian_vae(weights, np.full(4, 0.5), 0.01, (2, 2, 1))) == ()

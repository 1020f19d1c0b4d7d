"""A VAE whose every quantity is known in closed form: probabilistic principal components.

    x = W z + b + σ ε,   z ~ N(0, I),  ε ~ N(0, I)                              Tipping & Bishop 1999
    z | x ~ N(M⁻¹ Wᵀ (x − b), σ² M⁻¹),   M = WᵀW + σ² I

Pixels x are in [0, 1]. A baseline that any trained VAE must beat, and an oracle: its posterior is exact, so its bound is
tight. One `.safetensors` file: `weights` W (D, L), `offset` b (D), `noise_variance` σ² (one number), and the image shape
as a tensor `image_shape` (3) or as metadata `image_shape: "8,8,1"`.

The posterior has independent latents only if the columns of W are orthogonal. Any W is therefore turned: with
W = U S Vᵀ, the model W V = U S is the same distribution of images, its latents z' = Vᵀ z are as standard normal as z,
and M is diagonal. Columns that are orthogonal already stay as they are. This happens on saving and on loading.
"""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaeval_core.checkpoints.base import Posterior
from vaeval_core.errors import CheckpointRejected, InvalidInput, StorageFailed, TooFewImages
from vaeval_core.likelihood import Likelihood
from vaeval_core.types import Float32, Float64, ImageShape, Uint8

LINEAR_GAUSSIAN_FILE = "linear_gaussian.safetensors"
_TENSORS = ("weights", "offset", "noise_variance")
_LONGEST_HEADER = 65_536  # bytes; four tensors need some hundreds
_ORTHOGONAL_WITHIN = 1e-6  # of the squared column lengths; float32 rounding stays below


@dataclass(frozen=True, eq=False)
class LinearGaussianVae:
    """The model, and a `VaeAdapter` in its own right. Make one with `linear_gaussian_vae` or `fit_linear_gaussian`.

    Attributes:
        weights: W (D, L) float64 with orthogonal columns.
        offset: b (D,) float64.
        noise_variance: σ² > 0.
        image_shape: (height, width, channels), D numbers.
    """

    weights: Float64
    offset: Float64
    noise_variance: float
    image_shape: ImageShape

    @property
    def latent_size(self) -> int:
        """Columns of W."""
        return int(self.weights.shape[1])

    @property
    def likelihood(self) -> Likelihood:
        """N(x̂, σ² I): its own, so that nothing has to be declared."""
        return Likelihood(kind="gaussian", sigma=math.sqrt(self.noise_variance))

    def encode(self, images: Float32) -> Posterior:
        """Exact posterior of images (n, h, w, c) float32 in [0, 1]."""
        precision = (self.weights**2).sum(axis=0) + self.noise_variance  # the diagonal of M
        centred = images.reshape(len(images), -1).astype(np.float64) - self.offset
        mean = (centred @ self.weights / precision).astype(np.float32)
        log_variance = np.log(self.noise_variance / precision).astype(np.float32)
        return Posterior(mean=mean, log_variance=np.broadcast_to(log_variance, mean.shape).copy())

    def decode(self, latents: Float32) -> Float32:
        """Mean images of latents (n, k) float32, not clamped."""
        pixels = latents.astype(np.float64) @ self.weights.T + self.offset
        return pixels.astype(np.float32).reshape(len(latents), *self.image_shape)

    def save(self, path: Path) -> Path:
        """Write the checkpoint in one step: a reader finds the old file or the new one, never a part.

        Args:
            path: A `.safetensors` file, or a folder, which then gets `linear_gaussian.safetensors`.

        Returns:
            The file.

        Raises:
            StorageFailed: It cannot be written.
        """
        from safetensors.numpy import save

        file = path if path.suffix == ".safetensors" else path / LINEAR_GAUSSIAN_FILE
        content = save(
            {
                "weights": np.ascontiguousarray(self.weights),
                "offset": np.ascontiguousarray(self.offset),
                "noise_variance": np.asarray(self.noise_variance, np.float64),
                "image_shape": np.asarray(self.image_shape, np.int64),
            }
        )
        unfinished = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(content)
            unfinished.replace(file)
        except OSError as error:
            with suppress(OSError):
                unfinished.unlink()
            raise StorageFailed(
                "A checkpoint cannot be written.",
                received=f"{file} ({error.strerror})",
                expected="a writable folder with space left",
                next_step="make room, or write it somewhere else",
            ) from error
        return file


def linear_gaussian_vae(
    weights: NDArray[np.floating], offset: NDArray[np.floating], noise_variance: float, image_shape: ImageShape
) -> LinearGaussianVae:
    """A model from any W; its columns are made orthogonal (see the module text).

    Args:
        weights: (D, L), finite.
        offset: (D,), finite.
        noise_variance: σ², finite, > 0.
        image_shape: (height, width, channels) with D numbers, channels 1 or 3.

    Raises:
        CheckpointRejected: Shapes do not fit, or a value is not finite or not positive.
    """
    shapes = f"weights {weights.shape}, offset {offset.shape}, image_shape {tuple(image_shape)}"
    fits = weights.ndim == 2 and weights.shape[1] >= 1 and offset.shape == weights.shape[:1]
    if not fits or len(image_shape) != 3 or math.prod(image_shape) != len(offset) or image_shape[2] not in {1, 3}:
        raise CheckpointRejected(
            "The tensors of a linear Gaussian model do not fit together.",
            received=shapes,
            expected="weights (D, L), offset (D,), image_shape (height, width, 1 or 3) with D numbers",
            next_step="write the file with LinearGaussianVae.save",
        )
    if not (np.isfinite(weights).all() and np.isfinite(offset).all() and 0 < noise_variance < math.inf):
        raise CheckpointRejected(
            "A linear Gaussian model has values that cannot be.",
            received=f"noise_variance {noise_variance}; {shapes}",
            expected="finite weights and offset, noise_variance > 0",
            next_step="fit the model again, with fewer latent dimensions than images",
        )
    height, width, channels = (int(length) for length in image_shape)
    return LinearGaussianVae(
        weights=_with_orthogonal_columns(weights.astype(np.float64)),
        offset=offset.astype(np.float64),
        noise_variance=float(noise_variance),
        image_shape=(height, width, channels),
    )


def has_linear_gaussian_header(path: Path) -> bool:
    """True if the file names the tensors of a linear Gaussian model where the format says so; reads nothing else.

    False also for what cannot be read: other tensors are stored in such files too, so who searches asks, and who was
    given the file's name does not.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LONGEST_HEADER:
                return False
            header = json.loads(file.read(length))
    except (OSError, ValueError):
        return False
    return isinstance(header, dict) and header.keys() >= set(_TENSORS)


def load_linear_gaussian(path: Path) -> LinearGaussianVae:
    """Read a `.safetensors` file.

    Raises:
        CheckpointRejected: The file is damaged or holds other tensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names, metadata = sorted(file.keys()), file.metadata() or {}
            if not set(_TENSORS) <= set(names):
                raise CheckpointRejected(
                    "The tensors are not those of a linear Gaussian model, the one kind read from safetensors.",
                    received=f"{path}: {', '.join(names[:8]) or 'no tensors'}",
                    expected=", ".join(_TENSORS) + " and image_shape",
                    next_step="save a Keras VAE as encoder.keras and decoder.keras in one folder",
                )
            weights, offset, noise = (file.get_tensor(name) for name in _TENSORS)
            written = (
                file.get_tensor("image_shape").ravel().tolist()
                if "image_shape" in names
                else [int(length) for length in metadata.get("image_shape", "").strip("()[] ").split(",")]
            )
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise CheckpointRejected(
            "The safetensors file cannot be read as a linear Gaussian model.",
            received=f"{path}: {error}",
            expected=f"floating-point tensors {', '.join(_TENSORS)}, and image_shape as a tensor of 3 or as metadata '8,8,1'",
            next_step="copy or save it again",
        ) from error
    if noise.size != 1 or len(written) != 3:
        raise CheckpointRejected(
            "The tensors of a linear Gaussian model do not fit together.",
            received=f"{path}: noise_variance of shape {noise.shape}, image_shape {written}",
            expected="one noise_variance, and an image_shape of three numbers",
            next_step="write the file with LinearGaussianVae.save",
        )
    height, width, channels = (int(length) for length in written)
    return linear_gaussian_vae(weights, offset, float(noise.reshape(())), (height, width, channels))


def fit_linear_gaussian(images: Uint8, latent_size: int) -> LinearGaussianVae:
    """The maximum-likelihood model of some images, in closed form: a baseline for any VAE.

    W = U_L (Λ_L − σ² I)^½ and σ² = mean of the other eigenvalues, for the eigenvectors U and eigenvalues Λ of the
    covariance of the pixels (Tipping & Bishop 1999, section 3.2).

    Args:
        images: (n, h, w, c) uint8.
        latent_size: L, at least 1 and below the number of pixels.

    Raises:
        InvalidInput: `latent_size` is out of range, or the images are no such array.
        TooFewImages: The images have no variance left beside L components, so that σ² would be 0.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or not 1 <= latent_size < math.prod(images.shape[1:]):
        raise InvalidInput(
            "A linear Gaussian model cannot be fitted to this.",
            received=f"images {images.shape} {images.dtype}, latent_size={latent_size}",
            expected="images (n, h, w, c) uint8 and 1 ≤ latent_size < h·w·c",
            next_step="give more images, or fewer latent dimensions",
        )
    pixels = images.reshape(len(images), -1).astype(np.float64) / 255
    offset = pixels.mean(axis=0) if len(pixels) else np.zeros(pixels.shape[1])
    # Right singular vectors of the centred pixels are the eigenvectors of their covariance, without forming it.
    _, singular_values, directions = np.linalg.svd(pixels - offset, full_matrices=False)
    eigenvalues = singular_values**2 / max(len(pixels), 1)
    left_over = float(eigenvalues[latent_size:].sum()) / (pixels.shape[1] - latent_size)
    if left_over <= np.finfo(np.float64).eps * float(eigenvalues.sum()):
        raise TooFewImages(
            "The images leave no variance for the noise of a linear Gaussian model.",
            received=f"{len(images)} images, latent_size={latent_size}",
            expected=f"at least {latent_size + 2} different images",
            next_step="use more images or fewer latents",
        )
    kept = directions[:latent_size].T
    lengths = np.sqrt(np.maximum(eigenvalues[:latent_size] - left_over, 0.0))
    height, width, channels = images.shape[1:]
    return linear_gaussian_vae(_with_fixed_signs(kept) * lengths, offset, left_over, (height, width, channels))


def _with_orthogonal_columns(weights: Float64) -> Float64:
    gram = weights.T @ weights
    largest = float(np.abs(np.diag(gram)).max())
    if np.abs(gram - np.diag(np.diag(gram))).max() <= _ORTHOGONAL_WITHIN * largest:
        return weights
    directions, lengths, _ = np.linalg.svd(weights, full_matrices=False)
    turned = np.zeros_like(weights)  # with more latents than pixels, the others are unused
    turned[:, : len(lengths)] = _with_fixed_signs(directions) * lengths
    return turned


def _with_fixed_signs(directions: Float64) -> Float64:
    """Each column with its largest entry positive: the SVD leaves the sign to the linear algebra library."""
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None, :], axis=0)
    return directions * np.where(largest < 0, -1.0, 1.0)

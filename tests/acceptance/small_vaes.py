"""Trains small dense VAEs on grey images, in NumPy and in seconds, and keeps each as a pair of Keras files.

A step is written out by hand, forward and backward, so that nothing has to be imported or compiled for it; what comes out is an
encoder and a decoder like any that Keras trained.

    images ─► mean of squares of pixels ─► 2 × dense ─► z_mean, z_log_var
    latent ─► 2 × dense ─► sigmoid ─► each value for a square of pixels
    loss   =  cross-entropy summed over pixels + β · KL summed over latents
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        latent_size: Latent dimensions.
        beta: What a nat of KL costs beside a nat of cross-entropy.
        epochs: Times that each image is seen; 0 leaves the network as it began.
        hidden: Units of each hidden layer.
        seen: Side of the squares of pixels that the encoder sees the mean of.
        drawn: Side of the squares of pixels that the decoder gives one value for: above 1 it cannot draw detail.
        seed: Of weights, order and noise.
    """

    latent_size: int
    beta: float
    epochs: int
    hidden: int = 64
    seen: int = 1
    drawn: int = 1
    seed: int = 0


@dataclass
class Dense:
    """One layer with its state under Adam; `backward` steps, and gives the gradient of what came in."""

    weights: Array
    bias: Array
    is_rectified: bool = False
    _steps: int = 0

    def __post_init__(self) -> None:
        self._means, self._squares = ([np.zeros_like(self.weights), np.zeros_like(self.bias)] for _ in range(2))

    def forward(self, rows: Array) -> Array:
        self._rows = rows
        result = rows @ self.weights + self.bias
        self._given = np.maximum(result, 0) if self.is_rectified else result
        return self._given

    def backward(self, gradient: Array, rate: float = 0.003) -> Array:
        if self.is_rectified:
            gradient = gradient * (self._given > 0)
        before: Array = gradient @ self.weights.T
        self._steps += 1
        # Adam (Kingma and Ba 2015) with its published constants.
        correction = np.sqrt(1 - 0.999**self._steps) / (1 - 0.9**self._steps)
        changes = (self._rows.T @ gradient, gradient.sum(axis=0))
        for values, change, mean, square in zip(
            (self.weights, self.bias), changes, self._means, self._squares, strict=True
        ):
            mean[...] += np.float32(0.1) * (change - mean)
            square[...] += np.float32(0.001) * (np.square(change) - square)
            values[...] -= np.float32(rate * correction) * mean / (np.sqrt(square) + np.float32(1e-8))
        return before


class SmallVae:
    """Layers of encoder and decoder, as a recipe makes them of images (n, side, side, 1) uint8."""

    def __init__(self, images: NDArray[np.uint8], recipe: Recipe) -> None:
        self._generator = np.random.Generator(np.random.Philox(recipe.seed))
        self._recipe, self._side = recipe, images.shape[1]
        width, size = recipe.hidden, recipe.latent_size
        self._encoder = [self._dense((self._side // recipe.seen) ** 2, width, True), self._dense(width, width, True)]
        self._mean, self._log_variance = self._dense(width, size), self._dense(width, size)
        self._log_variance.weights[...] = 0
        self._decoder = [
            self._dense(size, width, True),
            self._dense(width, width, True),
            self._dense(width, (self._side // recipe.drawn) ** 2),
        ]
        grey = images[..., 0].astype(np.float32) / 255
        self._train(_means_of_squares(grey, recipe.seen), _means_of_squares(grey, recipe.drawn))

    def save(self, folder: Path) -> Path:
        """Write `encoder.keras` and `decoder.keras`."""
        import keras
        from keras import layers

        recipe, side = self._recipe, self._side
        image = keras.Input((side, side, 1))
        hidden = layers.Flatten()(layers.AveragePooling2D(recipe.seen)(image))
        heads: list[tuple[layers.Layer, Dense]] = []
        for dense in self._encoder:
            heads.append((layers.Dense(recipe.hidden, activation="relu"), dense))
            hidden = heads[-1][0](hidden)
        outputs = []
        for name, dense in (("z_mean", self._mean), ("z_log_var", self._log_variance)):
            heads.append((layers.Dense(recipe.latent_size, name=name), dense))
            outputs.append(heads[-1][0](hidden))
        latent = tensor = keras.Input((recipe.latent_size,))
        for dense, activation in zip(self._decoder, ("relu", "relu", "sigmoid"), strict=True):
            heads.append((layers.Dense(dense.bias.size, activation=activation), dense))
            tensor = heads[-1][0](tensor)
        coarse = side // recipe.drawn
        drawn = layers.UpSampling2D(recipe.drawn)(layers.Reshape((coarse, coarse, 1))(tensor))
        encoder, decoder = keras.Model(image, outputs), keras.Model(latent, drawn)
        for layer, dense in heads:
            layer.set_weights([dense.weights, dense.bias])
        folder.mkdir(parents=True)
        encoder.save(folder / "encoder.keras")
        decoder.save(folder / "decoder.keras")
        return folder

    def _dense(self, num_in: int, num_out: int, is_rectified: bool = False) -> Dense:
        reach = np.sqrt(6 / (num_in + num_out))
        weights = self._generator.uniform(-reach, reach, (num_in, num_out)).astype(np.float32)
        return Dense(weights, np.zeros(num_out, np.float32), is_rectified)

    def _train(self, seen: Array, drawn: Array, batch: int = 128) -> None:
        for _ in range(self._recipe.epochs):
            order = self._generator.permutation(len(seen))
            for start in range(0, len(order) - batch + 1, batch):
                rows = order[start : start + batch]
                self._step(seen[rows], drawn[rows])

    def _step(self, seen: Array, drawn: Array) -> None:
        share = np.float32(1 / len(seen))
        cost = np.float32(self._recipe.beta) * share
        hidden = seen
        for layer in self._encoder:
            hidden = layer.forward(hidden)
        mean, log_variance = self._mean.forward(hidden), self._log_variance.forward(hidden)
        noise = self._generator.standard_normal(mean.shape, dtype=np.float32)
        scale = np.exp(log_variance / 2)
        tensor = mean + scale * noise
        for layer in self._decoder:
            tensor = layer.forward(tensor)
        # Of a square of pixels that get one value the cross-entropies add up to that of their mean, times their number.
        pixels = np.float32(self._recipe.drawn**2)
        gradient = (1 / (1 + np.exp(-tensor)) - drawn) * pixels * share
        for layer in reversed(self._decoder):
            gradient = layer.backward(gradient)
        of_width = gradient * noise * scale / 2 + cost * (np.square(scale) - 1) / 2
        gradient = self._mean.backward(gradient + cost * mean) + self._log_variance.backward(of_width)
        for layer in reversed(self._encoder):
            gradient = layer.backward(gradient)


def _means_of_squares(images: Array, side: int) -> Array:
    """Images (n, h, w) as rows of the means of squares of pixels."""
    count, height, width = images.shape
    squares = images.reshape(count, height // side, side, width // side, side)
    return np.ascontiguousarray(squares.mean(axis=(2, 4)).reshape(count, -1))

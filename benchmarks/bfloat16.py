"""What bfloat16 shifts in FID: the same images through the same weights in both precisions, at several distances.

    python -m benchmarks.bfloat16 --images 256

Digits against other digits, then against digits under more and more noise or blur, so that FID spans what a training run
passes through. Images are 8 × 8 pixels, shown to the network at 299 × 299. The weights are those of inception-v3-random
unless a file of published ones is given.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from vaeval_core.accumulators.feature_rows import FeatureRows
from vaeval_core.features.base import FeatureExtractor
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.images.digits import digits_split
from vaeval_core.metrics.frechet import fit_gaussian, squared_frechet_distance
from vaeval_core.protocol import Precision
from vaeval_core.types import Float32, Uint8

PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def levels(images: Uint8) -> dict[str, Uint8]:
    """The images as they are, and worse and worse."""
    random = np.random.default_rng(0)

    def noisy(sigma: float) -> Uint8:
        pixels: Uint8 = np.rint(images + random.normal(0, sigma, images.shape)).clip(0, 255).astype(np.uint8)
        return pixels

    def blurred(sigma: float) -> Uint8:
        pixels: Uint8 = np.rint(gaussian_filter(images.astype(float), (0, sigma, sigma, 0))).astype(np.uint8)
        return pixels

    return {
        "other digits": images,
        "noise of 5": noisy(5),
        "noise of 20": noisy(20),
        "blur of 1 pixel": blurred(1),
        "noise of 80": noisy(80),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256, help="on either side of each distance")
    parser.add_argument("--extractor", default="inception-v3-random")
    parser.add_argument("--weights", type=Path)
    wish = parser.parse_args()

    images = digits_split("train")[0]
    pairs = {"reference": images[: wish.images], **levels(images[wish.images : 2 * wish.images])}
    features: dict[Precision, dict[str, Float32]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in PRECISIONS:
            spec = resolve_extractor(
                wish.extractor, weights=wish.weights, weights_folder=Path(folder), precision=precision
            )
            extractor: FeatureExtractor = load_extractor(spec, Path(folder))
            features[precision] = {name: extractor.extract(pictures) for name, pictures in pairs.items()}

    largest = max(float(np.abs(rows).max()) for rows in features["float32"].values())
    apart = max(float(np.abs(features["bfloat16"][name] - features["float32"][name]).max()) for name in pairs)
    print(f"{wish.extractor}, {wish.images} images: features differ by up to {apart / largest:.2%} of the largest\n")
    print("| digits against | FID in float32 | FID in bfloat16 | shift |")
    print("|---|---|---|---|")
    for name in list(pairs)[1:]:
        distances = []
        for precision in PRECISIONS:
            reference = fit_gaussian(FeatureRows.from_rows(features[precision]["reference"]))
            distances.append(squared_frechet_distance(FeatureRows.from_rows(features[precision][name]), reference))
        full, half = distances
        print(f"| {name} | {full:.4f} | {half:.4f} | {half - full:+.4f} ({(half - full) / full:+.2%}) |")


if __name__ == "__main__":
    main()

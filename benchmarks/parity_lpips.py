"""lpips against the package of its authors: one state dict in both, the same pairs, how far apart are the distances?

    pip install 'vaeval[torch]' lpips
    python -m benchmarks.parity_lpips                                both networks, random weights, made here
    python -m benchmarks.parity_lpips --weights lpips-vgg.pth        the published ones

Random weights in the published format say as much as the published ones do: every layer takes part, in both programs. What
may differ is the order of float32 sums, and the bar is 1e-5 of each distance.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import make_torchvision_importable
from benchmarks.parity_torch_fidelity import random_images
from vaeval_core.features.lpips_weights import import_lpips_weights
from vaeval_core.features.perceptual_distance import load_perceptual_distance
from vaeval_core.types import Float64, Uint8

BAR = 1e-5
SIZES = ((32, 32), (64, 48), (160, 128))


def main() -> int:
    """Print the largest differences; 1 if one is beyond the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="state dict of lpips.LPIPS; default: random weights")
    weights: Path | None = parser.parse_args().weights
    missing = [name for name in ("torch", "torchvision", "lpips") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"needs {' and '.join(missing)}: pip install 'vaeval[torch]' lpips")
        return 2
    make_torchvision_importable()
    worst = 0.0
    print(f"{'network':>7}  {'size':>9}  {'pairs':>5}  {'mean':>8}  {'largest difference':>18}")
    with tempfile.TemporaryDirectory() as folder:
        for path in [weights] if weights else [random_state_dict(Path(folder), network) for network in ("alex", "vgg")]:
            spec = import_lpips_weights(path, Path(folder))
            ours, theirs = load_perceptual_distance(spec, Path(folder)), package_model(spec.network, path)
            for height, width in SIZES:
                images = random_images(height, width)
                others = (images // 2 + images[::-1] // 2).astype(np.uint8)
                expected = run_package(theirs, images, others)
                difference = float(np.abs(ours.between(images, others) / expected - 1).max())
                size = f"{height:>4}×{width:<4}"
                row = f"{spec.network:>7}  {size}  {len(images):>5}  {expected.mean():>8.4f}  {difference:>18.2e}"
                print(row, flush=True)
                worst = max(worst, difference)
    print(f"largest difference, as a share of the distance: {worst:.2e}; bar {BAR:.0e}")
    return 0 if worst <= BAR else 1


def random_state_dict(folder: Path, network: str) -> Path:
    """Write what `lpips.LPIPS(...).state_dict()` is, with random values that keep the size of the signal."""
    import lpips
    import torch

    state = lpips.LPIPS(net=network, pretrained=False, pnet_rand=True, verbose=False).state_dict()
    random = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if name.startswith("lin"):
            state[name] = torch.rand(value.shape, generator=random)
        elif name.endswith("bias"):
            state[name] = 0.1 * torch.randn(value.shape, generator=random)
        elif name.startswith("net."):
            state[name] = torch.randn(value.shape, generator=random) * (2 / value[0].numel()) ** 0.5
    for name in [name for name in state if name.startswith("lins.")]:  # the package names these twice
        state[name] = state[f"lin{name.removeprefix('lins.')}"]
    path = folder / f"lpips-{network}.pth"
    torch.save(state, path)
    return path


def package_model(network: str, path: Path) -> Any:
    """The package's own model with the file."""
    import lpips
    import torch

    model = lpips.LPIPS(net=network, pretrained=False, pnet_rand=True, verbose=False)
    model.load_state_dict(torch.load(path, weights_only=True))
    return model


def run_package(model: Any, images: Uint8, others: Uint8) -> Float64:
    """Its distances of pairs in [-1, 1]."""
    import torch

    planes = [torch.from_numpy(each.transpose(0, 3, 1, 2) / np.float32(127.5) - 1) for each in (images, others)]
    with torch.no_grad():
        found: Float64 = model(*planes).numpy().astype(np.float64).reshape(-1)
    return found


if __name__ == "__main__":
    sys.exit(main())

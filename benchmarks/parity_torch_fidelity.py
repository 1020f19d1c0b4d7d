"""inception-v3-fid against torch-fidelity: one file of weights in both, the same images, how far apart are the numbers?

    pip install 'vaeval[torch]' torch-fidelity
    python -m benchmarks.parity_torch_fidelity                           random weights, made here
    python -m benchmarks.parity_torch_fidelity --weights FILE.pth        the published ones

Random weights in the published format say as much as the published ones do: every layer takes part, in both programs.
Their names and shapes are those of torch-fidelity's own network. What may differ is the order of float32 sums, and the
bar is 2e-5 of the largest value. torch-fidelity gets the file itself; vaeval gets it through its converter and folds
the normalisations.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import make_torchvision_importable
from vaeval_core.features.catalogue import load_extractor, resolve_extractor
from vaeval_core.features.fid_weights import import_fid_weights
from vaeval_core.features.inception_extractor import InceptionExtractor
from vaeval_core.types import Float32, Uint8

BAR = 2e-5
SIZES = ((32, 32), (64, 48), (320, 256))
IMAGES_PER_SIZE = 16


def main() -> int:
    """Print the largest differences; 1 if one is beyond the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights", type=Path, help="state dict that torch-fidelity publishes; default: random weights"
    )
    weights: Path | None = parser.parse_args().weights
    missing = [name for name in ("torch", "torch_fidelity") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"needs {' and '.join(missing)}: pip install 'vaeval[torch]' torch-fidelity")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        path = weights or random_state_dict(Path(folder) / "weights.pth")
        import_fid_weights(path, Path(folder), allow_unverified=True)
        spec = resolve_extractor("inception-v3-fid", weights=path, weights_folder=Path(folder))
        ours = load_extractor(spec, Path(folder))
        theirs = fidelity_extractor(path)
    assert isinstance(ours, InceptionExtractor)
    worst = 0.0
    print(f"{'size':>9}  {'images':>6}  {'pool3':>9}  {'logits without bias':>19}")
    for height, width in SIZES:
        images = random_images(height, width)
        pooled, logits = run_fidelity(theirs, images)
        differences = [
            relative_difference(ours.extract(images), pooled),
            relative_difference(ours.logits(images), logits),
        ]
        print(f"{height:>4}×{width:<4}  {len(images):>6}  {differences[0]:>9.2e}  {differences[1]:>19.2e}", flush=True)
        worst = max(worst, *differences)
    print(f"largest difference, as a share of the largest value: {worst:.2e}; bar {BAR:.0e}")
    return 0 if worst <= BAR else 1


def random_state_dict(path: Path) -> Path:
    """Write a state dict for torch-fidelity's network, with random values that keep the size of the signal."""
    import torch

    class NotLoaded(_fidelity_network()):  # type: ignore[misc]
        def load_state_dict(self, _state: object) -> None:
            """Names and shapes are wanted, and no weights."""

    torch.save({}, path)
    network = NotLoaded("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    random = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith(("bn.weight", "running_var")):
            state[name] = 0.5 + torch.rand(value.shape, generator=random)
        elif name.endswith(("bias", "running_mean")):
            state[name] = 0.2 * torch.randn(value.shape, generator=random)
        elif name.endswith(".weight"):
            state[name] = torch.randn(value.shape, generator=random) * (2 / value[0].numel()) ** 0.5
    torch.save(state, path)
    return path


def random_images(height: int, width: int) -> Uint8:
    """Smooth colours with noise and an edge, from black to white."""
    random = np.random.default_rng(height)
    corners = random.integers(0, 256, (IMAGES_PER_SIZE, 2, 2, 3))
    rows, columns = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    top, bottom = (
        corners[:, i, 0, None, None] * (1 - columns) + corners[:, i, 1, None, None] * columns for i in range(2)
    )
    smooth = top * (1 - rows) + bottom * rows
    images = np.clip(smooth + random.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)
    images[:, : height // 3, width // 2 :] = 255
    return images


def fidelity_extractor(path: Path) -> Any:
    """torch-fidelity's own network with the file."""
    features = ["2048", "logits_unbiased"]
    return _fidelity_network()("inception-v3-compat", features, feature_extractor_weights_path=str(path))


def _fidelity_network() -> Any:
    if "torchvision" not in sys.modules and not make_torchvision_importable():
        _stand_in_for_torchvision()
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    return FeatureExtractorInceptionV3


def run_fidelity(extractor: Any, images: Uint8) -> tuple[Float32, Float32]:
    """Its pooled features and logits without bias."""
    import torch

    with torch.no_grad():
        pooled, logits = extractor(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return pooled.numpy(), logits.numpy()


def relative_difference(found: Float32, expected: Float32) -> float:
    """The largest difference as a share of the largest value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _stand_in_for_torchvision() -> None:
    """torch-fidelity imports torchvision for data sets and other networks, none of which is used here."""

    class Anything(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    names = ["", ".datasets", ".models", ".transforms", ".transforms.functional", ".transforms.v2", ".utils"]
    for name in names:
        module = Anything(f"torchvision{name}")
        module.__spec__ = importlib.util.spec_from_loader(module.__name__, loader=None)
        module.__path__ = []
        sys.modules[module.__name__] = module
        parent, _, child = module.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


if __name__ == "__main__":
    sys.exit(main())

"""The programs that benchmarks/extractors.py times: each takes uint8 images in memory to features in memory.

Each runs in a process of its own (`python -m benchmarks.contestants NAME THREADS`), which answers lines of JSON: told a
number of images and a side, it makes the images, takes their features once and says how many seconds that took. So no
library meets the thread pool or the allocator of another.

No published weights are needed: the time does not depend on the values, as long as activations neither vanish nor
overflow, for which all networks get variance-preserving weights.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from vaeval_core.features.base import FeatureExtractor
    from vaeval_core.protocol import Precision

Images = np.ndarray
Extract = Callable[[Images], np.ndarray]
Contestant = Callable[[int], Extract]
"""Number of threads → what takes features."""

BATCH = 32
SIDE = 299


def vaeval_extractor(precision: Precision) -> Contestant:
    """This project's extractor."""

    def make(threads: int) -> Extract:
        return make_extractor(threads, precision).extract

    return make


def make_extractor(threads: int, precision: Precision) -> FeatureExtractor:
    """This project's extractor with untrained weights, TensorFlow held to that many threads."""
    from vaeval_core.features.catalogue import load_extractor, resolve_extractor

    _tensorflow(threads)
    nowhere = Path(tempfile.gettempdir())
    spec = resolve_extractor("inception-v3-random", weights=None, weights_folder=nowhere, precision=precision)
    return load_extractor(spec, nowhere)


def textbook(threads: int) -> Extract:
    """Resize, preprocess_input and model.predict, as tutorials write it."""
    tf = _tensorflow(threads)
    network = _keras_inception()
    from keras.applications.inception_v3 import preprocess_input

    def extract(images: Images) -> np.ndarray:
        resized = tf.image.resize(images, (SIDE, SIDE))
        return network.predict(preprocess_input(resized), batch_size=BATCH, verbose=0)  # type: ignore[no-any-return]

    return extract


def bare_keras(threads: int) -> Extract:
    """Keras's own InceptionV3 alone on a batch that has its size, range and type already: the images are ignored."""
    _tensorflow(threads)
    network = _keras_inception()
    ready = np.random.default_rng(0).uniform(-1, 1, (BATCH, SIDE, SIDE, 3)).astype(np.float32)

    def extract(images: Images) -> np.ndarray:
        return np.concatenate(
            [network.predict_on_batch(ready[: len(images) - start])[:BATCH] for start in range(0, len(images), BATCH)]
        )

    return extract


def torch_fidelity(threads: int) -> Extract:
    """FeatureExtractorInceptionV3 of torch-fidelity, resize included."""
    torch = _torch(threads)
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Untrained(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_arguments: Any, **_options: Any) -> None:
            """The file holds nothing; weights are drawn below."""

    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder) / "nothing.pth"
        torch.save({}, nothing)
        network = Untrained("inception", ["2048"], feature_extractor_weights_path=str(nothing))
    network = _drawn(network)
    return _in_batches(lambda part: network(part)[0], lambda part: part)


def pytorch_fid(threads: int) -> Extract:
    """InceptionV3 of pytorch-fid with its own resize; images become floats in [0, 1] first, as its loader does."""
    _torch(threads)
    from pytorch_fid import inception

    network = _drawn(_without_download(inception).InceptionV3([3]))
    return _in_batches(lambda part: network(part)[0][:, :, 0, 0], lambda part: part.float() / 255)


def clean_fid(threads: int) -> Extract:
    """clean-FID's resizer, image by image as its loader calls it, then its PyTorch network.

    Its usual network is a TorchScript file that has to be downloaded; this is the one it uses for `legacy_pytorch`.
    """
    torch = _torch(threads)
    from cleanfid import inception_pytorch
    from cleanfid.resize import build_resizer

    resize = build_resizer("clean")
    network = _drawn(_without_download(inception_pytorch).InceptionV3([3], resize_input=False))

    def prepare(part: Any) -> Any:
        resized = np.stack([resize(image) for image in part.permute(0, 2, 3, 1).numpy()])
        return torch.from_numpy(resized).permute(0, 3, 1, 2) / 255

    return _in_batches(lambda part: network(part)[0][:, :, 0, 0], prepare)


def torch_half(threads: int) -> Extract:
    """The torchvision network as fast as PyTorch runs it: channels last, half precision (bfloat16 on a CPU)."""
    torch = _torch(threads)
    import torchvision

    half = torch.float16 if torch.cuda.is_available() else torch.bfloat16
    network = torchvision.models.inception_v3(weights=None, init_weights=False, aux_logits=False)
    network.fc = torch.nn.Identity()
    network = _drawn(network).to(half, memory_format=torch.channels_last)

    def prepare(part: Any) -> Any:
        resized = torch.nn.functional.interpolate(part.float(), (SIDE, SIDE), mode="bilinear")
        return ((resized - 128) / 128).to(half, memory_format=torch.channels_last)

    return _in_batches(lambda part: network(part).float(), prepare)


def matrix_products(threads: int) -> Extract:
    """No extractor: as much float32 arithmetic as the network does, in square matrix products. The limit of them all."""
    tf = _tensorflow(threads)
    size = 2048
    left, right = (tf.random.stateless_normal((size, size), (seed, 0)) for seed in (0, 1))

    def extract(images: Images) -> np.ndarray:
        for _ in range(round(len(images) * OPERATIONS / (2 * size**3))):
            product = tf.linalg.matmul(left, right)
        return product.numpy()[: len(images)]  # type: ignore[no-any-return]

    return extract


def operations_per_image() -> float:
    """Floating-point operations of the 94 convolutions for one image, a multiplication and an addition counting two."""
    from vaeval_core.features.inception_v3_architecture import Convolution, Pool, follow

    total = 0.0

    def reduced(step: Convolution | Pool, size: tuple[int, int]) -> tuple[int, int]:
        rows, columns = step.size if isinstance(step, Convolution) else (3, 3)
        if step.padding == "same":
            return (-(-size[0] // step.stride), -(-size[1] // step.stride))
        return ((size[0] - rows) // step.stride + 1, (size[1] - columns) // step.stride + 1)

    def convolve(_scope: str, step: Convolution, tensor: Shape) -> Shape:
        nonlocal total
        channels, size = tensor
        size = reduced(step, size)
        total += 2.0 * step.size[0] * step.size[1] * channels * step.filters * size[0] * size[1]
        return step.filters, size

    follow(
        (3, (SIDE, SIDE)),
        convolve,
        pool=lambda _scope, step, tensor: (tensor[0], reduced(step, tensor[1])),
        join=lambda _scope, parts: (sum(channels for channels, _ in parts), parts[0][1]),
    )
    return total


Shape = tuple[int, tuple[int, int]]
"""Channels, (rows, columns)."""

OPERATIONS = operations_per_image()

CONTESTANTS: dict[str, Contestant] = {
    "vaeval": vaeval_extractor("float32"),
    "vaeval bfloat16": vaeval_extractor("bfloat16"),
    "textbook": textbook,
    "bare Keras": bare_keras,
    "torch-fidelity": torch_fidelity,
    "pytorch-fid": pytorch_fid,
    "clean-fid": clean_fid,
    "torch half": torch_half,
    "matrix products": matrix_products,
}


def _tensorflow(threads: int) -> Any:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    return tf


def _keras_inception() -> Any:
    import keras

    network = keras.applications.InceptionV3(
        include_top=False, weights=None, pooling="avg", input_shape=(SIDE, SIDE, 3)
    )
    draw = keras.initializers.HeNormal(seed=0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights([draw(layer.kernel.shape)])
    return network


def _torch(threads: int) -> Any:
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    make_torchvision_importable()
    return torch


def make_torchvision_importable() -> bool:
    """False if it is not installed.

    A torchvision built for GPUs cannot load its operators under a PyTorch for CPUs. Nothing here calls them, but importing
    it expects two to be declared.
    """
    try:
        import torchvision  # noqa: F401
    except ImportError:
        return False
    except RuntimeError:
        import torch

        for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
        for operator in ("nms", "qnms"):
            signature = f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            torch.library.define(*signature)
    return True


def _without_download(module: Any) -> Any:
    """pytorch-fid's module, and clean-FID's copy of it, with the weights' download replaced by nothing."""
    import torchvision

    torchvision.models.Inception3.load_state_dict = lambda *_arguments, **_options: None
    module.load_state_dict_from_url = lambda *_arguments, **_options: {}
    return module


def _drawn(network: Any) -> Any:
    """The network with weights that keep the size of activations, for inference, on the fastest device there is."""
    import torch

    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _in_batches(network: Callable[[Any], Any], prepare: Callable[[Any], Any]) -> Extract:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"

    def extract(images: Images) -> np.ndarray:
        parts = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
        tensors = (torch.from_numpy(np.ascontiguousarray(part.transpose(0, 3, 1, 2))) for part in parts)
        return np.concatenate([network(prepare(tensor).to(device)).cpu().numpy() for tensor in tensors])

    return extract


def noise_images(num_images: int, side: int) -> Images:
    """White noise, (num_images, side, side, 3) uint8."""
    return np.random.default_rng(side).integers(0, 256, (num_images, side, side, 3), dtype=np.uint8)


def serve(name: str, threads: int) -> None:
    """Answer requests {"images": n, "side": s} from standard input until it ends, the first line being "ready"."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    extract = CONTESTANTS[name](threads)
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        images = noise_images(request["images"], request["side"])
        started = time.perf_counter()
        features = extract(images)
        seconds = time.perf_counter() - started
        good = features.shape == (len(images), 2048) and np.isfinite(features).all() and features.std() > 0
        print(json.dumps({"seconds": seconds, "good": bool(good)}), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))

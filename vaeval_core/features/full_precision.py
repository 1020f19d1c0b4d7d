"""Float32 that is float32: GPUs round factors of matrix products to ten bits unless they are told not to."""

from __future__ import annotations


def require_full_float32() -> None:
    """Tell the backend not to round float32 to TensorFloat-32 on a GPU, which it does unasked: ten bits, other features."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif backend == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
    elif backend == "torch":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False

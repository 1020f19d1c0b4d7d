"""The 2015-12-05 Inception v3 architecture as a table: `STEM`, then `BLOCKS`.

Names are the scopes of the published TensorFlow graph, so that loading weights by name is a look-up. `follow` sends
anything through the table: channel counts give the shapes of all kernels (`kernel_shapes`, no TensorFlow needed),
Keras tensors give the network (`inception_v3.build_network`). The channels are those of keras.applications.InceptionV3
too; the two differ in one place, the last block, which here pools by maximum.

Source: Szegedy et al. 2015, arXiv:1512.00567; the graph is `classify_image_graph_def.pb` of inception-2015-12-05.tgz.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

INPUT_SIZE = 299
FEATURES = 2048

KernelShape = tuple[int, int, int, int]
"""(rows, columns, channels in, channels out)."""

Padding = Literal["same", "valid"]
Tensor = TypeVar("Tensor")


@dataclass(frozen=True)
class Convolution:
    """One convolution with its folded normalisation and rectifier; `name` is relative to the block."""

    name: str
    filters: int
    size: tuple[int, int]
    stride: int = 1
    padding: Padding = "same"


@dataclass(frozen=True)
class Pool:
    """A 3 × 3 pool. An average at the border is over the pixels that exist."""

    name: str
    kind: Literal["max", "average"]
    stride: int = 1
    padding: Padding = "same"


@dataclass(frozen=True)
class Fork:
    """Convolutions that all read the same tensor; their outputs are joined by channel."""

    prongs: tuple[Convolution, ...]


Branch = Sequence[Convolution | Pool | Fork]
"""Steps one after the other."""


@dataclass(frozen=True)
class Block:
    """Branches that all read the block's input; their outputs are joined by channel in this order."""

    scope: str
    branches: tuple[Branch, ...]


_POINT = (1, 1)
_ROW, _COLUMN = (1, 7), (7, 1)

STEM: Branch = (
    Convolution("conv", 32, (3, 3), stride=2, padding="valid"),
    Convolution("conv_1", 32, (3, 3), padding="valid"),
    Convolution("conv_2", 64, (3, 3)),
    Pool("pool", "max", stride=2, padding="valid"),
    Convolution("conv_3", 80, _POINT, padding="valid"),
    Convolution("conv_4", 192, (3, 3), padding="valid"),
    Pool("pool_1", "max", stride=2, padding="valid"),
)
"""299 × 299 × 3 to 35 × 35 × 192."""


def _block_35(scope: str, pool_filters: int) -> Block:
    return Block(
        scope,
        (
            [Convolution("conv", 64, _POINT)],
            [Convolution("tower/conv", 48, _POINT), Convolution("tower/conv_1", 64, (5, 5))],
            [
                Convolution("tower_1/conv", 64, _POINT),
                Convolution("tower_1/conv_1", 96, (3, 3)),
                Convolution("tower_1/conv_2", 96, (3, 3)),
            ],
            [Pool("tower_2/pool", "average"), Convolution("tower_2/conv", pool_filters, _POINT)],
        ),
    )


def _block_17(scope: str, width: int) -> Block:
    return Block(
        scope,
        (
            [Convolution("conv", 192, _POINT)],
            [
                Convolution("tower/conv", width, _POINT),
                Convolution("tower/conv_1", width, _ROW),
                Convolution("tower/conv_2", 192, _COLUMN),
            ],
            [
                Convolution("tower_1/conv", width, _POINT),
                Convolution("tower_1/conv_1", width, _COLUMN),
                Convolution("tower_1/conv_2", width, _ROW),
                Convolution("tower_1/conv_3", width, _COLUMN),
                Convolution("tower_1/conv_4", 192, _ROW),
            ],
            [Pool("tower_2/pool", "average"), Convolution("tower_2/conv", 192, _POINT)],
        ),
    )


def _block_8(scope: str, pool: Literal["max", "average"]) -> Block:
    def fork(tower: str) -> Fork:
        return Fork(
            (Convolution(f"{tower}/mixed/conv", 384, (1, 3)), Convolution(f"{tower}/mixed/conv_1", 384, (3, 1)))
        )

    return Block(
        scope,
        (
            [Convolution("conv", 320, _POINT)],
            [Convolution("tower/conv", 384, _POINT), fork("tower")],
            [Convolution("tower_1/conv", 448, _POINT), Convolution("tower_1/conv_1", 384, (3, 3)), fork("tower_1")],
            [Pool("tower_2/pool", pool), Convolution("tower_2/conv", 192, _POINT)],
        ),
    )


BLOCKS: tuple[Block, ...] = (
    _block_35("mixed", 32),
    _block_35("mixed_1", 64),
    _block_35("mixed_2", 64),
    Block(
        "mixed_3",
        (
            [Convolution("conv", 384, (3, 3), stride=2, padding="valid")],
            [
                Convolution("tower/conv", 64, _POINT),
                Convolution("tower/conv_1", 96, (3, 3)),
                Convolution("tower/conv_2", 96, (3, 3), stride=2, padding="valid"),
            ],
            [Pool("pool", "max", stride=2, padding="valid")],
        ),
    ),
    _block_17("mixed_4", 128),
    _block_17("mixed_5", 160),
    _block_17("mixed_6", 160),
    _block_17("mixed_7", 192),
    Block(
        "mixed_8",
        (
            [
                Convolution("tower/conv", 192, _POINT),
                Convolution("tower/conv_1", 320, (3, 3), stride=2, padding="valid"),
            ],
            [
                Convolution("tower_1/conv", 192, _POINT),
                Convolution("tower_1/conv_1", 192, _ROW),
                Convolution("tower_1/conv_2", 192, _COLUMN),
                Convolution("tower_1/conv_3", 192, (3, 3), stride=2, padding="valid"),
            ],
            [Pool("pool", "max", stride=2, padding="valid")],
        ),
    ),
    _block_8("mixed_9", "average"),
    _block_8("mixed_10", "max"),
)
"""35 × 35 × 192 to 8 × 8 × 2048."""


def kernel_shapes() -> dict[str, KernelShape]:
    """Scope → kernel shape of all 94 convolutions, in the order of the table.

    >>> kernel_shapes()["mixed_9/tower/mixed/conv_1"]
    (3, 1, 384, 384)
    """
    shapes: dict[str, KernelShape] = {}

    def convolve(scope: str, step: Convolution, channels: int) -> int:
        shapes[scope] = (*step.size, channels, step.filters)
        return step.filters

    follow(3, convolve, pool=lambda _scope, _step, channels: channels, join=lambda _scope, parts: sum(parts))
    return shapes


def follow(
    tensor: Tensor,
    convolve: Callable[[str, Convolution, Tensor], Tensor],
    pool: Callable[[str, Pool, Tensor], Tensor],
    join: Callable[[str, Sequence[Tensor]], Tensor],
) -> Tensor:
    """Send something through the table: STEM, then each of BLOCKS. The callables are told the full scope."""

    def run(branch: Branch, prefix: str, value: Tensor) -> Tensor:
        for step in branch:
            if isinstance(step, Convolution):
                value = convolve(prefix + step.name, step, value)
            elif isinstance(step, Pool):
                value = pool(prefix + step.name, step, value)
            else:
                prongs = [convolve(prefix + prong.name, prong, value) for prong in step.prongs]
                value = join(prefix + step.prongs[0].name.rpartition("/")[0], prongs)
        return value

    tensor = run(STEM, "", tensor)
    for block in BLOCKS:
        tensor = join(block.scope, [run(branch, f"{block.scope}/", tensor) for branch in block.branches])
    return tensor

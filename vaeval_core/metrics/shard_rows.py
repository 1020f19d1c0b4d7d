"""Features of a stream, read from its shards each time they are asked for: any number of images in the memory of one shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from vaeval_core.types import Float32


class ShardRows:
    """`FeatureBlocks` over the shards of an evaluation.

    Args:
        shards: Arrays of each shard, in shard order; begins anew at each `iter`.
        stream: Which features.
        shape: (n, d) of all shards together.
    """

    def __init__(self, shards: Iterable[Mapping[str, NDArray[Any]]], stream: str, shape: tuple[int, int]) -> None:
        self._shards = shards
        self._name = f"{stream}/features"
        self.shape = shape

    def __iter__(self) -> Iterator[Float32]:
        """Features (rows, d) of one shard after the other."""
        for shard in self._shards:
            if self._name in shard:
                yield shard[self._name]

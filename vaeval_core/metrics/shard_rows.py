"""Rows of an array, such as features, read from shards each time they are asked for: any number in the memory of one shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from vaeval_core.types import Float32


class ShardRows:
    """`FeatureBlocks` over the shards of an evaluation or reference.

    Args:
        shards: Arrays of each shard, in shard order; begins anew at each `iter`.
        name: Which array, such as `samples/features`.
        shape: (n, d) of all shards together.
    """

    def __init__(self, shards: Iterable[Mapping[str, NDArray[Any]]], name: str, shape: tuple[int, int]) -> None:
        self._shards = shards
        self._name = name
        self.shape = shape

    def __iter__(self) -> Iterator[Float32]:
        """Rows (rows, d) of one shard after the other."""
        for shard in self._shards:
            if self._name in shard:
                yield shard[self._name]

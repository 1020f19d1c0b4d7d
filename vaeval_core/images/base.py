"""What a set of images promises."""

from __future__ import annotations

from typing import Protocol

from vaeval_core.protocol import ImageFit
from vaeval_core.types import ImageShape, IndexRange, Uint8


class ImageSet(Protocol):
    """Real images in a fixed order.

    The order is a seeded permutation of the sorted set (`image_order` of the protocol), so that the first n are a fair
    choice even where a folder is sorted by class. Reading is safe from several threads.
    """

    @property
    def uri(self) -> str:
        """What opens this set again: `digits:test`, or an absolute folder path."""

    @property
    def name(self) -> str:
        """Short name for people."""

    @property
    def digest(self) -> str:
        """sha256 of the images' content and sorted order."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Files that were left out because they cannot be read, as relative paths; known at submit time only."""

    def __len__(self) -> int: ...

    def manifest(self) -> bytes | None:
        """What a worker needs beside `uri` and `digest` to open this very set; None if nothing.

        For a folder: the file list with a digest per file, so that a worker reads and checks only what it uses.
        """

    def check_fit(self, shape: ImageShape, fit: ImageFit) -> None:
        """Say at submit time whether every image can be read as `shape`; reads no image.

        Raises:
            ImagesRejected: Some have another size and `fit` is `exact` (how many, and the first few), or `shape` has
                other than 1 or 3 channels.
        """

    def read(self, index_range: IndexRange, shape: ImageShape, fit: ImageFit) -> Uint8:
        """Images of the range in the set's order, as (n, *shape) uint8.

        Raises:
            ImagesRejected: An image does not have `shape` and `fit` is `exact`, or a file changed since the set was
                described.
            StorageFailed: The operating system does not let a file be read on this machine.
        """

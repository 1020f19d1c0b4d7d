"""Finds what in an HDF5 file is kept outside it: whoever takes a file for what its digest says must look for that first."""

from __future__ import annotations

from typing import Any


def outside_data(file: Any) -> str | None:
    """Name of the first object that is a link, or whose data lies elsewhere; None if the file holds all that it names.

    Args:
        file: An open `h5py.File`.
    """
    import h5py

    def look(name: str, link: Any) -> str | None:
        if not isinstance(link, h5py.HardLink):
            return name
        item = file[name]
        is_outside = isinstance(item, h5py.Dataset) and (item.external or item.is_virtual)
        return name if is_outside else None

    found: str | None = file.visititems_links(look)
    return found

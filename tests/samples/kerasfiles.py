"""Keras archives, ordinary and hostile."""

import io
import zipfile
from collections.abc import Sequence

from tests.samples import hdf5files, kerasconfigs

METADATA = b'{"keras_version": "3.12.0", "date_saved": "2025-11-01@12:00:00"}'


def archive(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of these members, in this order, stored as Keras stores them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in members:
            file.writestr(zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0)), data)
    return buffer.getvalue()


def keras(
    tree: kerasconfigs.Tree | bytes | None = None, more: Sequence[tuple[str, bytes]] = (), weights: bytes = b""
) -> bytes:
    """A model as Keras 3 saves it, with `more` members."""
    config = tree if isinstance(tree, bytes) else kerasconfigs.dumped(tree or kerasconfigs.model())
    held = weights or hdf5files.everything()
    return archive([("metadata.json", METADATA), ("config.json", config), ("model.weights.h5", held), *more])

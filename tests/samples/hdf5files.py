"""HDF5 files, ordinary and hostile, made by h5py in memory. No other file is ever opened."""

import io
import json
import pickle
from collections.abc import Callable

from tests.samples import kerasconfigs


def built(fill: Callable[..., None], **how: object) -> bytes:
    """The bytes of a file that `fill` has filled."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **how) as file:
        fill(file)
    return buffer.getvalue()


def keras(tree: kerasconfigs.Tree | None = None, training: kerasconfigs.Tree | None = None, **how: object) -> bytes:
    """A model as Keras keeps it in HDF5."""

    def fill(file: object) -> None:
        import numpy as np

        root = file  # type: ignore[assignment]
        root.attrs["keras_version"] = "2.11.0"  # type: ignore[attr-defined]
        root.attrs["backend"] = "tensorflow"  # type: ignore[attr-defined]
        root.attrs["model_config"] = json.dumps(tree or kerasconfigs.model())  # type: ignore[attr-defined]
        if training is not None:
            root.attrs["training_config"] = json.dumps(training).encode()  # type: ignore[attr-defined]
        weights = root.create_group("model_weights")  # type: ignore[attr-defined]
        weights.attrs["layer_names"] = np.array(["dense"], dtype="S5")
        layer = weights.create_group("dense").create_group("dense")
        layer.create_dataset("kernel:0", data=np.ones((4, 8), "f4"))
        layer.create_dataset("bias:0", data=np.zeros(8, "f4"))

    return built(fill, **how)


def external_link(target: str = "/etc/hostname", version: object = None) -> bytes:
    """A link to a dataset of another file."""

    def fill(file: object) -> None:
        import h5py

        file["kernel"] = h5py.ExternalLink(target, "/data")  # type: ignore[index]

    return built(fill, libver=version)


def external_storage(*names: str) -> bytes:
    """A dataset whose bytes are those of other files."""

    def fill(file: object) -> None:
        places = [(name, 0, 8) for name in names]
        file.create_dataset("kernel", (8 * len(names),), "u1", external=places)  # type: ignore[attr-defined]

    return built(fill)


def virtual(*names: str, version: object = None) -> bytes:
    """A dataset that is a view over datasets of other files, strided and whole."""

    def fill(file: object) -> None:
        import h5py

        layout = h5py.VirtualLayout((len(names), 10), "f4")
        for row, name in enumerate(names):
            layout[row, ::2] = h5py.VirtualSource(name, "data", (5,))
        file.create_virtual_dataset("kernel", layout)  # type: ignore[attr-defined]

    return built(fill, libver=version)


def soft(links: dict[str, str]) -> bytes:
    """Soft links, and a group `g` with a dataset `d`."""

    def fill(file: object) -> None:
        import h5py

        file.create_group("g")["d"] = [1.0]  # type: ignore[attr-defined]
        for path, target in links.items():
            file[path] = h5py.SoftLink(target)  # type: ignore[index]

    return built(fill)


def attributes(values: dict[str, object], version: object = None) -> bytes:
    """A file with these attributes and nothing else."""

    def fill(file: object) -> None:
        for name, value in values.items():
            file.attrs[name] = value  # type: ignore[attr-defined]

    return built(fill, libver=version)


def everything(version: object = None, **how: object) -> bytes:
    """One of each: many links and attributes, text of every kind, committed types, cycles, empty things."""

    def fill(file: object) -> None:
        import h5py
        import numpy as np

        root = file
        for index in range(40):
            group = root.create_group(f"group{index}")  # type: ignore[attr-defined]
            group.attrs["text"] = f"value {index}" * index
            root.attrs[f"attribute{index}"] = "x" * 10 * index  # type: ignore[attr-defined]
        root["group1/up"] = root["group2"]  # type: ignore[index]
        root["group2/up"] = root["group1"]  # type: ignore[index]
        root.attrs["texts"] = np.array(["a", "bb"], dtype="S3")  # type: ignore[attr-defined]
        root.attrs.create("variable", ["x", "yyy"], dtype=h5py.string_dtype())  # type: ignore[attr-defined]
        root.attrs["number"] = 1.5  # type: ignore[attr-defined]
        root.attrs["nothing"] = h5py.Empty("f4")  # type: ignore[attr-defined]
        root["type"] = np.dtype("S10")  # type: ignore[index]
        made = h5py.h5a.create(root.id, b"committed", root["type"].id, h5py.h5s.create(h5py.h5s.SCALAR))  # type: ignore
        made.write(np.array(b"held", dtype="S10"))
        root.create_dataset("chunked", (10, 10), "f4", chunks=(5, 5), compression="gzip")  # type: ignore[attr-defined]
        root["bytes"] = np.void(b"\0" * 40)  # type: ignore[index]
        root["soft"] = h5py.SoftLink("/group1")  # type: ignore[index]

    return built(fill, libver=version, **how)


def pickled() -> bytes:
    """An attribute as PyTables writes it: a pickle."""
    import numpy as np

    return attributes({"FILTERS": np.bytes_(pickle.dumps([1, {"a": 2}], 0)), "CLASS": np.bytes_(b"GROUP")})

"""The parts of honest torch files: tensors, the zip layout, the format before zip, the tar before that."""

import io
import struct
import tarfile

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, literal, pickle
from tests.samples.sample import Payload
from tests.samples.zipwriter import Entry, archive

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
SYSTEM = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
FLOATS = struct.pack("<4f", 0.5, 0.25, 0.125, 1.0)


def storage(key: str, count: int = 4) -> Raw:
    """torch's persistent id of a float storage, put through BINPERSID."""
    return Raw(
        asm.tuple_(
            literal("storage", 2),
            asm.global_("torch", "FloatStorage"),
            literal(key, 2),
            literal("cpu", 2),
            literal(count, 2),
        )
        + asm.BINPERSID
    )


def tensor(key: str, shape: tuple[int, ...] = (2, 2), count: int = 4) -> Raw:
    """A tensor as torch.save writes it."""
    stride = tuple(4 // shape[0] if not index else 1 for index, _ in enumerate(shape))
    return Raw(
        call(
            asm.global_("torch._utils", "_rebuild_tensor_v2"),
            storage(key, count),
            literal(0, 2),
            literal(shape, 2),
            literal(stride, 2),
            asm.NEWFALSE,
            call(asm.global_("collections", "OrderedDict")),
        )
    )


def state_dict(*more: bytes, layers: int = 1) -> bytes:
    """A state dict in protocol 2; `more` are further keys and values, alternating."""
    body = asm.EMPTY_DICT + asm.MARK
    for index in range(layers):
        body += literal(f"layer{index}.weight", 2) + tensor(str(index))
    return body + b"".join(more) + asm.SETITEMS


def parts(data: bytes, root: str = "archive", layers: int = 1) -> list[Entry]:
    """The members of a torch zip around the pickle `data`."""
    return [
        Entry(f"{root}/data.pkl", data),
        Entry(f"{root}/byteorder", b"little"),
        *(Entry(f"{root}/data/{index}", FLOATS) for index in range(layers)),
        Entry(f"{root}/version", b"3\n"),
        Entry(f"{root}/.data/serialization_id", b"0" * 40),
    ]


def torch_zip(data: bytes, root: str = "archive", layers: int = 1) -> bytes:
    """A torch zip around the pickle `data`."""
    return archive(parts(data, root, layers))


def hostile_zip(payload: Payload) -> bytes:
    """A torch zip whose state dict makes the call."""
    return torch_zip(pickle(state_dict(literal("extra", 2), payload.call(2)), 2))


def legacy(
    body: bytes,
    *,
    magic: bytes | None = None,
    protocol: bytes | None = None,
    system: bytes | None = None,
    keys: tuple[str, ...] = (),
) -> bytes:
    """A torch file of the format before zip: five pickles, then the storages named by `keys`."""
    return (
        pickle(literal(MAGIC, 2) if magic is None else magic, 2)
        + pickle(literal(PROTOCOL, 2) if protocol is None else protocol, 2)
        + pickle(literal(SYSTEM, 2) if system is None else system, 2)
        + pickle(body, 2)
        + pickle(literal(list(keys), 2), 2)
        + (struct.pack("<Q", 4) + FLOATS) * len(keys)
    )


def legacy_tensor() -> bytes:
    """A tensor whose storage's persistent id has the sixth field of the legacy format."""
    return bytes(tensor("0")).replace(literal(4, 2) + asm.TUPLE + asm.BINPERSID, literal(4, 2) + b"Nt" + asm.BINPERSID)


def tar(members: dict[str, bytes]) -> bytes:
    """A tar with fixed times."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as writer:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            writer.addfile(info, io.BytesIO(data))
    return stream.getvalue()

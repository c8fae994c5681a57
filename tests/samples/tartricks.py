"""Tars that readers disagree about, links through links, images with something in a layer (B045, B046, B080, B084)."""

import tarfile
from collections.abc import Callable, Iterator

from tests.samples.images import Entry, docker_save, info, layout, packed, tar
from tests.samples.sample import UNPROVEN, Payload, Sample

BLOCK = 512


def block(name: str, size: int | bytes = 0, kind: bytes = b"0", **fields: bytes) -> bytes:
    """One header. `size` may be the bytes of the field; `fields` are bytes to put at `at_OFFSET`."""
    out = bytearray(BLOCK)
    out[: len(name.encode())] = name.encode()
    out[100:108] = b"0000644\0"
    out[124:136] = (size if isinstance(size, bytes) else b"%011o\0" % size).ljust(12, b"\0")
    out[156:157] = kind
    out[257:265] = b"ustar\x0000"
    for place, value in fields.items():
        start = int(place.removeprefix("at_"))
        out[start : start + len(value)] = value
    out[148:156] = b" " * 8
    out[148:156] = b"%06o\0 " % sum(out)
    return bytes(out)


def filled(data: bytes) -> bytes:
    """`data` in whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def member(name: str, data: bytes, **fields: object) -> bytes:
    return block(name, len(data), **fields) + filled(data)  # type: ignore[arg-type]


def pax(kind: bytes = b"x", **pairs: str) -> bytes:
    """An extended header with records."""
    body = b""
    for key, value in pairs.items():
        text = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(text) + 1
        while len(str(length)) + len(text) != length:
            length = len(str(length)) + len(text)
        body += str(length).encode() + text
    return block("pax", len(body), kind) + filled(body)


END = bytes(2 * BLOCK)


def smuggled(inner: bytes) -> bytes:
    """A member that is empty by its header and holds a whole tar by its pax record (CVE-2025-62518)."""
    return pax(size=str(len(inner))) + block("nested", 0) + inner + END


def chain(depth: int) -> list[Entry]:
    """Symbolic links that each look harmless and together lead out of the folder."""
    links: list[Entry] = [
        info("a/", tarfile.DIRTYPE),
        info("a/b/", tarfile.DIRTYPE),
        info("up0", tarfile.SYMTYPE, "a/b"),
    ]
    for index in range(1, depth):
        links.append(info(f"up{index}", tarfile.SYMTYPE, f"up{index - 1}/.."))
    return [*links, info("out", tarfile.SYMTYPE, f"up{depth - 1}/..")]


def sparse_pickle(data: bytes) -> bytes:
    """A pickle in an old GNU sparse member: with its holes it is another one than without."""
    half = len(data) // 2
    table = b"".join(b"%011o\0%011o\0" % piece for piece in ((0, half), (half, len(data) - half)))
    return block(
        "model.pkl", len(data), b"S", at_386=table, at_483=b"%011o\0" % len(data), at_257=b"ustar  \0"
    ) + filled(data)


NEMO = b"target: x\nmodel:\n  _target_: os.system\n  command: echo modelaudit-sample\n"
Row = tuple[str, str, str, Callable[[Payload], bytes], str]
ROWS: tuple[Row, ...] = (
    ("B046", "pax-global-path", "warning", lambda p: pax(b"g", path="../../evil") + member("a", b"x") + END, ""),
    ("B046", "two-names", "warning", lambda p: pax(path="a") + pax(path="b") + member("c", b"x") + END, ""),
    ("B046", "prefix-without-magic", "critical",
     lambda p: block("passwd", 1, at_257=bytes(8), at_345=b"../../etc") + filled(b"x") + END,
     "Python's tarfile prepends the prefix whatever the magic says."),
    ("B046", "sparse-name", "critical",
     lambda p: pax(GNU__sparse__name="../evil", path="ok") + member("ok", b"x") + END,
     "The name of a sparse member replaces its path."),
    ("B046", "link-chain", "critical", lambda p: tar(chain(4)), "Each link stays inside; all together do not."),
    ("B046", "link-maze", "critical", lambda p: tar([info("l", tarfile.SYMTYPE, "l/l/l"), ("l/x", b"x")]),
     "Links without an end (CVE-2025-4517)."),
    ("B046", "hard-link-to-link", "critical",
     lambda p: tar([info("a/b/l", tarfile.SYMTYPE, "../../x"), info("m", tarfile.LNKTYPE, "a/b/l"), ("m/evil", b"x")]),
     "A hard link to a symbolic one is a symbolic link in another folder."),
    ("B046", "write-through", "warning", lambda p: tar([info("l", tarfile.SYMTYPE, "d"), ("l/x", b"x")]), ""),
    ("B046", "negative-size", "warning", lambda p: block("a", b"\xff" * 12) + END, "CVE-2025-8194."),
    ("B045", "behind-damage", "critical",
     lambda p: member("a", b"x") + b"damage".ljust(BLOCK, b".") + member("b", p.pickle()) + END,
     "Python's tarfile stops at the damage, GNU tar does not."),
    ("B045", "behind-one-empty-block", "critical",
     lambda p: member("a", b"x") + bytes(BLOCK) + member("b", p.pickle()) + END, ""),
    ("B045", "smuggled-by-two-sizes", "critical", lambda p: smuggled(member("b", p.pickle())), "CVE-2025-62518."),
    ("B045", "signed-checksum", "critical", lambda p: _signed(member("\xfc.pkl", p.pickle())) + END,
     "Readers accept checksums of signed bytes."),
    ("B045", "in-a-folder", "critical", lambda p: block("d/", 512, b"5") + member("b", p.pickle()) + END,
     "A folder that has a size."),
    ("B045", "old-sparse", "critical", lambda p: sparse_pickle(p.pickle()) + END, "A sparse member."),
    ("B045", "solaris-header", "critical", lambda p: pax(b"X", path="../evil") + member("m", p.pickle()) + END, ""),
    ("B080", "docker-save", "critical",
     lambda p: docker_save([tar([("opt/model.pkl", p.pickle())])]), "In a plain layer."),
    ("B080", "layout-gzip", "critical",
     lambda p: layout([packed(tar([("opt/model.pkl", p.pickle())]))]), "In a packed layer."),
    ("B080", "bare-layer", "critical", lambda p: layout([p.pickle()]), "The layer is the model."),
    ("B080", "removed-by-whiteout", "critical",
     lambda p: docker_save([tar([("opt/model.pkl", p.pickle())]), tar([("opt/.wh.model.pkl", b"")])]),
     "A later layer hides the file; it is in the image all the same."),
    ("B080", "whiteout-above", "critical",
     lambda p: docker_save([tar([("opt/.wh...", b"")])]), "A whiteout of the folder above."),
    ("B080", "digest", "warning",
     lambda p: layout([tar([("a", b"x")])], wrong={0: tar([("a", b"y")])}), "Another layer than named."),
    ("B084", "nemo", "critical",
     lambda p: tar([("./model_config.yaml", NEMO), ("./model_weights.ckpt", b"x")]),
     "A NeMo model whose configuration is instantiated by Hydra (CVE-2025-23304)."),
    ("B084", "nemo-weights", "critical",
     lambda p: tar([("model_config.yaml", b"target: nemo.Model\n"), ("model_weights.ckpt", p.pickle())]),
     "A NeMo model with a hostile pickle for weights."),
)  # fmt: skip


def _signed(data: bytes) -> bytes:
    """`data` with the checksum of its first header taken over signed bytes."""
    header = bytearray(data[:BLOCK])
    header[0] = 0xFC
    header[1:5] = b".pkl"
    header[5:6] = b"\0"
    header[148:156] = b" " * 8
    total = sum(byte - 256 * (byte > 127) for byte in header)
    header[148:156] = b"%06o\0 " % total
    return bytes(header) + data[BLOCK:]


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for bypass, name, expect, build, why in ROWS:
        text = f"{why or name.replace('-', ' ')}{UNPROVEN}unpacking, not loading, does the harm."
        filename = "model.nemo" if name.startswith("nemo") else "model.tar"
        yield Sample(f"{bypass}-tar-{name}", bypass, filename, build, text, expect=expect, loader="")

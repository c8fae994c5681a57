"""Marshalled code objects of every layout, put together byte by byte: what other Pythons would have written."""

import struct
from collections.abc import Sequence

# Opcodes by layout and version: load a global, take an attribute, load a constant, import, store, call, return.
_OLD = {"global": 116, "attribute": 106, "constant": 100, "import": 108, "store": 90, "call": 131, "return": 83}
VERSIONS: dict[str, tuple[str, dict[str, int]]] = {
    "2.7": ("2.7", _OLD),
    "3.4": ("3.0", _OLD),
    "3.7": ("3.0", {**_OLD, "attribute": 160}),
    "3.10": ("3.8", {**_OLD, "attribute": 160}),
    "3.11": ("3.11", {**_OLD, "attribute": 160, "call": 171, "resume": 151}),
    "3.12": ("3.11", {**_OLD, "call": 171, "resume": 151}),
    "3.13": ("3.11", {"global": 91, "attribute": 82, "constant": 83, "import": 75, "store": 114, "call": 53,
                      "return": 36, "resume": 149}),
    "3.14": ("3.11", {"global": 92, "attribute": 80, "constant": 82, "import": 73, "store": 116, "call": 52,
                      "return": 35, "resume": 128}),
}  # fmt: skip
_CACHES = {
    "3.11": {"global": 5, "attribute": 10, "call": 4},
    "3.12": {"global": 4, "attribute": 9, "call": 3},
    "3.13": {"global": 4, "attribute": 9, "call": 3},
    "3.14": {"global": 4, "attribute": 9, "call": 3},
}


def text(value: str, python2: bool = False) -> bytes:
    """A text: bytes in Python 2."""
    data = value.encode()
    return b"s" + struct.pack("<i", len(data)) + data if python2 else b"z" + bytes((len(data),)) + data


def tuple_(items: Sequence[bytes]) -> bytes:
    """A tuple."""
    return b"(" + struct.pack("<i", len(items)) + b"".join(items)


def bytes_(value: bytes) -> bytes:
    """A string of bytes."""
    return b"s" + struct.pack("<i", len(value)) + value


def bytecode(version: str, steps: Sequence[tuple[str, int]]) -> bytes:
    """The steps as that version's instructions, with the caches that follow them."""
    _, opcodes = VERSIONS[version]
    code = bytearray()
    for step, argument in [("resume", 0), *steps] if "resume" in opcodes else steps:
        if version in ("2.7", "3.4"):
            code.append(opcodes[step])
            code += struct.pack("<H", argument) if opcodes[step] >= 90 else b""
            continue
        shifted = argument << 1 if step == "global" and version >= "3.11" else argument
        shifted = argument << 1 if step == "attribute" and version in ("3.12", "3.13", "3.14") else shifted
        code += bytes((opcodes[step], shifted)) + bytes(2 * _CACHES.get(version, {}).get(step, 0))
    return bytes(code)


def code(
    version: str, steps: Sequence[tuple[str, int]], names: Sequence[str] = (), constants: Sequence[bytes] = ()
) -> bytes:
    """A code object of that version."""
    layout, _ = VERSIONS[version]
    old = version == "2.7"
    numbers = {"2.7": 4, "3.0": 5, "3.8": 6, "3.11": 5}[layout]
    parts = [b"c", struct.pack(f"<{numbers}i", *[0] * (numbers - 1), 64)]
    parts += [bytes_(bytecode(version, steps)), tuple_(constants), tuple_([text(name, old) for name in names])]
    if layout == "3.11":
        parts += [tuple_([]), bytes_(b""), text("f.py"), text("f"), text("f"), struct.pack("<i", 1), bytes_(b"") * 2]
    else:
        parts += [tuple_([]) * 3, text("f.py", old), text("f", old), struct.pack("<i", 1), bytes_(b"")]
    return b"".join(parts)


def calls(version: str, module: str, name: str, argument: str) -> bytes:
    """`module.name(argument)`, `module` being a global."""
    steps = [("global", 0), ("attribute", 1), ("constant", 0), ("call", 1), ("return", 0)]
    return code(version, steps, (module, name), (text(argument, version == "2.7"),))

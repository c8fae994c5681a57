"""The tree from which Keras builds a model: what it names, by which key, and the code that stands in it.

An object is a mapping with `class_name` and `config`, and since Keras 3 with `module` and `registered_name`;
functions have the class `function` and their name as `config`; lambdas are marshalled code in base64.
Source: keras/src/saving/serialization_lib.py, keras/src/utils/python_utils.py of Keras 2.0 to 3.12, tf.keras.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import Final

import msgspec

from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers.manifest import json, text
from modelaudit.parsers.manifest.tree import Document, Pairs, Path, text_of
from modelaudit.parsers.marshal import is_code

_HEAD_CHARS: Final = 120  # of a text, enough to see whether it is code in base64
_KEYS: Final = frozenset(("class_name", "module", "registered_name", "config", "function", "vocabulary", "spec_name"))


class Named(msgspec.Struct, frozen=True):
    """`name` of `module`, named at `path`. `module` is "" where the configuration leaves it to Keras.

    `packaged` says that it is written `package>name`: looked up among what programs have registered, not imported.
    """

    path: Path
    module: str
    name: str
    is_function: bool
    packaged: bool = False


class Text(msgspec.Struct, frozen=True):
    """A text of the tree. `in_code` says that it stands where a Lambda keeps its code."""

    path: Path
    value: str
    in_code: bool


def parse(data: bytes, limits: Limits) -> Document:
    """The tree, keys written twice and all. Raises `ParseError` and `LimitExceeded`."""
    if len(data) > 8 * limits.text_bytes:
        raise LimitExceeded("text_bytes", len(data), 8 * limits.text_bytes)
    written = text.decode(data)
    if written is None:
        raise ParseError("the configuration is not text")
    return json.parse(written.lstrip("\ufeff").rstrip("\0"), limits)


def walk(root: object) -> Iterator[tuple[Path, Pairs, bool]]:
    """Every mapping of the tree in the order of the file; whether it lies inside a Lambda comes with it."""
    stack: list[tuple[Path, object, bool]] = [((), root, False)]
    while stack:
        path, node, inside = stack.pop()
        if isinstance(node, Pairs):
            inside = inside or class_name(node) in ("Lambda", "__lambda__")
            yield path, node, inside
            stack.extend(((path, key), value, inside) for key, value in reversed(node) if isinstance(value, list))
        elif isinstance(node, list):
            stack.extend(
                ((path, at), node[at], inside) for at in range(len(node) - 1, -1, -1) if isinstance(node[at], list)
            )


def class_name(pairs: Pairs) -> str:
    """The name of the class that a mapping is an object of, without the package it was registered under; or ""."""
    name = pairs.first("class_name")
    return name.rpartition(">")[2] if isinstance(name, str) else ""


def named(path: Path, pairs: Pairs) -> Iterator[Named]:
    """What a mapping names, with every value of a key that is written twice."""
    modules = _texts(pairs, "module") or [""]
    classes = _texts(pairs, "class_name")
    function = "function" in classes
    names = [(key, name) for key in ("class_name", "spec_name", "registered_name") for name in _texts(pairs, key)]
    if function:
        names = [("config", name) for name in _texts(pairs, "config")]
    names += [("function", name) for name in _texts(pairs, "function")]
    for key, name in names:
        if key == "function" and len(name) > _HEAD_CHARS:
            continue  # code, not a name
        for module in modules:
            bare = name.rpartition(">")[2]
            if "." in bare and (not module or key == "registered_name"):
                yield Named((path, key), *_split(bare), function)
            elif key == "registered_name" and ">" in name:
                yield Named((path, key), name.rpartition(">")[0], bare, False, True)
            elif key != "registered_name":
                yield Named((path, key), module, bare, function or key in ("function", "config"))


def texts(path: Path, pairs: Pairs, inside: bool) -> Iterator[Text]:
    """The texts of a mapping, those of lists in it too."""
    for key, value in pairs:
        in_code = inside and key in ("function", "code", "value", "output_shape", "mask")
        if isinstance(value, str):
            yield Text((path, key), value, in_code)
        elif isinstance(value, list) and not isinstance(value, Pairs):
            for at, item in enumerate(value):
                if isinstance(item, str):
                    yield Text(((path, key), at), item, in_code and at == 0)
                elif isinstance(item, list) and not isinstance(item, Pairs):
                    yield from _nested((((path, key), at)), item)


def _nested(path: Path, items: list[object]) -> Iterator[Text]:
    """The texts of lists in lists, mappings left out: `walk` gives those."""
    stack: list[tuple[Path, object]] = [(path, items)]
    while stack:
        place, node = stack.pop()
        if isinstance(node, str):
            yield Text(place, node, False)
        elif isinstance(node, list) and not isinstance(node, Pairs):
            stack.extend(((place, at), node[at]) for at in range(len(node) - 1, -1, -1))


def code(value: str, forced: bool) -> bytes | None:
    """The marshalled code that a text is: base64 as Keras decodes it, or the raw text of Keras 1.

    With `forced`, for a text that stands where code must stand, whatever it decodes to; otherwise None for all else.
    """
    head = _base64(value[:_HEAD_CHARS] if not forced else value)
    if head is not None and is_code(head):
        return _base64(value)
    if value[:1] in ("c", "\xe3") and "\0" in value[:_HEAD_CHARS]:
        raw = value.encode("raw_unicode_escape", "replace")
        if is_code(raw):
            return raw
    return head if forced and head and len(value) > _HEAD_CHARS // 2 else None


def _base64(value: str) -> bytes | None:
    """Decoded as Python's codec does: what is not of the alphabet is passed over, and a cut end is cut off."""
    try:
        data = value.encode("ascii")
        return binascii.a2b_base64(data)
    except UnicodeEncodeError:
        return None
    except binascii.Error:
        clean = bytes(byte for byte in data if byte in _ALPHABET)
        return base64.b64decode(clean[: len(clean) // 4 * 4])


_ALPHABET: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def duplicates(pairs: Pairs) -> list[str]:
    """Keys that decide what is built and are written twice with different values."""
    if len(pairs) == len({key for key, _ in pairs}):
        return []
    found: dict[str, object] = {}
    twice: dict[str, None] = {}
    for key, value in pairs:
        if key in _KEYS and key in found and found[key] != value:
            twice[key] = None
        found.setdefault(key, value)
    return list(twice)


def _texts(pairs: Pairs, key: str) -> list[str]:
    return [value for name, item in pairs if name == key and (value := text_of(item)) is not None and value]


def _split(path: str) -> tuple[str, str]:
    module, _, name = path.rpartition(".")
    return module, name

"""Values as JSON bytes that are safe to print and to split into lines."""

import re

import msgspec

# What JSON allows in a string and a terminal or a line splitter would act on: DEL, the C1 controls, the line and
# paragraph separators, and the marks that turn the direction of text. UTF-8 never matches inside another character.
_ACTIVE = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
_encoder = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    r"""`value` as one line of JSON in UTF-8. Active characters are escaped; broken UTF-8 becomes `\udcXX` in text."""
    try:
        line = _encoder.encode(value)
    except UnicodeEncodeError:  # a lone surrogate, for instance from a server's header
        line = _encoder.encode(_mended(msgspec.to_builtins(value)))
    return line if line.isascii() and b"\x7f" not in line else _ACTIVE.sub(_escaped, line)


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())


def _mended(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_mended(key): _mended(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(entry) for entry in value]
    return value

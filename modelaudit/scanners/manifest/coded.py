"""Programs kept as text in a configuration: pickles, and archives of them, in base64, base85 or hexadecimal.

Whoever wrote the configuration has its reader decode the value and load it; the scanner of what it is in bytes judges.
"""

import base64
import zlib
from collections.abc import Iterator
from contextlib import suppress

from modelaudit.late import late
from modelaudit.parsers import telltale

_SHORTEST = 16  # characters; no pickle that calls something is written in fewer
_MOST_CHARS = 4 * 1024 * 1024  # of one value
# How the encodings write the first two bytes of a pickle, of gzip, zlib and zip, and of pickles without a protocol.
# Most values have another beginning and are done with this.
_BEGINS = late(
    r"(?:data:[^,]{0,80};base64,)?(?:gA[I-X]|H4sI|e(?:J[w-z]|A[E-H]|N[o-r])|UEsD|QlpoO|Y[2-3]|KG|KF|Kd|Kc)"
    r"|80 ?0[2-5]|1[fF]8[bB]08|78(?:01|9[cC]|[dD][aA])|504[bB]0304|fC|J[,-]"
)
FIRST = frozenset("gHeUQYK8175fJd \t\r\n")  # what `_BEGINS` begins with, or space before it: the test of every value
_ZLIB = (b"x\x01", b"x\x9c", b"x\xda")
_BASE85 = late(r"[!-~]{16,}")
_HEAD_BYTES = 64  # inflated to see whether it is zlib at all


def payloads(text: str) -> Iterator[bytes]:
    """The bytes that `text` stands for, where those may be a pickle or an archive."""
    text = text.strip()
    if len(text) < _SHORTEST or len(text) > _MOST_CHARS or _BEGINS.match(text) is None:
        return
    if text.startswith(("fC", "J")):
        yield from _base85(text)
        return
    for data in telltale.payloads(text.replace(" ", "") if text.startswith("80 ") else text):
        if telltale.is_payload(data[:256]) or _is_zlib(data):
            yield data
            return


def _base85(text: str) -> Iterator[bytes]:
    if _BASE85.fullmatch(text) is None:
        return
    for decode in (base64.b85decode, base64.a85decode):
        with suppress(ValueError):
            data = decode(text)
            if telltale.is_payload(data[:256]):
                yield data
                return


def _is_zlib(data: bytes) -> bool:
    """Whether the first bytes inflate; at most `_HEAD_BYTES` are made of them."""
    if not data.startswith(_ZLIB):
        return False
    with suppress(zlib.error):
        return len(zlib.decompressobj().decompress(data[:1024], _HEAD_BYTES)) > 0
    return False

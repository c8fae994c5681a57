"""Whether bytes begin like a state in MessagePack. The format has no signature, and almost any byte begins a value.

So the first ones are read for a while: names have to be names, and sizes have to fit. One of Flax's arrays settles it.
"""

import re

from modelaudit.blob import Blob, RootBlob
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.parsers import flax_arrays, msgpack

_HEAD_BYTES = 4096
_EVENTS = 200  # looked at; by then random bytes have long stumbled
_NAME = late(r"[A-Za-z_][\w ./:()\[\]<>#+,=@-]{2,}", re.ASCII)
_PRINTABLE = late(r"[^\x00-\x1f\x7f\\]*")


def is_state(blob: Blob, limits: Limits) -> bool:
    """Whether the first bytes are a map with strings for keys, or one of Flax's arrays. Reads 4 KiB at most."""
    first = bytes(blob.view(0, 1))
    if not first or not (0x81 <= first[0] <= 0x8F or first[0] in (0xDE, 0xDF, 0xC7, 0xC8, 0xC9)):
        return False
    head = bytes(blob.view(0, _HEAD_BYTES, 1))
    return _judge(RootBlob(head, blob.size, [(0, len(head))]), limits)


def _judge(head: RootBlob, limits: Limits) -> bool:
    """`head` is a blob of our own, of which nothing more will ever be here: what it misses is where reading ends."""
    named = whole = False
    is_map = not 0xC7 <= head.view(0, 1)[0] <= 0xC9
    try:
        for count, event in enumerate(msgpack.events(head, limits)):
            if isinstance(event, msgpack.Body) and event.kind == "extension" and _is_array(head, event):
                return True
            if isinstance(event, msgpack.Opened) and event.offset == 0 and event.kind != "map":
                return False
            if isinstance(event, msgpack.Key):
                if event.text is None and not event.path:
                    return False
                if event.text is not None and not _PRINTABLE.fullmatch(event.text):
                    return False
                named = named or _NAME.fullmatch(event.text or "") is not None
            whole = is_map and isinstance(event, msgpack.End) and event.offset == head.size
            if count >= _EVENTS:
                break
    except (ParseError, LimitExceeded, Missing):
        pass
    return named or whole


def _is_array(head: RootBlob, body: msgpack.Body) -> bool:
    if body.code != flax_arrays.NDARRAY:
        return False
    try:
        array = flax_arrays.read(head, body)
    except (ParseError, Missing):
        return False
    return array.dtype.isprintable() and array.start + array.length == body.start + body.length

"""Words of strangers on their way into a page: into its text, and into its data."""

import html

from modelaudit.sinks.encoding import encode
from modelaudit.sinks.text import visible

CLIPPED_CHARS = 4096  # of one piece of text; our own scans keep far below that
_IN_SCRIPT = ((b"<", b"\\u003c"), (b">", b"\\u003e"), (b"&", b"\\u0026"), (b"'", b"\\u0027"))


def plain(text: str) -> str:
    r"""`text` with everything that is not to be seen or steers the eye (bidi marks, controls) written as `\u202e`."""
    shown = visible(text if len(text) <= CLIPPED_CHARS else text[:CLIPPED_CHARS] + "…")
    return shown if shown.isascii() else "".join(map(_mended, shown))


def _mended(mark: str) -> str:
    return mark if not "\ud800" <= mark <= "\udfff" else f"\\u{ord(mark):04x}"


def text(value: str) -> str:
    """`value` as HTML, for between tags and between double quotes."""
    return html.escape(plain(value), quote=True)


def data(value: object) -> bytes:
    """`value` as JSON for inside a `<script>`: nothing in it can end the element or begin a comment."""
    line = encode(value)
    for mark, escape in _IN_SCRIPT:  # all of them occur within JSON strings only
        line = line.replace(mark, escape)
    return line

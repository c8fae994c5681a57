"""Jupyter notebooks: the code of all cells together as one script, in which commands stand as calls that start them.

nbformat 4.5. Nothing is run; what a notebook does is judged like any other Python source.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit

_HEAD_BYTES: Final = 4096
_TAIL_BYTES: Final = 4096
_MARKS: Final = (b'"cells"', b'"nbformat"')
# The cells of a notebook run when somebody runs them: for the analysis, as the main part of a script.
_AS_SCRIPT: Final = 'if __name__ != "__main__":\n    raise ImportError\nimport os\n'
_SHELLS: Final = late(r"%%(?:bash|sh|script\b.*|cmd|system|sx)[^\n]*\n?")
_COMMAND: Final = late(r"(\s*)(?:[\w, ]{1,100}=\s*)?(?:!{1,2}|%(?:system|sx|pip|conda)\b)(.*)")
_CONTINUED: Final = late(r"^\s*[!%](?:[^\n]*\\\n)+", re.MULTILINE)  # a command over several lines
_MAGIC: Final = late(r"(\s*)(?:%|\?).*|(\s*)[\w.]+\?{1,2}\s*$")
_ACTIVE: Final = late(r"<script\b|javascript:|\bon(?:load|error|click)\s*=", re.IGNORECASE)
_SHOWN: Final = 20
_PICTURES: Final = 16  # times as large as a text may be: most of a notebook is pictures, which are one string each

_Text = str | list[str]


class _Output(msgspec.Struct, frozen=True):
    data: dict[str, object] = {}


class _Cell(msgspec.Struct, frozen=True):
    cell_type: str = ""
    source: _Text = ""
    outputs: list[_Output] = []


class _Notebook(msgspec.Struct, frozen=True):
    cells: list[_Cell]
    nbformat: int


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the blob begins like JSON, names cells, and says somewhere near an end that it is a notebook."""
    head = bytes(blob.view(0, _HEAD_BYTES))
    if head.lstrip()[:1] != b"{" or not any(mark in head for mark in _MARKS):
        return False
    tail = bytes(blob.view(max(0, blob.size - _TAIL_BYTES), _TAIL_BYTES))
    return _MARKS[1] in head or _MARKS[1] in tail


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child]:
    """The code of the cells as a child, and hits on outputs that run. Raises `ParseError`, `LimitExceeded`."""
    most = _PICTURES * limits.text_bytes
    if blob.size > most:
        raise LimitExceeded("text_bytes", blob.size, most)
    try:
        notebook = msgspec.json.decode(read(blob, 0, blob.size), type=_Notebook)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError("no notebook of nbformat 4") from error
    code = [_python(_joined(cell.source)) for cell in notebook.cells if cell.cell_type == "code"]
    if any(text.strip() for text in code):
        yield Child(
            "code", data=(_AS_SCRIPT + "\n".join(code)).encode("utf-8", "surrogatepass"), format="python_source"
        )
    yield from islice(_active(notebook), _SHOWN)


def _active(notebook: _Notebook) -> Iterator[Hit]:
    """Outputs with scripts in them."""
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.outputs:
            for kind, value in output.data.items():
                pieces = value if isinstance(value, list) else [value]
                text = "".join(piece for piece in pieces if isinstance(piece, str))
                if kind == "application/javascript" or (kind == "text/html" and _ACTIVE.search(text)):
                    yield Hit("notebook-active-output", None, {"cell": number, "what": kind})


def _joined(source: _Text) -> str:
    return source if isinstance(source, str) else "".join(source)


def _python(cell: str) -> str:
    """The code of one cell as Python: commands become calls of `os.system`, other magic nothing."""
    shell = _SHELLS.match(cell)
    if shell is not None:
        return f"os.system({cell[shell.end() :]!r})"
    if cell.startswith("%%"):
        first, _, rest = cell.partition("\n")
        return rest if re.match(r"%%(?:time|timeit|capture|prun)\b", first) else ""
    return "\n".join(
        _line(line) for line in _CONTINUED.sub(lambda match: match[0].replace("\\\n", " "), cell).splitlines()
    )


def _line(line: str) -> str:
    command = _COMMAND.fullmatch(line)
    if command is not None:
        return f"{command[1]}os.system({command[2].strip()!r})"
    magic = _MAGIC.fullmatch(line)
    return f"{magic[1] or magic[2] or ''}pass" if magic is not None else line

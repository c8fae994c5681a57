"""What a `.dvc` file, a `dvc.lock` and `.dvc/config` say: read line by line, as DVC writes them (DVC 2 and 3).

No YAML is loaded: of these files only a few plain lines matter, and whoever wrote them need not be trusted.
"""

import re
from collections.abc import Iterator

import msgspec

_ITEM = re.compile(r"( *)- +(.*)")
_FIELD = re.compile(r"( *)([A-Za-z_][A-Za-z0-9_]{0,63}): *(.*)")
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_SECTION = re.compile(r"""\[\s*'?(core|cache|remote)(?:\s+"([^"]{1,200})")?'?\s*\]""")
_SETTING = re.compile(r"\s*([a-z_]{1,64})\s*=\s*(.*)")


class Out(msgspec.Struct, frozen=True):
    """A file or folder that DVC keeps. `path` is relative to the pointer; `size` in bytes."""

    path: str
    md5: str
    size: int | None = None
    is_flat: bool = False  # stored as DVC 2 did, without files/md5/

    @property
    def is_folder(self) -> bool:
        """Whether the object is a list of files."""
        return self.md5.endswith(".dir")

    @property
    def place(self) -> str:
        """Where it lies below a cache or a remote."""
        return ("" if self.is_flat else "files/md5/") + f"{self.md5[:2]}/{self.md5[2:]}"


class Entry(msgspec.Struct, frozen=True):
    """One file of a folder."""

    md5: str = ""
    relpath: str = ""


class Settings(msgspec.Struct, frozen=True):
    """What of the configuration tells where the data is; `endpoint` is that of an S3 server."""

    url: str | None = None
    endpoint: str | None = None
    cache: str | None = None


def outs(text: str) -> Iterator[Out]:
    """Every output that `text`, a pointer or a lock file, names with an MD5."""
    fields: dict[str, str] = {}
    within, depth = -1, -1  # the indents of `outs:` and of its items' fields
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent = len(line) - len(line.lstrip(" "))
        item = _ITEM.match(line)
        if within >= 0 and (indent < within or (indent == within and item is None)):
            yield from _out(fields)
            fields, within, depth = {}, -1, -1
        if within < 0:
            within = indent if line.strip() == "outs:" else -1
            continue
        if item is not None and (depth < 0 or indent < depth):
            yield from _out(fields)
            fields, depth = {}, len(item[1]) + 2
        field = _FIELD.match(line if item is None else " " * len(item[1]) + "  " + item[2])
        if field is not None and len(field[1]) == depth:
            fields[field[2]] = _plain(field[3])
    yield from _out(fields)


def _out(fields: dict[str, str]) -> Iterator[Out]:
    md5, path, size = fields.get("md5", ""), fields.get("path", ""), fields.get("size", "")
    if path and _MD5.fullmatch(md5):
        known = int(size) if size.isdecimal() and len(size) < 19 else None
        yield Out(path, md5, None if md5.endswith(".dir") else known, fields.get("hash") != "md5")


def _plain(value: str) -> str:
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].replace("''", "'") if value[0] == "'" else value[1:-1]
    return value


def files(data: bytes) -> tuple[Entry, ...]:
    """The files of a folder, out of its `.dir` object. Raises `ValueError` when it is none."""
    try:
        found = msgspec.json.decode(data, type=tuple[Entry, ...])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("no list of files") from error
    return tuple(entry for entry in found if _MD5.fullmatch(entry.md5) and entry.relpath)


def settings(texts: list[str]) -> Settings:
    """What the configuration files say, the later ones over the earlier."""
    said: dict[tuple[str, str], dict[str, str]] = {}
    for text in texts:
        section: dict[str, str] = {}
        for line in text.splitlines():
            head, setting = _SECTION.match(line.strip()), _SETTING.fullmatch(line)
            if head:
                section = said.setdefault((head[1], head[2] or ""), {})
            elif setting:
                section[setting[1]] = _plain(setting[2])
    remote = said.get(("remote", said.get(("core", ""), {}).get("remote", "")), {})
    return Settings(remote.get("url"), remote.get("endpointurl"), said.get(("cache", ""), {}).get("dir"))

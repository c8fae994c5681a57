"""Layers of container images: tars that change a root file system. Their absolute links begin at the image's root.

Programs and installed Python packages are what images are made of: they are listed and not judged, as an image runs
what is in it. All other files are looked at like any file: models, configuration, the image's own code.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from modelaudit.blob import Blob, read
from modelaudit.late import late
from modelaudit.limits import KIB, Limits
from modelaudit.model import Asset, Child, Hit, Note
from modelaudit.parsers.tar.header import BLOCK_BYTES, DEVICES, FOLDER, HARD_LINK, SYMBOLIC_LINK, is_header
from modelaudit.parsers.tar.paths import Leads, Links
from modelaudit.parsers.tar.walk import Damage, Member, Walk, end_of
from modelaudit.parsers.zip import names
from modelaudit.parsers.zip.layout import Ranges

Item = Hit | Child | Asset | Note

_BATCH = 65_536  # headers walked through before the first member is looked at
_SMALL_BYTES = 16 * KIB  # members up to this size are read with their neighbours
_ALIKE = 100  # hits of one rule; more of them say no more
_WHITEOUT, _OPAQUE, _AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."
_INSTALLED = late(r"(?:^|/)lib(?:64)?/(?:python|pypy)[\d.]*/.*\.pyc?$")
_PROGRAMS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"!<arch>\n")


def scan(blob: Blob, limits: Limits, /) -> Iterator[Item]:
    """Every file of the layer as a child, and what the layer would do to the layers below and to the host."""
    if not is_header(read(blob, 0, BLOCK_BYTES)):
        if bytes(blob.view(0, 1)) != b"":
            yield Child("contents", 0, blob.size)
        return
    counts: Counter[str] = Counter()
    for item in _items(blob, limits):
        if isinstance(item, Hit):
            counts[item.rule] += 1
            if counts[item.rule] > _ALIKE:
                continue
        yield item


def _items(blob: Blob, limits: Limits) -> Iterator[Item]:
    walk = Walk(blob)
    layer = _Layer()
    found = walk.items()
    while batch := list(islice(found, _BATCH)):
        wanted = Ranges(limits.coalesce_gap_bytes)
        for item in batch:
            if isinstance(item, Member) and item.size:
                wanted.add(item.offset, item.size if item.size <= _SMALL_BYTES else BLOCK_BYTES)
        blob.require(wanted.merged())
        for item in batch:
            if isinstance(item, Damage):
                yield Note("broken", f"no tar header at byte {item.start}", item.start)
                yield Child("damaged bytes", item.start, item.end - item.start)
            else:
                yield from layer.of(item)
                yield from _contents(item, blob)
    yield from layer.at_end()
    after = end_of(blob, walk.place, limits.header_bytes)
    if after < blob.size:
        yield Child("trailing bytes", after, blob.size - after)


def _contents(member: Member, blob: Blob) -> Iterator[Item]:
    here = max(0, min(member.size, blob.size - member.offset))
    if member.size > here:
        yield Note("truncated", f"{member.name}: {member.size - here} bytes beyond the end", member.at)
    if not here or member.kind in DEVICES or member.kind == FOLDER:
        return
    if bytes(blob.view(member.offset, 8)).startswith(_PROGRAMS) or _INSTALLED.search(member.name):
        yield Asset(member.name, "program", member.size)
    elif here <= _SMALL_BYTES:
        yield Child(member.name, data=bytes(blob.view(member.offset, here)))
    else:
        yield Child(member.name, member.offset, here)
    if member.other_size is not None:
        yield Child(f"{member.name} (other reading)", member.offset, min(member.other_size, blob.size - member.offset))


class _Layer:
    """The members of a layer so far."""

    def __init__(self) -> None:
        self._links = Links(rooted=True)
        self._seen: set[int] = set()
        self._repeated: list[str] = []
        self._removed: dict[str, int] = {}

    def of(self, member: Member) -> Iterator[Hit]:
        """What the header of `member` does."""
        name = member.name
        for path in member.names or (name,):
            if names.escapes(path) or names.is_drive(path):
                yield Hit("oci-layer-traversal", member.at, {"name": path})
        for odd in member.odd:
            if odd != "link-data":
                yield Hit("oci-layer-ambiguous", member.at, {"name": name, "what": odd})
        plain = name.removeprefix("./").strip("/")
        folder, _, last = plain.rpartition("/")
        if last.startswith(_WHITEOUT):
            yield from self._whiteout(member, folder, last)
        elif member.kind != FOLDER:
            same = hash(plain)
            if same in self._seen and len(self._repeated) < 10:
                self._repeated.append(name)
            self._seen.add(same)
        link = self._links.crossed(plain, last=False)
        if link is not None:
            target = self._links.target_of(link)
            rule = "oci-layer-link-maze" if self._links.lead(plain) is Leads.MAZE else "oci-layer-write-through"
            yield Hit(rule, member.at, {"name": name, "link": link, "target": target})
        if member.kind == SYMBOLIC_LINK:
            self._links.add(plain, member.link)
            if not member.link.startswith("/") and names.link_escapes(plain, member.link):
                yield Hit("oci-layer-link-escape", member.at, {"name": name, "target": member.link})
        elif member.kind == HARD_LINK and names.escapes(member.link):
            yield Hit("oci-layer-link-escape", member.at, {"name": name, "target": member.link})
        elif member.kind in (b"3", b"4") and not plain.startswith("dev/"):
            yield Hit("oci-layer-device", member.at, {"name": name})

    def _whiteout(self, member: Member, folder: str, last: str) -> Iterator[Hit]:
        """A file whose name says that another one is to be removed."""
        if last == _OPAQUE or (last.startswith(_AUFS) and "/" not in last[len(_AUFS) :]):
            hidden = ""
        else:
            hidden = last[len(_WHITEOUT) :]
            if hidden in {"", ".", ".."}:
                yield Hit("oci-layer-whiteout", member.at, {"name": member.name})
            else:
                self._removed.setdefault(f"{folder}/{hidden}".lstrip("/"), member.at)
        if member.size or member.kind in (SYMBOLIC_LINK, HARD_LINK):
            yield Hit("oci-layer-whiteout-data", member.at, {"name": member.name, "size": member.size})

    def at_end(self) -> Iterator[Hit]:
        """What only all members together tell."""
        for path, at in self._removed.items():
            if hash(path) in self._seen:
                yield Hit("oci-layer-whiteout-clash", at, {"name": path})
        if self._repeated:
            yield Hit("oci-layer-duplicate-path", None, {"name": self._repeated[0], "names": self._repeated})

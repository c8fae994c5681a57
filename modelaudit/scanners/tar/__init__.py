"""tar archives: each member is looked at, and where it would be written. Old PyTorch checkpoints are tars.

NeMo models are tars with a `model_config.yaml`; images of containers are tars with a list of layers.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from modelaudit.blob import Blob, read
from modelaudit.limits import KIB, MIB, Limits
from modelaudit.model import Asset, Child, Evidence, Hit, Note
from modelaudit.parsers.tar.header import BLOCK_BYTES, DEVICES, FOLDER, is_header
from modelaudit.parsers.tar.walk import Damage, Member, Walk, end_of
from modelaudit.parsers.zip.layout import Ranges
from modelaudit.scanners.tar.dangers import Dangers
from modelaudit.scanners.tar.image import Image

Item = Hit | Child | Asset | Note

_BATCH = 65_536  # headers walked through before the first member is looked at: all of them, in most archives
_SMALL_BYTES = 16 * KIB  # members up to this size are read with their neighbours
_EXPANDED_BYTES = 64 * MIB  # sparse members up to this size are looked at as they will be unpacked
_COPIES = 1000  # of the same bytes under the same name that are looked at; more would not even fit in the findings
_ALIKE = 100  # hits of one rule; more of them say no more


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the file begins with a header whose checksum is right."""
    return is_header(read(blob, 0, BLOCK_BYTES))


def scan(blob: Blob, limits: Limits, /) -> Iterator[Item]:
    """Every member as a child, what its header would do, and what follows the archive."""
    counts: Counter[str] = Counter()
    for item in _items(blob, limits):
        if isinstance(item, Hit):
            counts[item.rule] += 1
            if counts[item.rule] > _ALIKE:
                continue
        yield item


def _items(blob: Blob, limits: Limits) -> Iterator[Item]:
    walk = Walk(blob)
    dangers = Dangers(blob, limits)
    found = walk.items()
    copies: Counter[int] = Counter()
    first = True
    while batch := list(islice(found, _BATCH)):
        members = [item for item in batch if isinstance(item, Member)]
        _fetch(blob, members, limits)
        image = Image(blob, members, limits) if first else None
        if image is not None:
            yield from image.items()
        for item in batch:
            if isinstance(item, Damage):
                yield Hit("tar-damaged", item.start, {"bytes": item.end - item.start})
                yield Note("broken", f"no tar header at byte {item.start}", item.start)
                yield Child("damaged bytes", item.start, item.end - item.start)
            else:
                yield from dangers.of(item)
                layer = list(image.layer(item)) if image is not None else []
                yield from layer or _contents(item, blob, limits, copies)
        first = False
    yield from dangers.at_end()
    yield from _behind(blob, walk.place, limits)


def _fetch(blob: Blob, members: list[Member], limits: Limits) -> None:
    """Ask at once for all small members, and for the heads of the others."""
    wanted = Ranges(limits.coalesce_gap_bytes)
    for member in members:
        if member.size:
            wanted.add(member.offset, member.size if member.size <= _SMALL_BYTES else BLOCK_BYTES)
    blob.require(wanted.merged())


def _contents(member: Member, blob: Blob, limits: Limits, copies: Counter[int]) -> Iterator[Item]:
    """The bytes of `member` as a child, expanded where they are sparse. `copies` counts those that were met."""
    here = max(0, min(member.size, blob.size - member.offset))
    if member.size > here:
        yield Note("truncated", f"{member.name}: {member.size - here} bytes beyond the end", member.at)
    if member.broken:
        yield Note("broken", f"{member.name}: {member.broken}", member.at)
    if not here or member.kind in DEVICES:
        return
    if member.kind == FOLDER or member.size > _SMALL_BYTES or here < member.size:
        yield Child(member.name, member.offset, here)
    else:
        data = bytes(blob.view(member.offset, here))
        same = hash((member.name.rpartition("/")[2], data))
        copies[same] += 1
        yield Child(member.name, data=data) if copies[same] <= _COPIES else Asset(member.name, "copy", here)
    if member.sparse is not None and member.sparse.pieces:
        most = max(limits.unpack_ratio * here, limits.unpack_ratio_floor_bytes)
        evidence: Evidence = {"name": member.name, "packed": here, "size": member.sparse.size}
        if member.sparse.size > most:
            yield Hit("tar-bomb", member.at, evidence)
        if member.sparse.size <= _EXPANDED_BYTES:
            blob.require([(member.sparse.data, here)])
            yield Child(f"{member.name} (expanded)", data=member.sparse.expanded(blob, here))
        else:
            yield Note("sparse", f"{member.name}: {member.sparse.size} bytes with holes, looked at without the holes")
    if member.other_size is not None and member.other_size != member.size:
        yield from _other_reading(member, blob)


def _other_reading(member: Member, blob: Blob) -> Iterator[Child]:
    """What readers see that believe the size in the header: less of the member, or headers in the middle of it."""
    other = member.other_size or 0
    end = min(member.offset + member.size, blob.size)
    if other < member.size:
        middle = member.offset + -(-other // BLOCK_BYTES) * BLOCK_BYTES
        if end - middle >= BLOCK_BYTES and middle > member.offset:
            yield Child(f"{member.name} (behind its first {other} bytes)", middle, end - middle)
    else:
        yield Child(f"{member.name} (as {other} bytes)", member.offset, min(other, blob.size - member.offset))


def _behind(blob: Blob, place: int, limits: Limits) -> Iterator[Item]:
    """What stands behind the end of the archive."""
    after = end_of(blob, place, limits.header_bytes)
    if after < blob.size:
        if is_header(read(blob, after, BLOCK_BYTES)):
            yield Hit("tar-hidden-members", after, {"bytes": blob.size - after})
        yield Child("trailing bytes", after, blob.size - after)

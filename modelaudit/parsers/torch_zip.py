"""PyTorch's archives: which members are tensors that nothing unpickles, and where PyTorch keeps what.

`torch.save` writes `<root>/data.pkl`, whose persistent ids name the storages `<root>/data/<key>` with type and
number of elements; TorchScript does the same with `constants.pkl` and others, `torch.package` keeps storages in
`<root>/.data/<key>.storage`. Members are stored, not packed, and their data are aligned by an extra field of the
local header. `torch.export` has `<root>/archive_format`, TorchServe `MAR-INF/`.
Source: torch/serialization.py, torch/csrc/jit/serialization, caffe2/serialize/inline_container.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import msgspec

from modelaudit.blob import Blob, SliceBlob
from modelaudit.blob import read as read_bytes
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.parsers.pickle.values import Tensor
from modelaudit.parsers.torch_storages import storages
from modelaudit.parsers.zip import ends, entries
from modelaudit.parsers.zip.archive import Archive
from modelaudit.parsers.zip.entries import DESCRIPTOR, DESCRIPTOR_BYTES, LOCAL_BYTES, UTF8, Entry
from modelaudit.parsers.zip.layout import Starts

_MARKS = late(rb"/data\.pkl|/constants\.pkl|/byteorder|/\.data/|/archive_format|MAR-INF/MANIFEST\.json")
_STORAGE = late(rb"/(?:data|constants|tensors|traced_inputs)/\d+$|/weights/weight_\d+$|/\.data/\d+\.storage$")
_PICKLE_BYTES = 64 << 20  # of all pickles that are read for their persistent ids; real ones stay below 30 MiB
_PICKLES = 64  # of one archive; a package of more has its tensors looked at one by one
_ALIGNMENT = 64  # bytes; other values stand in `.storage_alignment`
_ALIGNMENT_MOST = 1 << 16
_PADDING_HEADER_BYTES = 4
_ZIP64_BYTES = (0, 12, 20, 28)  # of the local header's zip64 field: none, or for a large offset, size, or both
_EXTRA_BYTES = 100


class Mismatch(msgspec.Struct, frozen=True):
    """A storage of which the pickle says `declared` bytes and the archive has `stored`, at `position`."""

    name: bytes
    declared: int
    stored: int
    position: int


class TorchZip(msgspec.Struct, frozen=True):
    """What is known of a PyTorch archive.

    `tensors` maps the name of each member that holds nothing but a tensor's bytes to where its span ends;
    `shapes` has what lies in those: each tensor with the offset and the length in bytes of its storage.
    `absent` are storages that a pickle names and the archive lacks. `is_other` means that it need not have a
    `data.pkl`: an exported program, or a TorchServe archive.
    """

    root: bytes
    has_data: bool
    is_package: bool
    is_other: bool
    tensors: dict[bytes, int]
    mismatches: tuple[Mismatch, ...]
    absent: tuple[bytes, ...]
    shapes: Sequence[tuple[Tensor, int, int]]

    def is_code(self, name: bytes) -> bool:
        """Whether a member is TorchScript source: PyTorch compiles what lies in `code/`."""
        return name.startswith(self.root + b"/code/") and name.endswith(b".py")


_KNOWN: WeakKeyDictionary[Blob, tuple[Limits, TorchZip]] = WeakKeyDictionary()  # while the blob is being scanned


def fits(blob: Blob) -> bool:
    """Whether `blob` is a zip with the members of a PyTorch archive. Raises `Missing`."""
    end = ends.find(blob)
    return end is not None and _is_torch(blob, end)


def is_torch(archive: Archive) -> bool:
    """Whether `archive` has the members of a PyTorch archive. Raises `Missing`."""
    return _is_torch(archive.blob, archive.end)


def is_storage(name: bytes) -> bool:
    """Whether a member's name is that of a tensor, where PyTorch keeps them."""
    return _STORAGE.search(name) is not None


def read(archive: Archive, limits: Limits, beside: Sequence[tuple[int, int]] = ()) -> TorchZip:
    """What is known of a PyTorch archive.

    Read once for the scanners of zip and of PyTorch, who both ask. Raises `Missing` for its pickles, and with them
    for what else is missing of the ranges `beside`.
    """
    known = _KNOWN.get(archive.blob)
    if known is None or known[0] is not limits:
        known = _KNOWN[archive.blob] = (limits, _Reading(archive, limits, beside).result())
    return known[1]


def _is_torch(blob: Blob, end: ends.End) -> bool:
    blob.require([(one.start, one.limit - one.start) for one in end.directories])
    return any(_MARKS.search(blob.view(one.start, one.limit - one.start)) for one in end.directories)


class _Reading:
    def __init__(self, archive: Archive, limits: Limits, beside: Sequence[tuple[int, int]]) -> None:
        self._archive = archive
        self._beside = beside
        self._blob = archive.blob
        self._limits = limits
        self._starts = Starts()
        self._pickles: list[Entry] = []
        self._alignment: Entry | None = None
        self._root: bytes | None = None
        self._flags: set[str] = set()
        self._shapes: list[tuple[bytes, Tensor]] = []
        self._places: dict[bytes, tuple[int, int]] = {}

    def result(self) -> TorchZip:
        self._survey()
        declared = self._declared()
        mismatches: list[Mismatch] = []
        tensors = self._tensors(declared, mismatches)
        return TorchZip(
            root=self._root or b"",
            has_data="data" in self._flags,
            is_package="package" in self._flags,
            is_other="other" in self._flags,
            tensors=tensors,
            mismatches=tuple(mismatches),
            absent=tuple(sorted(declared)),
            shapes=[(tensor, *self._places[name]) for name, tensor in self._shapes if name in tensors],
        )

    def _survey(self) -> None:
        """One pass over the members: where each starts, and the few that say something about the others."""
        for index, member in enumerate(self._archive.members()):
            if index >= self._limits.members:
                break
            entry = member.entry
            self._starts.add(entry.offset)
            if self._root is None:
                self._root = entry.name.partition(b"/")[0]
            self._note(entry)
        for one in self._archive.reads:
            self._starts.add(one.start)

    def _note(self, entry: Entry) -> None:
        name = entry.name
        if name.endswith(b".pkl"):
            self._pickles.append(entry)
            self._flags.update({"data"} if name.endswith(b"/data.pkl") else ())
        elif name.endswith(b"/.storage_alignment"):
            self._alignment = entry
        elif name.endswith((b"/archive_format", b"MAR-INF/MANIFEST.json")):
            self._flags.add("other")
        elif b"/.data/" in name and name.endswith((b".storage", b"/extern_modules")):
            self._flags.add("package")

    def _declared(self) -> dict[bytes, int | None]:
        """The storages that the pickles name, each with its bytes; `None` where two pickles disagree."""
        declared: dict[bytes, int | None] = {}
        if self._archive.shifted or len(self._archive.reads) != 1 or len(self._pickles) > _PICKLES:
            return declared
        usable = [entry for entry in self._pickles if entry.method == 0 and entry.packed == entry.size]
        if sum(entry.packed for entry in usable) > _PICKLE_BYTES:
            return declared
        self._blob.require([*((entry.offset, _around(entry) + entry.packed) for entry in usable), *self._beside])
        for entry in usable:
            header = entries.local(self._blob, entry.offset)
            if header is None:
                continue
            sizes, tensors = storages(SliceBlob(self._blob, header.data, entry.packed))
            self._shapes += [(self._name(entry, tensor.key), tensor) for tensor in tensors]
            for key, size in sizes.items():
                name = self._name(entry, key)
                declared[name] = size if declared.get(name, size) == size else None
        return declared

    def _name(self, pickle: Entry, key: str) -> bytes:
        """The member that holds the storage `key` of `pickle`."""
        encoded = key.encode("utf-8", "surrogatepass")
        if "package" in self._flags:
            return (self._root or b"") + b"/.data/" + encoded + b".storage"
        return pickle.name.removesuffix(b".pkl") + b"/" + encoded

    def _tensors(self, declared: dict[bytes, int | None], mismatches: list[Mismatch]) -> dict[bytes, int]:
        """The members that are just what a pickle says, written as PyTorch does. Takes them from `declared`."""
        if not declared:
            return {}
        tensors: dict[bytes, int] = {}
        met: set[bytes] = set()
        alignments = {_ALIGNMENT, self._declared_alignment()}
        for member in self._archive.members():
            entry = member.entry
            if (entry.name not in declared and entry.name not in met) or not _is_key(entry.name):
                continue
            if entry.name in met:  # twice the same name: both are looked at
                tensors.pop(entry.name, None)
                continue
            met.add(entry.name)
            size = declared.pop(entry.name)
            if size == entry.size:
                if (end := self._end(entry, alignments)) is not None:
                    tensors[entry.name] = end
            elif size and b"/traced_inputs/" not in entry.name:  # 0: elements of unknown type; traces drop their inputs
                mismatches.append(Mismatch(entry.name, size, entry.size, entry.position))
        return tensors

    def _end(self, entry: Entry, alignments: set[int]) -> int | None:
        """Where the next thing starts, if it is where PyTorch would have put it after `entry`."""
        if entry.method or entry.packed != entry.size or entry.flags & ~(DESCRIPTOR | UTF8) or entry.comment[1]:
            return None
        following = self._starts.after(entry.offset)
        if following is None:
            return None
        head = entry.offset + LOCAL_BYTES + len(entry.name) + _PADDING_HEADER_BYTES
        for alignment in alignments:
            for extra in _ZIP64_BYTES:
                data = -(-(head + extra) // alignment) * alignment
                if following - data - entry.packed in (0, *DESCRIPTOR_BYTES):
                    self._places[entry.name] = (data, entry.packed)
                    return following
        return None

    def _declared_alignment(self) -> int:
        """What `.storage_alignment` says, if that is a sane power of two."""
        entry = self._alignment
        if entry is None or entry.packed > 8 or (header := entries.local(self._blob, entry.offset)) is None:
            return _ALIGNMENT
        text = read_bytes(self._blob, header.data, entry.packed)
        value = int(text) if text.isdigit() else 0
        return value if 0 < value <= _ALIGNMENT_MOST and value & (value - 1) == 0 else _ALIGNMENT


def _is_key(name: bytes) -> bool:
    """Whether PyTorch gives a storage such a name: nothing that it reads otherwise, whatever a pickle says."""
    return name.rpartition(b"/")[2].isdigit() or is_storage(name)


def _around(entry: Entry) -> int:
    return LOCAL_BYTES + len(entry.name) + len(entry.extra) + _EXTRA_BYTES

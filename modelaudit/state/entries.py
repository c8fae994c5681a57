"""What is kept of an object, and what an earlier record says about a new one."""

import zlib
from collections.abc import Mapping
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from modelaudit.model import Asset, Change, FileReport, Finding, License, Target, finding_id

_MOST_BYTES = 256 << 20  # of one unpacked record; a worker's whole answer is bounded below that
_decoder = msgspec.msgpack.Decoder(FileReport)
_findings = msgspec.msgpack.Decoder(tuple[Finding, ...])


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What the state knows of an object: its last record, of which run and by which rules that was.

    `settled`: the record holds for as long as object and rules stay the same. `names` are digests of the names that
    lay beside the object, by folder, where the scan asked for them. `carried` are findings of before that the last
    record could neither confirm nor deny.
    """

    key: bytes
    row: int
    run: int
    part: int
    change: Change
    settled: bool
    size: int | None
    version: str | None
    sha256: str | None
    modified: str | None
    rules: bytes
    names: dict[str, bytes]
    packed: bytes
    packed_carried: bytes

    def record(self) -> FileReport | None:
        """The record as it was made; None if what is kept cannot be understood any more."""
        try:
            return _decoder.decode(_unpacked(self.packed))
        except (msgspec.MsgspecError, zlib.error, ValueError):
            return None

    def carried(self) -> tuple[Finding, ...]:
        """See `carried` above."""
        try:
            return _findings.decode(_unpacked(self.packed_carried)) if self.packed_carried else ()
        except (msgspec.MsgspecError, zlib.error, ValueError):
            return ()

    def is_of(self, target: Target) -> bool:
        """Whether `target` is still what the record was made of, as far as its listing tells."""
        if self.sha256 is not None and target.sha256 is not None:
            return self.sha256 == target.sha256
        if target.version is None or target.version.startswith("W/"):  # a weak ETag promises no equal bytes
            return False
        sizes = target.size is None or target.size == self.size
        return sizes and (self.version, self.modified) == (target.version, target.modified)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be kept of one record. `report` None: the record of before was given again, nothing is new.

    `listed` is False for what is no object: a folder or page that could not be listed. `content` names the bytes,
    where the listing promised their digest.
    """

    key: bytes
    change: Change
    report: FileReport | None = None
    listed: bool = True
    modified: str | None = None
    content: bytes | None = None
    names: dict[str, bytes] = {}
    carried: tuple[Finding, ...] = ()

    def pack(self) -> tuple[bytes, bytes]:
        """The report and the carried findings, as they are stored."""
        return _packed(self.report), _packed(self.carried) if self.carried else b""


def _packed(value: object) -> bytes:
    data = msgspec.msgpack.encode(value)
    return zlib.compress(data, 1)


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    found = unpacking.decompress(data, _MOST_BYTES)
    if not unpacking.eof:
        raise ValueError("too large, or cut off")
    return found


def is_settled(report: FileReport) -> bool:
    """Whether `report` need not be made anew while object and rules stay the same: all bytes that count were seen."""
    return report.status in ("scanned", "partial") or (report.status, report.reason) == ("skipped", "unsupported")


def object_key(scheme: str, target: Target, *, local: bool) -> bytes:
    """The key of `target`: its source and its address as shown; a local file's includes where it really lies."""
    return _digest(scheme, target.uri, target.key if local else "")


def content_key(target: Target) -> bytes | None:
    """The key of the bytes of `target`, where its listing gives a digest that nobody can forge.

    Not an ETag: those are MD5, and two files with the same MD5, one harmless and one not, are made in seconds. The
    server and the last part of the name belong to it: another server may lie, and a name can decide between formats.
    """
    if target.sha256 is None or target.size is None:
        return None
    server = target.uri.partition("://")[0] + "://" + target.uri.partition("://")[2].partition("/")[0]
    return _digest(server, target.sha256, str(target.size), _last(target.uri))


def _last(uri: str) -> str:
    return uri.rpartition("/")[2]


def names_digest(names: Mapping[str, int | None] | None) -> bytes:
    """A short digest of the names beside an object."""
    known = None if names is None else sorted(names.items())
    return blake2b(msgspec.msgpack.encode(known), digest_size=16).digest()


def _digest(*parts: str) -> bytes:
    texts = [part.encode("utf-8", "surrogateescape") for part in parts]
    return blake2b(msgspec.msgpack.encode(texts), digest_size=16).digest()


def marked(report: FileReport, past: Past | None, modified: str | None) -> tuple[FileReport, tuple[Finding, ...]]:
    """`report` with what is new and what is fixed since `past`; and the findings to carry on.

    `modified` is when the object was changed, as far as the listing told.
    """
    before = past.record() if past is not None else None
    if past is None or before is None:
        new = tuple(replace(finding, change="new") for finding in report.findings)
        return replace(report, change="new", findings=new), ()
    known = {finding.id: finding for finding in (*before.findings, *past.carried())}
    findings = tuple(
        replace(finding, change="unchanged" if finding.id in known else "new") for finding in report.findings
    )
    found = {finding.id for finding in findings}
    missing = tuple(replace(finding, change=None) for finding in known.values() if finding.id not in found)
    looked_at = report.status == "partial" or not report.incomplete
    fixed = tuple(replace(finding, change="fixed") for finding in missing) if looked_at else ()
    change = _change(report, before, past, modified)
    return replace(report, change=change, findings=findings, fixed=fixed), () if looked_at else missing


def _change(report: FileReport, before: FileReport, past: Past, modified: str | None) -> Change:
    same = report.sha256 is not None and report.sha256 == past.sha256
    seen = (past.version, past.size, past.modified)
    same = same or (report.version is not None and (report.version, report.size, modified) == seen)
    if not same:
        return "changed"
    as_before = (report.status, report.reason) == (before.status, before.reason)
    return "unchanged" if as_before and not report.bytes_read else "rescanned"


def again(past: Past, target: Target, run: int) -> FileReport | None:
    """The record of `past` for an object that has not changed since, for run `run`; None if there is none any more.

    In the run that made it, it says what it said.
    """
    record = past.record()
    if record is None:
        return None
    record = replace(record, version=target.version or record.version, bytes_read=0, duration_ms=0.0)
    if past.run == run and past.change != "unchanged":
        return record
    findings = tuple(replace(finding, change="unchanged") for finding in record.findings)
    return replace(record, change="unchanged", findings=findings, fixed=())


def gone(past: Past) -> FileReport | None:
    """The record of an object that is listed no more: what was found in it is fixed."""
    record = past.record()
    if record is None:
        return None
    if past.change == "gone":
        return record
    fixed = tuple(replace(finding, change="fixed") for finding in (*record.findings, *past.carried()))
    return FileReport(
        uri=record.uri,
        size=None,
        bytes_read=0,
        version=None,
        sha256=None,
        formats=(),
        scanners=(),
        status="skipped",
        reason="gone",
        message="listed by an earlier run and not by this one",
        severity=None,
        findings=(),
        findings_cut=0,
        assets=(),
        assets_cut=0,
        duration_ms=0.0,
        change="gone",
        fixed=fixed,
    )


def relocated(record: FileReport, target: Target) -> FileReport | None:
    """`record`, of an object with the same bytes, as that of `target`; None where its place is part of what it says."""
    findings = [_moved(finding, record.uri, target.uri) for finding in record.findings]
    assets = [_moved_asset(asset, record.uri, target.uri) for asset in record.assets]
    licenses = [_moved_license(each, record.uri, target.uri) for each in record.licenses]
    if None in findings or None in assets or None in licenses or record.uri in (record.message or ""):
        return None
    return replace(
        record,
        uri=target.uri,
        version=target.version,
        bytes_read=0,
        duration_ms=0.0,
        findings=tuple(finding for finding in findings if finding is not None),
        assets=tuple(asset for asset in assets if asset is not None),
        licenses=tuple(each for each in licenses if each is not None),
        change=None,
        fixed=(),
    )


def _moved(finding: Finding, old: str, new: str) -> Finding | None:
    said = (finding.message, finding.why, *map(str, finding.details.values()))
    if not finding.location.startswith(old) or any(old in text for text in said):
        return None
    location = new + finding.location[len(old) :]
    bare = location if finding.offset is None else location.removesuffix(f" (pos {finding.offset})")
    moved_id = finding_id(bare, finding.rule, finding.offset, finding.message)
    return replace(finding, id=moved_id, location=location, change=None)


def _moved_asset(asset: Asset, old: str, new: str) -> Asset | None:
    return replace(asset, path=new + asset.path[len(old) :]) if asset.path.startswith(old) else None


def _moved_license(stated: License, old: str, new: str) -> License | None:
    return replace(stated, path=new + stated.path[len(old) :]) if stated.path.startswith(old) else None

"""NDJSON: a `run` record, one `file` record as each object ends, heartbeats, a `summary`. One line is one write.

The schema is `docs/output.schema.json`. Lines are bounded: assets go first, then details, then the mildest
findings, and what was cut is counted in the line itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from modelaudit.model import FileReport, Finding, Heartbeat, RunRecord, Summary
from modelaudit.sinks.encoding import encode
from modelaudit.sinks.output import Output

_SHARE = 64  # of a line, for one piece of text where even a record without findings is too long
_FIXED_SHARE = 4  # of a line that is too long, for findings that are there no more
_Item = TypeVar("_Item")


class NdjsonSink:
    """Records as lines, each at most `line_bytes` long, its line break included."""

    def __init__(self, output: Output, line_bytes: int) -> None:
        self._output = output
        self._most = line_bytes - 1

    def start(self, run: RunRecord) -> None:
        """Write the `run` line."""
        self._line(run_line(run, self._most))

    def write(self, report: FileReport) -> None:
        """Write a `file` line."""
        self._line(file_line(report, self._most))

    def beat(self, heartbeat: Heartbeat) -> bool:
        """Write a `heartbeat` line."""
        self._line(encode(heartbeat))
        return True

    def finish(self, summary: Summary) -> None:
        """Write the `summary` line."""
        self._line(encode(summary))

    def _line(self, line: bytes) -> None:
        self._output.write(line + b"\n")

    def close(self) -> None:
        """Close the output."""
        self._output.close()


def written(path: str, most_bytes: int) -> Iterator[FileReport]:
    """The `file` records in the first `most_bytes` of the file `path`; lines that are none are passed over."""
    decoder = msgspec.json.Decoder(FileReport)
    with open(path, "rb") as lines:
        while most_bytes > 0 and (line := lines.readline(most_bytes)):
            most_bytes -= len(line)
            if line.startswith(b'{"type":"file"'):
                with suppress(msgspec.MsgspecError):
                    yield decoder.decode(line)


def run_line(run: RunRecord, most: int) -> bytes:
    """`run` as JSON of at most `most` bytes; settings that are too long are left out, then paths."""
    line = encode(run)
    if len(line) <= most:
        return line
    bare = replace(run, paths=(), paths_cut=run.paths_cut + len(run.paths))
    if len(encode(bare)) > most // 2:
        bare = replace(bare, settings={"settings_cut": True})
    paths = _fitting(run.paths, most - len(encode(bare)))
    return encode(replace(bare, paths=paths, paths_cut=bare.paths_cut - len(paths)))


def file_line(report: FileReport, most: int) -> bytes:
    """`report` as JSON of at most `most` bytes, without what matters least."""
    line = encode(report)
    if len(line) <= most:
        return line
    fixed = _slimmed(report.fixed, most // _FIXED_SHARE)
    report = replace(report, fixed=fixed, fixed_cut=report.fixed_cut + len(report.fixed) - len(fixed))
    accepted = _slimmed(report.suppressed, most // _FIXED_SHARE)
    cut = report.suppressed_cut + len(report.suppressed) - len(accepted)
    report = replace(report, suppressed=accepted, suppressed_cut=cut)
    licenses = _fitting(report.licenses, most // _SHARE)
    cut = report.licenses_cut + len(report.licenses) - len(licenses)
    report = replace(report, licenses=licenses, licenses_cut=cut)
    bare = replace(report, assets=(), assets_cut=report.assets_cut + len(report.assets))
    room = most - len(encode(bare))
    if room >= 0:
        assets = _fitting(report.assets, room)
        return encode(replace(bare, assets=assets, assets_cut=bare.assets_cut - len(assets)))
    empty = replace(bare, findings=(), findings_cut=report.findings_cut + len(report.findings))
    if len(encode(empty)) > most:
        return encode(_clipped(empty, most // _SHARE))
    findings = _slimmed(report.findings, most - len(encode(empty)))
    return encode(replace(empty, findings=findings, findings_cut=empty.findings_cut - len(findings)))


def _slimmed(findings: Sequence[Finding], room: int) -> tuple[Finding, ...]:
    """As many findings as fit into `room` bytes, the worst first; details only where there is room left."""
    worst_first = sorted(findings, key=lambda finding: -finding.severity.rank)
    slim = _fitting([replace(finding, details={"details_cut": True}) for finding in worst_first], room)
    room -= sum(len(encode(finding)) + 1 for finding in slim)
    kept = []
    for full, short in zip(worst_first, slim, strict=False):
        more = len(encode(full)) - len(encode(short))
        kept.append(full if more <= room else short)
        room -= more if more <= room else 0
    return tuple(kept)


def _fitting(items: Sequence[_Item], room: int) -> tuple[_Item, ...]:
    """The first of `items`, as many as fit into `room` bytes with a comma each."""
    for count, item in enumerate(items):
        room -= len(encode(item)) + 1
        if room < 0:
            return tuple(items[:count])
    return tuple(items)


def _clipped(report: FileReport, chars: int) -> FileReport:
    """A record whose own words are too long; no source and no worker of ours makes one."""

    def clip(text: str | None) -> str | None:
        return text if text is None or len(text) <= chars else text[: chars - 1] + "…"

    return replace(
        report,
        uri=clip(report.uri),
        version=clip(report.version),
        sha256=clip(report.sha256),
        reason=clip(report.reason),
        message=clip(report.message),
        formats=(),
        scanners=(),
        fixed=(),
        fixed_cut=report.fixed_cut + len(report.fixed),
        licenses=(),
        licenses_cut=report.licenses_cut + len(report.licenses),
        suppressed=(),
        suppressed_cut=report.suppressed_cut + len(report.suppressed),
    )

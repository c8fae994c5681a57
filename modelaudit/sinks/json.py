"""One JSON document: issues as they are found, then assets, files and totals. Never all of it in memory."""

import tempfile
from typing import IO

import msgspec

from modelaudit.model import FileReport, Finding, RunRecord, Summary
from modelaudit.sinks.interface import Out

_COPY_BYTES = 1 << 20


class _Array:
    """The elements of a JSON array, kept aside until the document has room for them."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the sink
        self._first = True

    def add(self, element: bytes) -> None:
        self._file.write((b"\n" if self._first else b",\n") + element)
        self._first = False

    def copy_to(self, out: Out) -> None:
        self._file.seek(0)
        while piece := self._file.read(_COPY_BYTES):
            out.write(piece)
        self._file.close()


class JsonSink:
    """The document that scripts read whole. `issues` holds one object a finding."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._encoder = msgspec.json.Encoder()
        self._assets = _Array()
        self._files = _Array()
        self._first = True
        self._started = 0.0

    def start(self, run: RunRecord) -> None:
        """Open the document."""
        self._started = run.started
        head = self._encoder.encode({"schema": run.schema, "version": run.version, "run_id": run.run_id})
        self._out.write(head[:-1] + b',"issues":[')

    def write(self, report: FileReport) -> None:
        """Write the object's issues; keep its assets and its line of `files` for later."""
        for finding in report.findings:
            separator = b"\n" if self._first else b",\n"
            self._first = False
            self._out.write(separator + self._encoder.encode(self._issue(finding)))
        for asset in report.assets:
            entry: dict[str, object] = {"path": asset.path, "type": asset.type}
            if asset.size is not None:
                entry["size"] = asset.size
            if asset.tensors_total:
                entry |= {"tensors": asset.tensors, "tensors_total": asset.tensors_total}
            self._assets.add(self._encoder.encode(entry))
        self._files.add(self._encoder.encode(_without_lists(report)))

    def _issue(self, finding: Finding) -> dict[str, object]:
        # Issues carry the time of the run: the same file gives the same issue on every day of one run.
        return {
            "message": finding.message,
            "severity": finding.severity,
            "location": finding.location,
            "details": finding.details,
            "timestamp": self._started,
            "why": finding.why,
            "rule": finding.rule,
            "id": finding.id,
        }

    def finish(self, summary: Summary) -> None:
        """Close the document with everything that was kept aside, and the totals."""
        self._out.write(b'],\n"assets":[')
        self._assets.copy_to(self._out)
        self._out.write(b'],\n"files":[')
        self._files.copy_to(self._out)
        counts = summary.by_status
        tail = {
            "scanner_names": summary.scanners,
            "start_time": self._started,
            "duration": summary.duration_seconds,
            "bytes_scanned": summary.bytes_read,
            "files_scanned": counts["scanned"] + counts["partial"],
            "has_errors": bool(counts["failed"] or counts["partial"] or summary.ended != "complete"),
            "summary": summary,
        }
        self._out.write(b"],\n" + self._encoder.encode(tail)[1:] + b"\n")


def _without_lists(report: FileReport) -> dict[str, object]:
    entry = {name: getattr(report, name) for name in report.__struct_fields__ if name not in ("findings", "assets")}
    return {**entry, "findings": len(report.findings)}

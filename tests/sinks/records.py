"""Records of our own making, with every number fixed."""

import os
from collections.abc import Iterable
from pathlib import Path

from modelaudit.model import Asset, Ended, FileReport, Finding, RunRecord, Severity, Summary
from modelaudit.pipeline.statistics import Statistics
from modelaudit.sinks.output import Output

RUN = RunRecord(
    version="0.1.0",
    run_id="a1b2",
    started=1750168822.5,
    paths=("models/", "s3://bucket/nightly/"),
    settings={"fail_on": "warning"},
)


def finding(severity: Severity = Severity.CRITICAL, place: str = "models/evil.pkl", offset: int | None = 28) -> Finding:
    return Finding(
        id="f00d",
        rule="pickle-import",
        severity=severity,
        message=f"Import of posix.system ({severity})",
        why="It runs a command of the author's choice.",
        location=place if offset is None else f"{place} (pos {offset})",
        offset=offset,
        details={"module": "posix", "function": "system"},
    )


def report(uri: str = "models/fine.pkl", **changes: object) -> FileReport:
    fields: dict[str, object] = {
        "uri": uri,
        "size": 100,
        "bytes_read": 100,
        "version": "v1",
        "sha256": None,
        "formats": ("pickle",),
        "scanners": ("pickle",),
        "status": "scanned",
        "reason": None,
        "message": None,
        "severity": None,
        "findings": (),
        "findings_cut": 0,
        "assets": (Asset(uri, "pickle"),),
        "assets_cut": 0,
        "duration_ms": 1.5,
    }
    return FileReport(**{**fields, **changes})  # type: ignore[arg-type]  the fields are those above


def refused(uri: str, status: str, reason: str, message: str) -> FileReport:
    return report(uri, status=status, reason=reason, message=message, formats=(), scanners=(), assets=(), bytes_read=0)


EVIL = report(
    "models/evil.pkl",
    severity=Severity.CRITICAL,
    findings=(finding(Severity.WARNING, offset=52), finding()),
    findings_cut=3,
)
MIXED = (
    report(),
    EVIL,
    report("models/half.zip", status="partial", reason="truncated", message="half.zip: ends early", formats=("zip",)),
    refused("models/notes.txt", "skipped", "unsupported", "no known model format"),
    refused("s3://bucket/nightly/secret.pt", "failed", "access_denied", "s3://bucket/nightly/secret.pt: access denied"),
)


def summary(
    reports: Iterable[FileReport] = MIXED, ended: Ended = "complete", *, dry_run: bool = False, seconds: float = 0.25
) -> Summary:
    """What `reports` add up to, in a run of `seconds`."""
    from msgspec.structs import replace

    statistics = Statistics(dry_run=dry_run)
    for done in reports:
        statistics.add(done)
    return replace(statistics.summary("a1b2", ended), duration_seconds=seconds)


def file_output(path: Path) -> Output:
    return Output.file(os.fspath(path))

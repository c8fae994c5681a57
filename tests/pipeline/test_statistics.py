"""The numbers add up, whatever the records, and the exit code follows from them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.model import NOTHING_TO_SCAN, Ended, FileReport, Severity
from modelaudit.pipeline.statistics import Statistics
from tests.sinks.records import finding, refused, report

FINE = report()
WARNED = report(severity=Severity.WARNING, findings=(finding(Severity.WARNING),))
NOTED = report(severity=Severity.INFO, findings=(finding(Severity.INFO), finding(Severity.DEBUG)))
FAILED = refused("a", "failed", "timeout", "too slow")
PARTIAL = report(status="partial", reason="truncated", message="ends early")
UNSUPPORTED = refused("a", "skipped", "unsupported", "no known model format")


def exit_code(reports: Sequence[FileReport], ended: Ended = "complete", fail_on: Severity = Severity.WARNING) -> int:
    statistics = Statistics(fail_on)
    for done in reports:
        statistics.add(done)
    assert statistics.summary("run", ended).exit_code == statistics.exit_code(ended)
    return statistics.exit_code(ended)


@pytest.mark.parametrize(
    ("reports", "code"),
    [
        ([FINE], 0),
        ([FINE, UNSUPPORTED], 0),
        ([FINE, refused("a", "skipped", "empty", "the object has no bytes")], 0),
        ([NOTED], 0),
        ([WARNED], 1),
        ([WARNED, FAILED, PARTIAL], 1),
        ([FAILED], 2),
        ([FINE, FAILED], 2),
        ([FINE, PARTIAL], 2),
        ([FINE, refused("a", "skipped", "total_budget", "no more")], 2),
        ([FINE, refused("a", "skipped", "max_file_size", "too large")], 2),
        ([FINE, refused("a", "skipped", "lfs_pointer", "the model is elsewhere")], 2),
        ([FINE, refused("a", "skipped", "symlink_outside", "a link that was not followed")], 2),
        ([UNSUPPORTED], 2),
        ([], 2),
    ],
)
def test_exit_codes(reports: list[FileReport], code: int) -> None:
    """A finding counts whatever else happened; else whatever was not scanned; else all is well."""
    assert exit_code(reports) == code


@pytest.mark.parametrize("ended", ["budget", "interrupted", "terminated", "closed", "failed"])
def test_a_run_that_did_not_come_to_its_end(ended: Ended) -> None:
    """It is never a success: findings so far, or else unfinished."""
    assert exit_code([FINE], ended) == 2
    assert exit_code([FINE, WARNED], ended) == 1


@pytest.mark.parametrize(("fail_on", "code"), [(Severity.CRITICAL, 0), (Severity.WARNING, 1), (Severity.INFO, 1)])
def test_fail_on(fail_on: Severity, code: int) -> None:
    """The level to fail on is the user's; what is below it is shown and does not count."""
    assert exit_code([WARNED, NOTED], fail_on=fail_on) == code
    assert exit_code([NOTED], fail_on=fail_on) == (fail_on is Severity.INFO)


def test_a_dry_run_is_no_failure() -> None:
    """Nothing was meant to be scanned; only what could not be listed is an error."""
    listed = refused("a", "skipped", "dry_run", "listed, not read")
    for reports, code in (([listed], 0), ([listed, FAILED], 2), ([], 2)):
        statistics = Statistics(dry_run=True)
        for done in reports:
            statistics.add(done)
        assert statistics.exit_code("complete") == code


REASONS = st.sampled_from([*NOTHING_TO_SCAN, "timeout", "access_denied", "truncated", "internal"])
RECORDS = st.builds(
    lambda status, reason, levels, cut, scanners, size, read: report(
        status=status,
        reason=None if status == "scanned" else reason,
        findings=tuple(finding(level) for level in levels),
        findings_cut=cut,
        formats=scanners,
        scanners=scanners,
        size=size,
        bytes_read=read,
    ),
    st.sampled_from(["scanned", "partial", "skipped", "failed"]),
    REASONS,
    st.lists(st.sampled_from(Severity), max_size=4),
    st.integers(0, 5),
    st.lists(st.sampled_from(["pickle", "zip", "npy"]), unique=True).map(tuple),
    st.none() | st.integers(0, 10**12),
    st.integers(0, 10**9),
)


@given(st.lists(RECORDS, max_size=40))
def test_the_numbers_add_up(reports: list[FileReport]) -> None:
    """Each number of the summary is the sum over the records, and its parts sum up to it."""
    statistics = Statistics()
    for done in reports:
        statistics.add(done)
    total = statistics.summary("run", "complete")
    assert total.objects == len(reports) == sum(total.by_status.values())
    assert sum(total.reasons.values()) == total.objects - total.by_status["scanned"]
    assert total.files_scanned == total.by_status["scanned"] + total.by_status["partial"]
    assert total.findings_total == sum(len(done.findings) for done in reports) == sum(total.by_severity.values())
    assert total.findings_cut == sum(done.findings_cut for done in reports)
    assert total.assets_total == sum(len(done.assets) for done in reports)
    assert total.bytes_read == sum(done.bytes_read for done in reports)
    assert total.bytes_listed == sum(done.size or 0 for done in reports)
    assert total.incomplete == sum(done.incomplete for done in reports) <= total.objects - total.by_status["scanned"]
    assert sum(total.by_scanner.values()) == sum(len(done.scanners) for done in reports)
    found = {found.severity for done in reports for found in done.findings}
    assert total.worst == max(found, key=lambda level: level.rank, default=None)


def test_names_are_bounded() -> None:
    """A worker in hostile hands may invent reasons and scanners; the summary stays small and still adds up."""
    statistics = Statistics()
    for number in range(5000):
        bad = "x" * 65 if number % 2 else f"\x1b{number}"
        statistics.add(report(status="failed", reason=f"reason {number}", scanners=(bad,), formats=(f"f{number}",)))
    total = statistics.summary("run", "complete")
    assert sum(total.reasons.values()) == sum(total.by_scanner.values()) == sum(total.by_format.values()) == 5000
    assert len(total.reasons) == len(total.by_format) == 101
    assert total.by_scanner == {"other": 5000}

"""Text for people, compared as a whole; and nothing in a file's name or content can act on the terminal."""

import os
import unicodedata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.model import Ended, FileReport, RunRecord, Severity
from modelaudit.sinks.output import Output
from modelaudit.sinks.text import TextSink, visible
from tests.sinks.records import EVIL, MIXED, RUN, file_output, finding, refused, report, summary

LINE = "─" * 80
HEADER = f"""\
{LINE}
ModelAudit Security Scanner
Scanning for potential security issues in ML model files
{LINE}
Paths to scan: models/, s3://bucket/nightly/
{LINE}

✓ Scanning models/
✓ Scanning s3://bucket/nightly/
"""


def written(
    path: Path,
    reports: tuple[FileReport, ...],
    run: RunRecord = RUN,
    *,
    ended: Ended = "complete",
    dry_run: bool = False,
    **options: bool,
) -> str:
    sink = TextSink(file_output(path), **options)  # type: ignore[arg-type]  flags only
    sink.start(run)
    for done in reports:
        sink.write(done)
    sink.finish(summary(reports, ended, dry_run=dry_run))
    sink.close()
    return path.read_text("utf-8")


def test_a_mixed_run(tmp_path: Path) -> None:
    """Findings with their reason, the worst first; and whatever was not scanned, with its reason too."""
    assert (
        written(tmp_path / "out", MIXED)
        == HEADER
        + f"""
Active Scanner: pickle
Scan completed in 0.25 seconds
Files scanned: 3
Of 5 objects: 1 partial, 1 skipped, 1 failed (access_denied 1, truncated 1, unsupported 1)
Scanned 300 bytes of 500
Issues found: 1 critical, 1 warnings

1. models/evil.pkl (pos 28): [CRITICAL] Import of posix.system (critical)
   Why: It runs a command of the author's choice.
2. models/evil.pkl (pos 52): [WARNING] Import of posix.system (warning)
   Why: It runs a command of the author's choice.

3 more findings were counted and not kept

Not scanned, or not wholly: 2
   models/half.zip: partial (truncated): half.zip: ends early
   s3://bucket/nightly/secret.pt: failed (access_denied): s3://bucket/nightly/secret.pt: access denied

{LINE}
✗ Scan completed with findings; 2 of 5 objects not scanned, or not wholly
"""
    )


def test_one_clean_file(tmp_path: Path) -> None:
    """What most people see most of the time."""
    run = msgspec.structs.replace(RUN, paths=("fine.pkl",))
    assert (
        written(tmp_path / "out", (report("fine.pkl"),), run)
        == f"""\
{LINE}
ModelAudit Security Scanner
Scanning for potential security issues in ML model files
{LINE}
Paths to scan: fine.pkl
{LINE}

✓ Scanning fine.pkl

Active Scanner: pickle
Scan completed in 0.25 seconds
Files scanned: 1
Scanned 100 bytes
Issues found: none

{LINE}
✓ Scan completed without findings
"""
    )


def test_verbose(tmp_path: Path) -> None:
    """With --verbose each object has its line when it has ended, and debug findings are shown."""
    debug = report("models/old.pkl", severity=Severity.DEBUG, findings=(finding(Severity.DEBUG, "models/old.pkl"),))
    skipped = refused("models/notes.txt", "skipped", "unsupported", "no known model format")
    text = written(tmp_path / "out", (debug, skipped), verbose=True)
    assert (
        text
        == HEADER
        + f"""\
  models/old.pkl: scanned as pickle, 100 bytes read
  models/notes.txt: skipped (unsupported): no known model format

Active Scanner: pickle
Scan completed in 0.25 seconds
Files scanned: 1
Of 2 objects: 1 skipped (unsupported 1)
Scanned 100 bytes of 200
Issues found: 0 critical, 0 warnings, 1 debug

1. models/old.pkl (pos 28): [DEBUG] Import of posix.system (debug)
   Why: It runs a command of the author's choice.

{LINE}
✓ Scan completed; nothing at or above warning
"""
    )


def test_quiet(tmp_path: Path) -> None:
    """With --quiet there are findings and what could not be scanned, and nothing about a clean run."""
    assert written(tmp_path / "out", (report(),), quiet=True) == ""
    assert (
        written(tmp_path / "out", MIXED, quiet=True)
        == """\
1. models/evil.pkl (pos 28): [CRITICAL] Import of posix.system (critical)
   Why: It runs a command of the author's choice.
2. models/evil.pkl (pos 52): [WARNING] Import of posix.system (warning)
   Why: It runs a command of the author's choice.

3 more findings were counted and not kept
Not scanned, or not wholly: 2
   models/half.zip: partial (truncated): half.zip: ends early
   s3://bucket/nightly/secret.pt: failed (access_denied): s3://bucket/nightly/secret.pt: access denied
"""
    )


def test_a_dry_run(tmp_path: Path) -> None:
    """What would be looked at, with sizes; what cannot be is said as in any other run."""
    run = msgspec.structs.replace(RUN, settings={"dry_run": True})
    reports = (
        refused("models/fine.pkl", "skipped", "dry_run", "listed, not read"),
        refused("models/secret", "failed", "access_denied", "models/secret: Permission denied"),
    )
    assert (
        written(tmp_path / "out", reports, run, dry_run=True)
        == HEADER
        + f"""
Would be looked at:
             100 bytes  models/fine.pkl

1 of 2 objects would be looked at, 200 bytes listed

Not scanned, or not wholly: 1
   models/secret: failed (access_denied): models/secret: Permission denied

{LINE}
✗ Scan completed: 1 of 2 objects not scanned, or not wholly
"""
    )
    assert written(tmp_path / "out", reports[:1], run, dry_run=True).endswith(f"{LINE}\n✓ Dry run: nothing was read\n")


INTERRUPTED = refused("models/later.pkl", "skipped", "interrupted", "the run ended before this object's turn")


@pytest.mark.parametrize(
    ("reports", "ended", "closing"),
    [
        ((EVIL,), "complete", "✗ Scan completed with findings"),
        (
            (EVIL, INTERRUPTED),
            "interrupted",
            "✗ Scan interrupted with findings; 1 of 2 objects not scanned, or not wholly",
        ),
        (
            (report(), INTERRUPTED),
            "terminated",
            "✗ Scan terminated by a signal: 1 of 2 objects not scanned, or not wholly",
        ),
        ((report(),), "interrupted", "✗ Scan interrupted"),
        ((report(),), "failed", "✗ Scan broken off"),
        ((report(),), "budget", "✗ Scan stopped at --max-total-size"),
        ((), "complete", "✗ Scan completed: nothing was found to scan"),
        ((refused("a.txt", "skipped", "unsupported", "no"),), "complete", "✗ Scan completed: nothing could be scanned"),
        ((report(findings=(finding(Severity.INFO),)),), "complete", "✓ Scan completed; nothing at or above warning"),
    ],
)
def test_the_closing_line(tmp_path: Path, reports: tuple[FileReport, ...], ended: Ended, closing: str) -> None:
    """It says how the run ended, and it never says that something is fine which nobody looked at."""
    assert written(tmp_path / "out", reports, ended=ended).splitlines()[-1] == closing


def test_many_paths_and_many_failures(tmp_path: Path) -> None:
    """Long lists are cut where nothing is lost, and what was cut is counted."""
    run = msgspec.structs.replace(RUN, paths=tuple(f"p{number}" for number in range(12)), paths_cut=1)
    failed = tuple(refused(f"p{number}", "failed", "timeout", "too slow") for number in range(150))
    lines = written(tmp_path / "out", failed, run).splitlines()
    assert lines[4] == "Paths to scan: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9 and 3 more"
    assert lines[7:18] == [f"✓ Scanning p{number}" for number in range(10)] + ["✓ Scanning 3 more"]
    assert [line for line in lines if "p99:" in line] == ["   p99: failed (timeout): too slow"]
    assert "   … and 50 more; --verbose or --format ndjson shows them" in lines
    everything = written(tmp_path / "out", failed, run, verbose=True)
    assert "   p149: failed (timeout): too slow\n" in everything


def test_colour(tmp_path: Path) -> None:
    """Colour is around words, never in place of them."""
    coloured = written(tmp_path / "out", MIXED, colour=True)
    assert "\x1b[1;31m[CRITICAL]\x1b[0m" in coloured
    assert "\x1b[31m✗\x1b[0m Scan completed with findings" in coloured
    plain = written(tmp_path / "out", MIXED)
    assert "\x1b" not in plain
    for code in ("1;31", "31", "32", "33", "2", "0"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain


def test_a_reader_without_the_signs(tmp_path: Path) -> None:
    """On a terminal in ASCII there are plain signs, and escapes for what cannot be shown."""
    number = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    sink = TextSink(Output(number, "out", owned=True, encoding="ascii"))
    sink.start(msgspec.structs.replace(RUN, paths=("größe",)))
    sink.finish(summary())
    sink.close()
    lines = (tmp_path / "out").read_text("ascii").splitlines()
    assert lines[0] == "-" * 80
    assert lines[7] == "+ Scanning gr\\xf6\\xdfe"
    assert lines[-1].startswith("x Scan completed with findings")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name-1.pt", "plain name-1.pt"),
        ("größe 模型 é \u00a0\u3000", "größe 模型 é \u00a0\u3000"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\nc\td\x00", "a\\rb\\nc\\td\\x00"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("\u202egnp.exe\u2069\u200b\ufeff\u00ad", "\\u202egnp.exe\\u2069\\u200b\\ufeff\\xad"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udcff\ue000\U000e0041", "\\udcff\\ue000\\U000e0041"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    """Ordinary names stay as they are; what acts or cannot be seen is spelt out."""
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_nothing_active_is_left(text: str) -> None:
    """No control, format, surrogate, private or unassigned character; one line in, one line out."""
    shown = visible(text)
    assert {unicodedata.category(mark) for mark in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} == set()
    assert len(shown.splitlines()) <= 1


@pytest.mark.parametrize("bad", ["\x1b[2J\u202e\r\n\n", "\x9b\x00\u2028\x85\x0b"])
def test_hostile_records_cannot_act_on_the_terminal(tmp_path: Path, bad: str) -> None:
    """In every place where words of a file or of a worker appear: no active character, and not one line more."""

    def lines_with(bad: str) -> list[str]:
        hostile = msgspec.structs.replace(finding(), message=f"m{bad}", why=f"w{bad}", location=f"l{bad}")
        run = msgspec.structs.replace(RUN, paths=(f"p{bad}",))
        reports = (
            report(f"u{bad}", findings=(hostile,), formats=(f"f{bad}",), scanners=(f"s{bad}",)),
            refused(f"u{bad}", "failed", f"r{bad}", f"s{bad}"),
        )
        return written(tmp_path / "out", reports, run, verbose=True).split("\n")

    lines = lines_with(bad)
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(lines_with("x"))

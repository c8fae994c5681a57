"""A page from the records of runs: its numbers are theirs, and nothing in a name or a finding gets to act in it."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelaudit.errors import UsageError
from modelaudit.limits import MIB
from modelaudit.model import FileReport
from modelaudit.report import make
from modelaudit.report.escaping import data, plain, text
from modelaudit.sinks.ndjson import NdjsonSink
from tests.sinks.records import EVIL, MIXED, RUN, file_output, finding, report, summary

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\u2028\u202e'\"&"


def lines(path: Path, reports: tuple[FileReport, ...], run_id: str = "a1b2", started: float = 1e9) -> str:
    """The records of a run in a file; gives its path."""
    sink = NdjsonSink(file_output(path), MIB)
    sink.start(replace(RUN, run_id=run_id, started=started))
    for done in reports:
        sink.write(done)
    sink.finish(replace(summary(reports), run_id=run_id))
    sink.close()
    return str(path)


def page(folder: Path, *paths: str) -> str:
    make(paths, str(folder / "report.html"))
    return (folder / "report.html").read_text("utf-8")


def test_the_numbers_are_those_of_the_summary(tmp_path: Path) -> None:
    """The headline, and what could not be looked at."""
    made = page(tmp_path, lines(tmp_path / "run", MIXED))
    assert "<h1>1 critical finding in 1 object</h1>" in made
    assert "3 of 5 objects looked at" in made
    assert "2 objects could not be looked at wholly" in made
    assert "access denied (1), truncated (1), unsupported (1)" in made


def test_nothing_hostile_gets_into_the_markup(tmp_path: Path) -> None:
    """Names, messages, details, paths and reasons: as text only, in the page and in its data."""
    bad = replace(finding(), message=HOSTILE, why=HOSTILE, location=HOSTILE, details={HOSTILE: HOSTILE, "x": [HOSTILE]})
    reports = (
        report(HOSTILE, findings=(bad,), formats=(HOSTILE,)),
        report("b", status="failed", reason=HOSTILE, message=HOSTILE),
    )
    made = page(tmp_path, lines(tmp_path / "run", reports))
    assert "alert(1)</script>" not in made
    assert "<img" not in made
    assert "\u202e" not in made
    assert "\u2028" not in made
    elements = re.findall(r"<script\b[^>]*>", made)
    assert made.count("</script>") == len(elements)
    assert not re.search(r"<[^>]+\son\w+\s*=", made)


def test_only_its_own_program_and_style_may_run(tmp_path: Path) -> None:
    """The policy names them by their digests, and lets nothing be fetched."""
    made = page(tmp_path, lines(tmp_path / "run", MIXED))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', made)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    for element in ("script", "style"):
        bodies = re.findall(rf"<{element}>(.*?)</{element}>", made, re.DOTALL)
        assert len(bodies) == 1
        digest = base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[1]
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", made)


def test_what_is_new_fixed_and_gone(tmp_path: Path) -> None:
    """Against an earlier run, by the findings' own ids."""
    other = replace(finding(), id="beef")
    before = (EVIL, report("models/gone.pkl", findings=(replace(other, id="dead"),)))
    after = (replace(EVIL, findings=(other,)), report("models/new.pkl", findings=(replace(other, id="cafe"),)))
    one, two = lines(tmp_path / "one", before, "1", 1e9), lines(tmp_path / "two", after, "2", 2e9)
    alone, compared = page(tmp_path, two), page(tmp_path, one, two)
    assert "What changed since" not in alone
    assert "What changed since" in compared
    assert "2 of them new" in compared
    assert "1 object came, 1 went." in compared


def test_broken_and_foreign_lines_are_counted(tmp_path: Path) -> None:
    """A run that was killed, and what other programs wrote between."""
    path = lines(tmp_path / "run", MIXED)
    whole = Path(path).read_bytes().splitlines(keepends=True)
    Path(path).write_bytes(b"".join([whole[0], b'{"foreign": 1}\n', b"\xff\xfe\n", *whole[1:-1], whole[-1][:40]]))
    made = page(tmp_path, path)
    assert "The last line of the run is missing" in made
    assert "1 line broken or cut off" in made
    assert "2 lines of something else" in made


@pytest.mark.parametrize("said", [b"", b"\n\n", b"no json\n", b'{"type":"summary"}\n'])
def test_a_file_without_a_run_is_a_wrong_argument(tmp_path: Path, said: bytes) -> None:
    """And no page is made."""
    (tmp_path / "run").write_bytes(said)
    with pytest.raises(UsageError):
        page(tmp_path, str(tmp_path / "run"))
    with pytest.raises(UsageError):
        page(tmp_path, str(tmp_path / "nowhere"))
    assert not (tmp_path / "report.html").exists()


def test_the_records_are_never_written_over(tmp_path: Path) -> None:
    """A slip of the keyboard."""
    path = lines(tmp_path / "run", MIXED)
    before = Path(path).read_bytes()
    with pytest.raises(UsageError, match="name another file"):
        make([path], path)
    assert Path(path).read_bytes() == before


def test_words_on_their_way_into_the_page() -> None:
    """As HTML, as data, and cut where they are endless."""
    assert text('<a href="x">\'&') == "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;"
    assert json.loads(data({"x": HOSTILE})) == {"x": HOSTILE}
    assert not set(b"<>&'") & set(data({"x": HOSTILE}))
    assert len(plain("x" * 100_000)) < 5000
    assert "\ud800" not in plain("a\ud800b")

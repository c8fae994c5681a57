"""`--state` over local folders, as its users run it: what is new, changed, fixed, gone; and what goes wrong."""

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

import modelaudit
from modelaudit.errors import UsageError
from tests.cli.program import models, run

EVIL = b"cos\nsystem\n(S'echo'\ntR."
WORSE = b"cos\nsystem\n(S'echo worse'\ntR."


def night(folder: Path, *more: str, output: str = "out.ndjson", code: int | None = None) -> dict[str, dict[str, Any]]:
    """One run over `models`: its records by the last part of their names; the summary is called `summary`."""
    done = run("scan", "models", "--state", "state.db", "--output", output, *more, cwd=folder)
    assert code in (None, done.returncode)
    records = [json.loads(line) for line in (folder / output).read_text().splitlines()]
    files = {record["uri"].rpartition("/")[2]: record for record in records if record["type"] == "file"}
    assert records[-1]["objects"] == len(files) == sum(records[-1]["by_change"].values())
    return {**files, "summary": records[-1]}


def changes(findings: list[dict[str, Any]]) -> list[str]:
    return [finding["change"] for finding in findings]


def test_three_nights(tmp_path: Path) -> None:
    """New; then unchanged; then one changed, one fixed, one gone, one added; then nothing new any more."""
    folder = models(tmp_path, 3)
    (folder / "evil.pkl").write_bytes(EVIL)
    (folder / "leaves.pkl").write_bytes(EVIL)
    (folder / "notes.txt").write_text("no model")
    first = night(tmp_path, code=1)
    assert first["summary"]["by_change"] == {"new": 6, "changed": 0, "rescanned": 0, "unchanged": 0, "gone": 0}
    assert first["summary"]["findings_by_change"] == {"new": 4, "unchanged": 0, "fixed": 0}

    second = night(tmp_path, code=1)
    assert second["summary"]["by_change"]["unchanged"] == 6
    assert second["summary"]["bytes_read"] == 0
    assert changes(second["evil.pkl"]["findings"]) == ["unchanged", "unchanged"]
    same = [{**one, "change": None} for one in first["evil.pkl"]["findings"]]
    assert [{**one, "change": None} for one in second["evil.pkl"]["findings"]] == same
    assert second["notes.txt"]["reason"] == "unsupported"

    (folder / "evil.pkl").write_bytes((folder / "2.pkl").read_bytes())
    (folder / "1.pkl").write_bytes(WORSE)
    (folder / "leaves.pkl").unlink()
    (folder / "more.pkl").write_bytes((folder / "0.pkl").read_bytes())
    third = night(tmp_path, code=1)
    assert {name: record["change"] for name, record in third.items() if name != "summary"} == {
        "0.pkl": "unchanged",
        "1.pkl": "changed",
        "2.pkl": "unchanged",
        "evil.pkl": "changed",
        "leaves.pkl": "gone",
        "more.pkl": "new",
        "notes.txt": "unchanged",
    }
    assert changes(third["1.pkl"]["findings"]) == ["new", "new"]
    assert third["evil.pkl"]["findings"] == []
    assert changes(third["evil.pkl"]["fixed"]) == ["fixed", "fixed"]
    assert (third["leaves.pkl"]["status"], third["leaves.pkl"]["reason"]) == ("skipped", "gone")
    assert changes(third["leaves.pkl"]["fixed"]) == ["fixed", "fixed"]
    assert third["summary"]["findings_by_change"] == {"new": 2, "unchanged": 0, "fixed": 4}
    assert third["summary"]["incomplete"] == 0

    fourth = night(tmp_path, code=1)
    assert fourth["summary"]["by_change"]["unchanged"] == 6
    assert "leaves.pkl" not in fourth
    (folder / "1.pkl").unlink()
    assert night(tmp_path, code=0)["1.pkl"]["change"] == "gone"


def test_what_is_gone_and_comes_back(tmp_path: Path) -> None:
    """It is new again, with its findings."""
    folder = models(tmp_path, 1)
    (folder / "evil.pkl").write_bytes(EVIL)
    night(tmp_path)
    (folder / "evil.pkl").rename(tmp_path / "aside")
    assert night(tmp_path)["evil.pkl"]["change"] == "gone"
    (tmp_path / "aside").rename(folder / "evil.pkl")
    again = night(tmp_path)["evil.pkl"]
    assert (again["change"], changes(again["findings"])) == ("new", ["new", "new"])


def test_other_rules(tmp_path: Path) -> None:
    """Another setting that shapes the result has everything looked at again; one that does not, nothing."""
    folder = models(tmp_path, 2)
    (folder / "evil.pkl").write_bytes(EVIL)
    night(tmp_path)
    assert night(tmp_path, "--concurrency", "3", "--timeout", "9")["summary"]["bytes_read"] == 0
    mild = night(tmp_path, "--suppress", "pickle-import", "--severity", "pickle-call=info", code=0)
    assert mild["summary"]["bytes_read"] == 0  # levels are given when a record is written
    assert mild["summary"]["by_severity"] == {"critical": 0, "warning": 0, "info": 1, "debug": 0}
    assert mild["summary"]["suppressed_total"] == 1
    strict = night(tmp_path, "--blacklist", "1.pkl", code=1)
    assert strict["summary"]["by_change"]["rescanned"] == 3
    assert changes(strict["1.pkl"]["findings"]) == ["new"]
    assert changes(strict["evil.pkl"]["findings"]) == ["unchanged", "unchanged"]
    assert changes(night(tmp_path, code=1)["1.pkl"]["fixed"]) == ["fixed"]


def test_names_beside_an_object_count(tmp_path: Path) -> None:
    """A record that depends on what lies beside its object holds only while that stays the same."""
    folder = models(tmp_path)
    (folder / "config.json").write_text('{"model_type": "bert", "auto_map": {"AutoModel": "code.Model"}}')
    before = night(tmp_path)["config.json"]
    assert night(tmp_path)["config.json"]["change"] == "unchanged"
    (folder / "code.py").write_text("class Model: pass\n")
    after = night(tmp_path)["config.json"]
    assert after["change"] == "rescanned"
    assert [one["message"] for one in before["findings"]] != [one["message"] for one in after["findings"]]


def test_the_text_and_the_json(tmp_path: Path) -> None:
    """What is new and what is fixed can be seen in both."""
    folder = models(tmp_path, 1)
    (folder / "evil.pkl").write_bytes(EVIL)
    text = run("scan", "models", "--state", "state.db", "--format", "text", cwd=tmp_path).stdout
    assert "Since the last run: objects: 2 new; issues: 2 new" in text
    assert "[CRITICAL] Suspicious module reference found: posix.system (new)" in text
    (folder / "evil.pkl").write_bytes(WORSE)
    document = json.loads(run("scan", "models", "--state", "state.db", "--format", "json", cwd=tmp_path).stdout)
    assert {issue["change"] for issue in document["issues"]} == {"new", "unchanged"}
    assert [issue["change"] for issue in document["fixed"]] == ["fixed"]
    (folder / "evil.pkl").unlink()
    text = run("scan", "models", "--state", "state.db", "--format", "text", cwd=tmp_path).stdout
    assert "Fixed since the last run: 2" in text
    assert "Since the last run: objects: 1 unchanged, 1 gone; issues: 2 fixed" in text


def test_the_state_and_the_output_are_not_scanned(tmp_path: Path) -> None:
    """Not even when they lie in the folder that is."""
    folder = models(tmp_path, 1)
    command = ("scan", ".", "--state", "state.db", "--output", "out.ndjson")
    for _ in range(2):
        assert run(*command, cwd=folder).returncode == 0
        lines = [json.loads(line) for line in (folder / "out.ndjson").read_text().splitlines()]
        assert [line["uri"] for line in lines if line["type"] == "file"] == ["./0.pkl"]


def test_another_folder_of_the_same_name(tmp_path: Path) -> None:
    """Local files are known by where they really lie, whatever the command calls them."""
    for name, data in (("a", EVIL), ("b", WORSE)):
        (tmp_path / name / "models").mkdir(parents=True)
        (tmp_path / name / "models" / "x.pkl").write_bytes(data[:20].ljust(20, b"."))
        os.utime(tmp_path / name / "models" / "x.pkl", ns=(1, 1))
    for name in ("a", "b"):
        done = run("scan", "models", "--state", "../state.db", cwd=tmp_path / name)
        [record] = [json.loads(line) for line in done.stdout.splitlines()][1:-1]
        assert record["change"] == "new"


def test_a_link_to_the_same_file(tmp_path: Path) -> None:
    """A link and what it leads to have a record each, in every run."""
    folder = models(tmp_path, 1)
    (folder / "link.pkl").symlink_to("0.pkl")
    assert set(night(tmp_path)) == set(night(tmp_path)) == {"0.pkl", "link.pkl", "summary"}


def test_a_file_whose_time_is_set_back(tmp_path: Path) -> None:
    """Other bytes of the same length and the old modification time: they are read."""
    folder = models(tmp_path, 1)
    (folder / "x.pkl").write_bytes(EVIL.replace(b"system", b"getpid").ljust(40, b"."))
    before = (folder / "x.pkl").stat()
    night(tmp_path)
    (folder / "x.pkl").write_bytes(EVIL.ljust(40, b"."))
    os.utime(folder / "x.pkl", ns=(before.st_atime_ns, before.st_mtime_ns))
    after = night(tmp_path)["x.pkl"]
    assert after["change"] == "changed"
    assert after["severity"] == "critical"


def test_from_python(tmp_path: Path) -> None:
    """The same memory, and the same errors; a run that was left early gives everything again."""
    models(tmp_path, 3)
    (tmp_path / "models" / "evil.pkl").write_bytes(EVIL)

    async def changes_of(most: int = 100) -> list[str | None]:
        found: list[str | None] = []
        async with aclosing(modelaudit.scan(str(tmp_path / "models"), state=str(tmp_path / "s"), workers=1)) as reports:
            async for report in reports:
                found.append(report.change)
                if len(found) == most:
                    break
        return found

    assert anyio.run(changes_of, 1) == ["new"]
    assert anyio.run(changes_of) == ["new"] * 4
    assert anyio.run(changes_of) == ["unchanged"] * 4
    (tmp_path / "s").write_bytes(b"else" * 1000)
    with pytest.raises(UsageError, match="this is no state of modelaudit"):
        anyio.run(changes_of)


def test_a_dry_run_remembers_nothing(tmp_path: Path) -> None:
    """It reads nothing, so that there is nothing to remember."""
    models(tmp_path, 1)
    assert run("scan", "models", "--dry-run", "--state", "state.db", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "state.db").exists()


def refused(folder: Path, *more: str) -> str:
    done = run("scan", "models", "--state", "state.db", *more, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line.removeprefix("modelaudit: ")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """The second is refused in one line, and leaves its output as it was."""
    models(tmp_path, 1)
    night(tmp_path)
    (tmp_path / "keep.ndjson").write_text('{"type":"run","schema":"modelaudit/1"}\n')
    with (tmp_path / "state.db").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = refused(tmp_path, "--output", "keep.ndjson")
    assert said == "--state state.db: another run uses it now; wait for its end, or name another file for this one"
    assert (tmp_path / "keep.ndjson").read_text().count("\n") == 1
    night(tmp_path)


def _other_database(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE things (id)")
    other.close()


def _newer(path: Path) -> None:
    _made(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def _damaged(path: Path) -> None:
    _made(path)
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\xff" * 8192
    path.write_bytes(data)


def _made(path: Path) -> None:
    run("scan", "models", "--state", str(path), cwd=path.parent)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_bytes(EVIL * 100), "this is no state of modelaudit; name another file"),
        (_other_database, "a database, but not one of modelaudit's; name another file"),
        (_newer, "made by a newer modelaudit (shape 99, this one knows 1); update modelaudit, or name another file"),
        (_damaged, "the file is damaged; move it away to begin anew"),
        (Path.mkdir, "Is a directory; name a file in a folder that you may write to"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, make: Any, said: str) -> None:
    """One line that says what and what to do; the file is left alone."""
    models(tmp_path, 1)
    path = tmp_path / "state.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    assert refused(tmp_path) == f"--state state.db: {said}"
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_the_file_of_the_output(tmp_path: Path) -> None:
    """State and output are two files, in a folder that there is."""
    models(tmp_path, 1)
    assert refused(tmp_path, "--output", "./state.db").endswith("that is the file of --state; name another one")
    assert "No such file or directory" in refused(tmp_path, "--state", "nowhere/state.db")


def test_an_empty_file_is_a_beginning(tmp_path: Path) -> None:
    """As `mktemp` makes one."""
    models(tmp_path, 1)
    (tmp_path / "state.db").touch()
    assert night(tmp_path)["0.pkl"]["change"] == "new"


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    """And what had been found before is neither new nor fixed by a failure in between."""
    folder = models(tmp_path, 1)
    (folder / "evil.pkl").write_bytes(EVIL)
    night(tmp_path)
    os.utime(folder / "evil.pkl", ns=(1, 1))
    slow = night(tmp_path, "--max-file-size", "10", code=2)
    assert (slow["evil.pkl"]["status"], slow["evil.pkl"].get("fixed", [])) == ("skipped", [])
    back = night(tmp_path, code=1)["evil.pkl"]
    assert changes(back["findings"]) == ["unchanged", "unchanged"]
    assert back["change"] == "rescanned"


def test_a_copy_of_the_state_taken_at_any_time(tmp_path: Path) -> None:
    """SQLite finds nothing wrong with it, and a run goes on from it."""
    models(tmp_path, 5)
    night(tmp_path)
    shutil.copy(tmp_path / "state.db", tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    assert not list(tmp_path.glob("state.db-*"))
    done = run("scan", "models", "--state", "copy.db", cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1])["by_change"]["unchanged"] == 5


def test_a_run_without_a_state_knows_no_changes(tmp_path: Path) -> None:
    """Its records have no word of them, and SQLite is not even imported."""
    models(tmp_path, 1)
    done = run("scan", "models", cwd=tmp_path)
    record = json.loads(done.stdout.splitlines()[1])
    assert "change" not in record
    assert "fixed" not in record
    code = "import sys, modelaudit.cli.audit, modelaudit.pipeline.flow; assert 'sqlite3' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""`modelaudit scan` from the outside: whole outputs, exit codes, and a sentence for every mistake."""

import json
import os
import re
from pathlib import Path

import msgspec
import pytest

from modelaudit.model import FileReport, RunRecord, Summary
from tests.cli.program import models, run

LINE = "─" * 80


def same(text: str) -> str:
    """`text` with everything that differs from run to run made the same."""
    text = re.sub(
        r'("(?:started|start_time|timestamp|duration_ms|duration_seconds|duration)": ?)[0-9.e-]+', r"\1N", text
    )
    text = re.sub(r'("(?:run_id|version|id)": ?)"[^"]*"', r'\1"X"', text)
    return re.sub(r"in [0-9.]+ seconds", "in N seconds", text)


def test_ndjson(tmp_path: Path) -> None:
    """The default where standard output is no terminal. Nothing is on standard error when all went well."""
    models(tmp_path)
    done = run("scan", "models", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert same(done.stdout) == (
        '{"type":"run","schema":"modelaudit/1","version":"X","run_id":"X","started":N,"paths":["models"],'
        '"paths_cut":0,"settings":{"fail_on":"warning"},"resumed":false}\n'
        '{"type":"file","uri":"models/0.pkl","size":5,"bytes_read":5,"version":"X","sha256":null,'
        '"formats":["pickle"],"scanners":["pickle"],"status":"scanned","reason":null,"message":null,"severity":null,'
        '"findings":[],"findings_cut":0,"assets":[{"path":"models/0.pkl","type":"pickle","size":null,"tensors":[],'
        '"tensors_total":0}],"assets_cut":0,"duration_ms":N}\n'
        '{"type":"summary","run_id":"X","ended":"complete","exit_code":0,"duration_seconds":N,"objects":1,'
        '"files_scanned":1,"incomplete":0,"by_status":{"scanned":1,"partial":0,"skipped":0,"failed":0},"reasons":{},'
        '"findings_total":0,"findings_cut":0,"by_severity":{"critical":0,"warning":0,"info":0,"debug":0},"worst":null,'
        '"assets_total":1,"assets_cut":0,"by_format":{"pickle":1},"by_scanner":{"pickle":1},"bytes_listed":5,"bytes_read":5}\n'
    )


def test_text(tmp_path: Path) -> None:
    """A finding of --blacklist, a file of no known format, and a path that is not there."""
    models(tmp_path)
    (tmp_path / "models" / "notes.txt").write_text("hello")
    done = run("scan", "models", "gone", "--blacklist", "0.pk", "--format", "text", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert (
        same(done.stdout)
        == f"""\
{LINE}
ModelAudit Security Scanner
Scanning for potential security issues in ML model files
{LINE}
Paths to scan: models, gone
{LINE}

✓ Scanning models
✓ Scanning gone

Active Scanner: pickle
Scan completed in N seconds
Files scanned: 1
Of 3 objects: 1 skipped, 1 failed (not_found 1, unsupported 1)
Scanned 10 bytes
Issues found: 1 critical, 0 warnings

1. models/0.pkl: [CRITICAL] Blacklisted pattern 0.pk in name: models/0.pkl
   Why: The name matches a pattern that was given with --blacklist.

Not scanned, or not wholly: 1
   gone: failed (not_found): gone: No such file or directory

{LINE}
✗ Scan completed with findings; 1 of 3 objects not scanned, or not wholly
"""
    )


def test_json(tmp_path: Path) -> None:
    """One document; with --output it is in the file and nowhere else."""
    models(tmp_path)
    done = run("scan", "models", "--blacklist", "0.pk", "--format", "json", "--output", "out.json", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["scanner_names"] == ["pickle"]
    assert document["bytes_scanned"] == document["totals"]["bytes_listed"] == 5
    assert (document["files_scanned"], document["has_errors"], document["exit_code"]) == (1, False, 1)
    assert [(issue["rule"], issue["severity"], issue["location"]) for issue in document["issues"]] == [
        ("shared-blacklisted", "critical", "models/0.pkl")
    ]
    assert document["start_time"] <= document["issues"][0]["timestamp"] <= document["start_time"] + 120


def test_every_object_has_its_line(tmp_path: Path) -> None:
    """As many `file` records as objects, between one `run` and one `summary` that adds up to them."""
    models(tmp_path, 300)
    done = run("scan", "models", "--workers", "2", cwd=tmp_path)
    decoder = msgspec.json.Decoder(RunRecord | FileReport | Summary)
    first, *files, last = [decoder.decode(line) for line in done.stdout.splitlines()]
    assert isinstance(first, RunRecord)
    assert isinstance(last, Summary)
    assert sorted(record.uri for record in files) == sorted(f"models/{number}.pkl" for number in range(300))  # type: ignore[union-attr]
    assert (last.objects, last.bytes_read, last.run_id) == (300, sum(f.bytes_read for f in files), first.run_id)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["models"], 0, None),
        (["models", "--blacklist", "0.pk"], 1, None),
        (["models", "gone", "--blacklist", "0.pk"], 1, "not everything was scanned"),
        (["models", "gone"], 2, "not everything was scanned"),
        (["gone"], 2, "nothing was scanned"),
        (["models", "--include", "*.pt"], 2, "nothing was scanned"),
        (["models", "--max-file-size", "4"], 2, "nothing was scanned"),
        (["models", "--blacklist", "0.pk", "--severity", "shared-blacklisted=info"], 0, None),
        (["models", "--blacklist", "0.pk", "--severity", "shared-blacklisted=info", "--fail-on", "info"], 1, None),
        (["models", "--blacklist", "0.pk", "--suppress", "shared-blacklisted", "--fail-on", "info"], 0, None),
        (
            ["models", "--blacklist", "0.pk", "--severity", "shared-blacklisted=warning", "--fail-on", "critical"],
            0,
            None,
        ),
        (["models", "--dry-run"], 0, None),
        (["models", "gone", "--dry-run"], 2, "nothing was scanned"),
    ],
)
def test_exit_codes(tmp_path: Path, arguments: list[str], code: int, said: str | None) -> None:
    """And whoever watches standard error is told why it is 2."""
    models(tmp_path)
    done = run("scan", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ([said] if said else [])
    assert json.loads(done.stdout.splitlines()[-1])["exit_code"] == code


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no path to scan: name files, folders or s3://bucket/prefix/, or give --targets FILE"),
        (
            ["models", "--timeout", "x"],
            "--timeout: 'x' is not a number of seconds above 0 and up to 1000000, such as 300",
        ),
        (["models", "--config", "nope"], "nope: cannot be read as settings: No such file or directory"),
        (
            ["models", "-o", "no/out"],
            "--output no/out: No such file or directory; name a file in a folder that you may write to",
        ),
        (["models", "-q", "-v"], "--verbose and --quiet contradict each other: leave one out"),
        (
            ["models", "--targets", "nope"],
            "--targets nope: No such file or directory; name a file with one path a line, or -",
        ),
    ],
)
def test_mistakes(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """One line on standard error, nothing on standard output, exit code 2."""
    models(tmp_path)
    done = run("scan", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"modelaudit: {sentence}\n")


def test_no_secret_in_a_mistake(tmp_path: Path) -> None:
    """A URL with a password is refused without being repeated; one that no source knows makes no file either."""
    done = run("scan", "https://me:hush@host/model.pt?X-Amz-Signature=0123abcd", cwd=tmp_path)
    assert done.returncode == 2
    assert "bad_address" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    assert "0123abcd" not in done.stdout + done.stderr
    done = run("scan", "az://me:hush@host/model.pt?sig=0123abcd", "--output", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("modelaudit: ")
    assert "hush" not in done.stderr
    assert "0123abcd" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["scan", "--nonsense"], ["nonsense"], ["scan", "m", "--format", "xml"]])
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    """Unknown commands, options and choices: exit code 2, and the word itself in the message."""
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[-1] in done.stderr


def test_a_dry_run(tmp_path: Path) -> None:
    """It lists sizes and reads nothing."""
    models(tmp_path, 2)
    done = run("scan", "models", "--dry-run", "--format", "text", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[9:] == [
        "Would be looked at:",
        "               5 bytes  models/0.pkl",
        "              17 bytes  models/1.pkl",
        "",
        "2 of 2 objects would be looked at, 22 bytes listed",
        "",
        LINE,
        "✓ Dry run: nothing was read",
    ]


def test_the_output_file_is_not_scanned(tmp_path: Path) -> None:
    """Results in the very folder that is scanned: the file that grows meanwhile is no object of the run."""
    models(tmp_path, 3)
    (tmp_path / "out[1].ndjson").write_text('{"type":"run","schema":"modelaudit/1","run_id":"of yesterday"}\n')
    for path in (".", f"file://{tmp_path}", "models/.."):
        done = run("scan", path, "--output", "out[1].ndjson", cwd=tmp_path)
        assert done.returncode == 0
        lines = (tmp_path / "out[1].ndjson").read_text().splitlines()
        assert sorted(json.loads(line)["uri"].rsplit("/")[-1] for line in lines[1:-1]) == ["0.pkl", "1.pkl", "2.pkl"]


def test_targets_from_standard_input(tmp_path: Path) -> None:
    """One path a line, also one that is not there."""
    models(tmp_path, 2)
    done = run("scan", "--targets", "-", cwd=tmp_path, stdin="models/0.pkl\nmodels/1.pkl\n")
    assert done.returncode == 0
    assert [json.loads(line)["uri"] for line in done.stdout.splitlines()[1:-1]] == ["models/0.pkl", "models/1.pkl"]


def test_settings_from_the_environment_and_a_file(tmp_path: Path) -> None:
    """Variables and the file of the working directory reach the run; a file among the models is told of."""
    models(tmp_path)
    (tmp_path / "modelaudit.toml").write_text('blacklist = ["0.pk"]\n')
    done = run(
        "scan", "models", cwd=tmp_path, MODELAUDIT_FAIL_ON="critical", MODELAUDIT_SEVERITY="shared-blacklisted=warning"
    )
    settings = json.loads(done.stdout.splitlines()[0])["settings"]
    assert (done.returncode, done.stderr) == (0, "")
    assert settings == {
        "fail_on": "critical",
        "blacklist": ["0.pk"],
        "severity.shared-blacklisted": "warning",
        "config": "modelaudit.toml",
    }
    done = run("scan", ".", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stderr)["event"].startswith("modelaudit.toml lies inside what is being scanned")


def test_quiet(tmp_path: Path) -> None:
    """No warnings and no frame; findings alone."""
    models(tmp_path)
    done = run("scan", "models", "gone", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    done = run("scan", "models", "--quiet", "-f", "text", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_hostile_names(tmp_path: Path) -> None:
    """In no format does a name act on the terminal, and none breaks a line or the encoding."""
    folder = models(tmp_path)
    for name in (b"\x1b]0;owned\x07.pkl", b"a\nb.pkl", "\u202egnp.pkl".encode(), b"\xff\xfe.pkl", b"\xc2\x9b2J.pkl"):
        (folder / os.fsdecode(name)).write_bytes(b"\x80\x04N.")
    for form in ("text", "json", "ndjson"):
        done = run("scan", "models", "--blacklist", "pkl", "--format", form, "-v", cwd=tmp_path)
        assert done.returncode == 1
        assert all(mark.isprintable() or mark == "\n" for mark in done.stdout)
    assert len(done.stdout.splitlines()) == 8
    assert len({json.loads(line)["uri"] for line in done.stdout.splitlines()[1:-1]}) == 6

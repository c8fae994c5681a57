"""`modelaudit config`: the value of each setting, and who said so."""

import json
from pathlib import Path
from typing import get_args

from modelaudit.settings import OPTIONS, Format
from tests.cli.program import models, run


def test_each_value_has_an_origin(tmp_path: Path) -> None:
    """A variable is stronger than the file, what nobody set is a default, and tokens are not shown."""
    (tmp_path / "modelaudit.toml").write_text(
        'workers = 3\ntimeout = 7\n[limits]\ndepth = 5\n[[suppress]]\nrule = "pickle-call"\nreason = "seen"\n'
    )
    done = run(
        "config", "--format", "json", cwd=tmp_path, MODELAUDIT_WORKERS="5", MODELAUDIT_JFROG_API_TOKEN="hush-hush"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = {each["name"]: (each["value"], each["origin"]) for each in json.loads(done.stdout)}
    assert {name.replace("_", "-") for name in OPTIONS} | {"limits.depth"} == set(found)
    assert found["workers"] == (5, "MODELAUDIT_WORKERS")
    assert found["timeout"] == (7, "modelaudit.toml: timeout")
    assert found["limits.depth"] == (5, "modelaudit.toml: limits.depth")
    assert found["suppress"] == (["rule pickle-call: seen"], "modelaudit.toml: suppress")
    assert found["fail-on"] == ("warning", "default")
    assert found["jfrog-api-token"] == ("***", "MODELAUDIT_JFROG_API_TOKEN")
    assert "hush-hush" not in done.stdout


def test_the_text(tmp_path: Path) -> None:
    """A line each; an origin only where somebody said something."""
    (tmp_path / "mine.toml").write_text('fail-on = "critical"\n')
    lines = run("config", "--config", "mine.toml", cwd=tmp_path).stdout.splitlines()
    assert [line.split() for line in lines if line.startswith(("fail-on", "output"))] == [
        ["output", "-"],
        ["fail-on", '"critical"', "mine.toml:", "fail-on"],
    ]


def test_mistakes(tmp_path: Path) -> None:
    """The same sentences as before a scan."""
    (tmp_path / "modelaudit.toml").write_text("worker = 3\n")
    done = run("config", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "modelaudit.toml: unknown setting 'worker'; did you mean workers?" in done.stderr
    done = run("config", "--config", "/nowhere", cwd=tmp_path, MODELAUDIT_WORKER="3")
    assert done.returncode == 2
    assert "/nowhere: cannot be read as settings" in done.stderr


def test_suppressions_end_to_end(tmp_path: Path) -> None:
    """What the file accepts is set apart with its reason; what matches nothing is told."""
    folder = models(tmp_path, 1)
    (folder / "evil.pkl").write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    (tmp_path / "modelaudit.toml").write_text(
        '[[suppress]]\nrule = "pickle-*"\npath = "*/evil.pkl"\nreason = "a drill"\n'
        '[[suppress]]\nfinding = "0000"\nreason = "long gone"\n'
    )
    done = run("scan", "models", "--format", "ndjson", cwd=tmp_path)
    assert done.returncode == 0
    records = [json.loads(line) for line in done.stdout.splitlines()]
    accepted = next(each["suppressed"] for each in records if each.get("uri", "").endswith("evil.pkl"))
    assert [(each["rule"], each["severity"], each["suppressed"]) for each in accepted] == [
        ("pickle-import", "critical", "a drill"),
        ("pickle-call", "warning", "a drill"),
    ]
    assert records[-1]["suppressed_total"] == 2
    assert records[0]["settings"]["suppress"] == ["rule pickle-*, path */evil.pkl: a drill", "finding 0000: long gone"]
    assert "suppress (2): the suppression of finding 0000 matched nothing; remove it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_documentation_names_every_setting() -> None:
    """`docs/configuration.md` has a row for each, and none that there is not."""
    text = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name.strip(" `") for row in rows for name in row.split(",")}
    assert named == {name.replace("_", "-") for name in OPTIONS} | {"[limits]"}
    formats = next(line for line in text.splitlines() if line.startswith("| `format`")).split("|")[2]
    assert [name.strip(" `") for name in formats.split(",")] == list(get_args(Format))

"""What a newcomer can find out from the program alone: help whose examples work, and completion."""

import shlex
import subprocess
from pathlib import Path

import pytest

from modelaudit.cli import app, scan
from modelaudit.cli.quick import scan_of
from modelaudit.settings import OPTIONS, resolve
from tests.cli.program import ENVIRONMENT, PROGRAM, run

EXAMPLES = sorted({line.strip() for line in (scan.EPILOG + app.EPILOG).splitlines() if "modelaudit scan " in line})


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_understood(example: str) -> None:
    """Every line can be typed as it stands."""
    command = example.partition("|")[0]
    asked = scan_of(shlex.split(command)[1:])
    assert asked is not None
    assert resolve(asked.paths, asked.flags, environ={}).paths


@pytest.mark.parametrize("arguments", [["--help"], ["scan", "--help"]])
def test_a_nightly_audit_of_a_bucket(tmp_path: Path, arguments: list[str]) -> None:
    """The help says how to scan a bucket nightly and fail on critical findings only, and fits a terminal."""
    said = run(*arguments, cwd=tmp_path, COLUMNS="80").stdout
    assert max(map(len, said.splitlines())) <= 80
    words = " ".join(said.split())
    assert "A bucket every night, reading what is new, failing on critical findings only:" in words
    assert "modelaudit scan s3://my-bucket --state audit.db --output audit.ndjson --fail-on critical" in words


@pytest.mark.parametrize("command", ["scan", "report", "rules", "formats", "schema", "config", "doctor"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    """It begins with what the command is for, and leaves no default unsaid by way of a Python value."""
    done = run(command, "--help", cwd=tmp_path, COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: modelaudit {command}" in done.stdout
    assert "None" not in done.stdout


def completed(shell: str, **words: str) -> str:
    """What the completion of that shell would be told."""
    env = {**ENVIRONMENT, "_MODELAUDIT_COMPLETE": f"complete_{shell}", **words}
    program = [*PROGRAM[:1], "-c", "from modelaudit.cli import main; import sys; sys.argv[0] = 'modelaudit'; main()"]
    return subprocess.run(program, env=env, capture_output=True, text=True, timeout=60, check=False).stdout


def test_completion() -> None:
    """Commands, options and their values, for bash and zsh and fish."""
    assert completed("bash", COMP_WORDS="modelaudit re", COMP_CWORD="1").split() == ["report"]
    assert "--fail-on" in completed("bash", COMP_WORDS="modelaudit scan --fa", COMP_CWORD="2").split()
    values = completed("bash", COMP_WORDS="modelaudit scan --format ", COMP_CWORD="3").split()
    assert values == ["text", "json", "ndjson", "sarif", "ocsf"]
    assert "report" in completed("zsh", _TYPER_COMPLETE_ARGS="modelaudit re")
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": "modelaudit re"}
    assert completed("fish", **fish).startswith("report")


@pytest.mark.parametrize(
    ("shell", "sign"),
    [("bash", "complete -o"), ("zsh", "#compdef modelaudit"), ("fish", "complete --command modelaudit")],
)
def test_the_script_for_a_shell(shell: str, sign: str) -> None:
    """What each shell evaluates, which `--show-completion` prints for the one that it is called from."""
    env = {**ENVIRONMENT, "_MODELAUDIT_COMPLETE": f"source_{shell}"}
    program = [*PROGRAM[:1], "-c", "from modelaudit.cli import main; import sys; sys.argv[0] = 'modelaudit'; main()"]
    done = subprocess.run(program, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert sign in done.stdout
    assert "_MODELAUDIT_COMPLETE" in done.stdout


def test_every_option_is_in_the_help(tmp_path: Path) -> None:
    """Whatever a file or a variable may set, an option may, and the help says so."""
    said = run("scan", "--help", cwd=tmp_path, COLUMNS="200").stdout
    assert [name for name in OPTIONS if f"--{name.replace('_', '-')} " not in said] == []

"""What the README shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SESSION = re.compile(r"```\n\$ modelaudit (?P<command>[^\n]+)\n(?P<shown>.*?)```", re.DOTALL)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demonstration models lie, made as the README's first command makes them."""
    folder = tmp_path_factory.mktemp("readme")
    made = run([sys.executable, str(ROOT / "tests" / "samples"), "demo", "demo-models"], folder)
    assert made.returncode == 0, made.stderr
    return folder


def still(text: str) -> str:
    """`text` without what differs from run to run."""
    return re.sub(r"in [\d.]+ seconds", "in N seconds", text)


def test_the_session_shown_is_what_is_printed(folder: Path) -> None:
    """Each session in the README, run again, prints the same."""
    sessions = list(SESSION.finditer(README))
    assert sessions
    for session in sessions:
        done = run([sys.executable, "-m", "modelaudit", *session["command"].split()], folder)
        assert still(done.stdout) == still(session["shown"])


def test_the_first_command_finds_the_attacks_and_only_them(folder: Path) -> None:
    """Every file of the attacks has a finding, no other file has one that fails a run."""
    import msgspec

    done = run([sys.executable, "-m", "modelaudit", "scan", "demo-models"], folder)
    records = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    worst = {record["uri"]: record["severity"] for record in records if record["type"] == "file"}
    assert done.returncode == 1
    for uri, severity in worst.items():
        assert (severity in ("critical", "warning")) == ("/attacks/" in uri), (uri, severity)


def test_the_python_example_runs(folder: Path) -> None:
    """The example as it stands, over the demonstration folder."""
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = run([sys.executable, "-c", example.replace(', "s3://my-bucket/models/"', "")], folder)
    assert done.returncode == 0, done.stderr
    assert "os-system.pkl scanned critical" in done.stdout


def test_the_documented_options_exist() -> None:
    """Every long option that the README names is one of `scan`, and each of its commands is one."""
    told = run([sys.executable, "-m", "modelaudit", "scan", "--help"], ROOT).stdout
    table = README.split("| option |")[1].split("Exit codes")[0]
    for option in set(re.findall(r"--[a-z][a-z-]+", table)):
        assert option in told, option


def test_both_commands_stand_in_the_readme() -> None:
    """The command that CI runs is the README's, and there is one of each."""
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert "samples demo" in commands[0]
    assert commands[1].endswith("-m pytest -q")

"""The ways in that are files: the GitHub action, the hook for pre-commit, the snippets, the job for Kubernetes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelaudit.cli.quick import scan_of
from modelaudit.settings import resolve
from tests.cli.program import ENVIRONMENT, models, run

ROOT = Path(__file__).parents[1]
EVIL = b"cos\nsystem\n(S'echo'\ntR."


def snippet(title: str) -> str:
    """The block of docs/ci.md with that title."""
    text = (ROOT / "docs" / "ci.md").read_text()
    return text.split(f'title="{title}"\n')[1].split("```")[0]


def valid(schema: str, text: str, folder: Path) -> None:
    """Hold `text` against one of the schemas that check-jsonschema carries."""
    path = folder / "file.yml"
    path.write_text(text)
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("schema", "title"),
    [("github-actions", ""), ("github-workflows", ".github/workflows/models.yml"), ("gitlab-ci", ".gitlab-ci.yml")],
)
def test_schemas(tmp_path: Path, schema: str, title: str) -> None:
    """What the services take, by their own schemas."""
    valid(schema, snippet(title) if title else (ROOT / "action.yml").read_text(), tmp_path)


def action(tmp_path: Path, **inputs: str) -> tuple[int, Any]:
    """What the action's scan step ends with, and the results it wrote."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    [step] = [step for step in steps if step.get("id") == "scan"]
    place = tmp_path / "runner" / "modelaudit" / "bin"
    place.mkdir(parents=True)
    (place / "modelaudit").write_text(f'#!/bin/sh\nexec {sys.executable} -m modelaudit "$@"\n')
    (place / "modelaudit").chmod(0o755)
    outputs = tmp_path / "outputs"
    env = {**ENVIRONMENT, "RUNNER_TEMP": str(tmp_path / "runner"), "GITHUB_OUTPUT": str(outputs)}
    env |= {"INPUT_PATHS": "models", "INPUT_FAIL_ON": "warning", "INPUT_ARGUMENTS": ""} | inputs
    assert set(step["env"]) <= env.keys()
    assert "${{" not in step["run"]  # an input must not become a part of the script
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False)
    sarif = outputs.read_text().partition("sarif=")[2].strip()
    return done.returncode, json.loads(Path(sarif).read_text()) if os.path.exists(sarif) else None


def test_the_action_finds_and_fails(tmp_path: Path) -> None:
    """The exit code is the scan's, and the results are there for the upload."""
    (models(tmp_path, 1) / "evil.pkl").write_bytes(EVIL)
    code, results = action(tmp_path)
    assert code == 1
    assert len(results["runs"][0]["results"]) == 2


def test_the_action_takes_several_paths_and_options(tmp_path: Path) -> None:
    """One a line; names with blanks and what looks like an option or a command are names."""
    (models(tmp_path, 1) / "evil.pkl").write_bytes(EVIL)
    hostile = "$(touch hacked); --suppress"
    (tmp_path / hostile).write_bytes(EVIL)
    code, results = action(tmp_path, INPUT_PATHS=f"models\n{hostile}", INPUT_ARGUMENTS="--exclude\nevil.pkl")
    assert code == 1
    assert len(results["runs"][0]["results"]) == 2
    assert not (tmp_path / "hacked").exists()


def test_the_action_passes_what_is_clean(tmp_path: Path) -> None:
    """Nothing found is a success."""
    models(tmp_path, 2)
    code, results = action(tmp_path, INPUT_FAIL_ON="critical")
    assert (code, results["runs"][0]["results"]) == (0, [])


def hook() -> dict[str, Any]:
    [entry] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert isinstance(entry, dict)
    return entry


def test_the_hook(tmp_path: Path) -> None:
    """pre-commit calls it with the names of files behind its words: findings stop the commit, nothing else speaks."""
    path = ROOT / ".pre-commit-hooks.yaml"
    words = [sys.executable, "-m", "pre_commit", "validate-manifest", str(path)]
    assert subprocess.run(words, timeout=60, check=False).returncode == 0
    folder = models(tmp_path, 1)
    (folder / "-evil.pkl").write_bytes(EVIL)
    program, *arguments = hook()["entry"].split()
    assert program == "modelaudit"
    done = run(*arguments, "models/0.pkl", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run(*arguments, "0.pkl", "-evil.pkl", cwd=folder)
    assert done.returncode == 1
    assert "[CRITICAL]" in done.stdout


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("a.pkl", True),
        ("m/b.safetensors", True),
        ("x.gguf", True),
        ("main.py", False),
        ("pkl", False),
        ("a.pkl.md", False),
    ],
)
def test_files_of_the_hook(name: str, taken: bool) -> None:
    """Models, and nothing that a commit is full of."""
    assert (re.search(hook()["files"], name) is not None) is taken


def test_the_cron_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its command line and settings are understood, nothing runs as root or writes where it must not."""
    config, _, job = yaml.safe_load_all((ROOT / "deploy" / "cronjob.yaml").read_text())
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text)
    words = [word.replace("/etc/modelaudit", str(tmp_path)) for word in container["args"]]
    asked = scan_of(words)
    assert asked is not None
    monkeypatch.chdir(tmp_path)
    settings = resolve(asked.paths, asked.flags, config=asked.config, targets=asked.targets, environ={})
    assert settings.paths == ("s3://my-bucket",)
    assert (settings.fail_on, settings.heartbeat, settings.limits.timeout_seconds) == ("critical", 60, 120)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    written = [settings.state, settings.output, container["env"][0]["value"]]
    assert all(any(str(path).startswith(mount) for mount in mounts) for path in written)


def test_the_cron_job_is_what_kubernetes_takes() -> None:
    """Each of its objects, strictly: no field that the API does not know."""
    words = [str(Path(sys.executable).with_name("kubernetes-validate")), "--strict"]
    done = subprocess.run(
        [*words, str(ROOT / "deploy" / "cronjob.yaml")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count(" passed ") == 3

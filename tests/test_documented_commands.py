"""Each scan command of the document that the project came from, as it is written there, against servers on loopback.

Hosts keep their names: a proxy leads `huggingface.co`, `mycompany.jfrog.io` and `mlflow.example.com` to local servers.
"""

import io
import json
import pickle
import re
import shlex
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.cli.program import ENVIRONMENT, PROGRAM
from tests.samples import gguffiles, onnxfiles
from tests.servers.artifactory import Artifactory, artifactory
from tests.servers.gcs import Storage, storage
from tests.servers.hub import Hub, hub
from tests.servers.internet import Internet, internet
from tests.servers.mlflow import MLflowServer, mlflow_server
from tests.servers.seaweed import ACCESS, SECRET, Seaweed

ROOT = Path(__file__).parents[1]
HARMLESS = pickle.dumps({"weights": [0.5, 1.5]})
SUSPICIOUS = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01scposix\nsystem\nq\x02X\x02\x00\x00\x00idq\x03\x85q\x04Rq\x05."
JFROG = "https://mycompany.jfrog.io/artifactory/repo/model.pt"
HEADLINE = "ModelAudit Security Scanner"


def checkpoint() -> bytes:
    """A PyTorch zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", HARMLESS)
        archive.writestr("model/version", "3\n")
    return file.getvalue()


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


@dataclass
class World:
    """All servers, and the proxy that gives two of them their names."""

    s3: Seaweed
    gcs: Storage
    hub: Hub
    artifactory: Artifactory
    mlflow: MLflowServer
    internet: Internet
    authority: Path


@pytest.fixture(scope="module")
def world(s3_server: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with (
        storage() as gcs,
        hub() as hugging,
        artifactory() as jfrog,
        mlflow_server(folder) as mlflow,
        internet(
            {"huggingface.co": hugging.port, "mycompany.jfrog.io": jfrog.port, "mlflow.example.com": mlflow.port},
            folder / "authority.pem",
        ) as net,
    ):
        s3_server.make_bucket("my-bucket")
        for name, data in (("model.pkl", HARMLESS), ("models/a.pkl", HARMLESS), ("model.safetensors", safetensors())):
            s3_server.put(name, data, "my-bucket")
        gcs._post("/storage/v1/b", b'{"name": "my-bucket"}')
        gcs._post("/upload/storage/v1/b/my-bucket/o?uploadType=media&name=model.pt", checkpoint())
        hugging.large = ()  # a redirect from https to a store without TLS would be refused
        hugging.push("gpt2", {"model.safetensors": safetensors(), "config.json": b'{"model_type": "gpt2"}'})
        hugging.push("distilbert-base-uncased", {"model.safetensors": safetensors()})
        jfrog.tokens, jfrog.keys = {"YOUR_ACCESS_TOKEN"}, {"YOUR_API_TOKEN", "your_token_here"}
        jfrog.put("repo", {"model.pt": checkpoint()})
        mlflow.model("MyModel", {"model.pkl": HARMLESS})
        mlflow.stage("MyModel", "Staging", "1")
        yield World(s3_server, gcs, hugging, jfrog, mlflow, net, folder / "authority.pem")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A working directory with the files that the document names."""
    weights = np.zeros((2, 2), np.float32)
    np.save(tmp_path / "model6.npy", weights)
    with h5py.File(tmp_path / "model2.h5", "w") as file:
        file["w"] = weights
    for name in ("model.pkl", "model1.pkl", "large_model.pkl", "model4.joblib", "model5.dill"):
        (tmp_path / name).write_bytes(HARMLESS)
    for name in ("model3.pt", "large_model.pt"):
        (tmp_path / name).write_bytes(checkpoint())
    (tmp_path / "llama-model.gguf").write_bytes(gguffiles.model())
    (tmp_path / "model.onnx").write_bytes(next(iter(onnxfiles.ordinary())).data)
    (tmp_path / "flax-model.msgpack").write_bytes(b"\x81\xa1w\x93\x01\x02\x03")
    (tmp_path / "jax-checkpoint.orbax").mkdir()
    (tmp_path / "jax-checkpoint.orbax" / "_METADATA").write_text('{"tree_metadata": {}, "use_zarr3": true}')
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.pkl").write_bytes(HARMLESS)
    (tmp_path / "suspicious_model.pkl").write_bytes(SUSPICIOUS)
    return tmp_path


def done(command: str, place: Path, world: World, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the document. What it `export`s is given as `environ`; the bucket's server and whom to trust stand
    in variables too, because the document means the real ones."""
    program, *words = shlex.split(command)
    assert program == "modelaudit"
    env = {
        **ENVIRONMENT,
        "MODELAUDIT_CA_BUNDLE": str(world.authority),
        "HTTPS_PROXY": world.internet.url,
        "HTTP_PROXY": world.internet.url,
        "NO_PROXY": "127.0.0.1,localhost",
        **environ,
    }
    return subprocess.run(
        [*PROGRAM, *words], cwd=place, env=env, capture_output=True, text=True, timeout=120, check=False
    )


AWS = {
    "AWS_ACCESS_KEY_ID": ACCESS,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
LOCAL = [
    "modelaudit scan model.pkl",
    "modelaudit scan model.onnx",
    "modelaudit scan model1.pkl model2.h5 model3.pt llama-model.gguf model4.joblib model5.dill model6.npy "
    "flax-model.msgpack jax-checkpoint.orbax",
    "modelaudit scan ./models/",
    "modelaudit scan model.pkl --max-file-size 1073741824",
    "modelaudit scan models/ --max-total-size 5368709120",
    'modelaudit scan model.pkl --blacklist "unsafe_model" --blacklist "malicious_net"',
    "modelaudit scan large_model.pkl --timeout 300",
    "modelaudit scan model.pkl --verbose",
    "modelaudit scan large_model.pt --max-file-size 5000000000 --timeout 600 --max-total-size 10000000000",
]


def records(said: str) -> list[dict[str, str]]:
    """The objects of NDJSON output."""
    lines = [json.loads(line) for line in said.splitlines()]
    assert [lines[0]["type"], lines[-1]["type"]] == ["run", "summary"]
    return [line for line in lines if line["type"] == "file"]


@pytest.mark.parametrize("command", LOCAL)
def test_local_files(place: Path, world: World, command: str) -> None:
    """Each file that is named is scanned, and nothing is found in it."""
    ended = done(command, place, world)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = records(ended.stdout)
    named = [word for word in shlex.split(command)[2:] if "model" in word and not word.startswith("-")]
    assert len(found) >= len([word for word in named if (place / word).exists()])
    assert {line["status"] for line in found} == {"scanned"}


@pytest.mark.parametrize(
    ("command", "objects"),
    [("modelaudit scan s3://my-bucket/models/", 1), ("modelaudit scan s3://my-bucket/model.pkl", 1)],
)
def test_s3(place: Path, world: World, command: str, objects: int) -> None:
    """With the three variables of the document."""
    ended = done(command, place, world, AWS_ENDPOINT_URL=world.s3.url, **AWS)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line["status"] for line in records(ended.stdout)] == ["scanned"] * objects


def test_s3_by_the_shared_file(place: Path, world: World) -> None:
    """With `~/.aws/credentials` as the document writes it."""
    (place / ".aws").mkdir()
    (place / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\nregion = us-east-1\n"
    )
    said = {"AWS_ENDPOINT_URL": world.s3.url, "HOME": str(place), "AWS_EC2_METADATA_DISABLED": "true"}
    ended = done("modelaudit scan s3://my-bucket/model.pkl", place, world, **said)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_r2(place: Path, world: World) -> None:
    """With AWS_ENDPOINT_URL, as the document says."""
    ended = done("modelaudit scan r2://my-bucket/model.safetensors", place, world, AWS_ENDPOINT_URL=world.s3.url, **AWS)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line["uri"] for line in records(ended.stdout)] == ["r2://my-bucket/model.safetensors"]


def test_gcs(place: Path, world: World) -> None:
    """Anonymously, from a server that is not Google's; keys of service accounts are tested with the source."""
    ended = done("modelaudit scan gs://my-bucket/model.pt", place, world, STORAGE_EMULATOR_HOST=world.gcs.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line["uri"] for line in records(ended.stdout)] == ["gs://my-bucket/model.pt"]


@pytest.mark.parametrize(
    ("command", "objects"),
    [("modelaudit scan https://huggingface.co/gpt2", 2), ("modelaudit scan hf://distilbert-base-uncased", 1)],
)
def test_hugging_face(place: Path, world: World, command: str, objects: int) -> None:
    """A page of the hub, and its short form."""
    before = len(world.internet.asked)
    ended = done(command, place, world)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line["status"] for line in records(ended.stdout)] == ["scanned"] * objects
    assert "huggingface.co" in world.internet.asked[before:]


@pytest.mark.parametrize("command", ["modelaudit scan models:/MyModel/1", "modelaudit scan models:/MyModel/Staging"])
def test_mlflow(place: Path, world: World, command: str) -> None:
    """A version and a stage; the server from the environment, or by the option as the document writes it."""
    ended = done(command, place, world, MLFLOW_TRACKING_URI=world.mlflow.url)
    assert (ended.returncode, ended.stderr) == (0, "")
    ended = done(f"{command} --registry-uri http://mlflow.example.com", place, world)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line["status"] for line in records(ended.stdout)] == ["scanned"]


@pytest.mark.parametrize(
    ("command", "environ", "dotenv"),
    [
        (f"modelaudit scan {JFROG} --jfrog-api-token YOUR_API_TOKEN", {}, ""),
        (f"modelaudit scan {JFROG} --jfrog-access-token YOUR_ACCESS_TOKEN", {}, ""),
        (f"modelaudit scan {JFROG}", {"JFROG_API_TOKEN": "your_token_here"}, ""),
        (f"modelaudit scan {JFROG}", {}, "JFROG_API_TOKEN=your_token_here\n"),
    ],
)
def test_jfrog(place: Path, world: World, command: str, environ: dict[str, str], dotenv: str) -> None:
    """The token by either option, from the environment, from `.env`; it is in no output."""
    if dotenv:
        (place / ".env").write_text(dotenv)
    ended = done(command, place, world, **environ)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [line["uri"] for line in records(ended.stdout)] == [JFROG]
    assert not re.search("(?i)your_", ended.stdout)


def test_jfrog_without_a_token(place: Path, world: World) -> None:
    """The first of its commands needs none where the repository is open; here one line says what is missing."""
    ended = done(f"modelaudit scan {JFROG}", place, world)
    assert ended.returncode == 2
    [record] = records(ended.stdout)
    assert record["status"] == "failed"
    assert "JFROG_" in record["message"]


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("modelaudit scan model.pkl --format json --output results.json", "results.json"),
        ("modelaudit scan models/ --format json --output scan-results.json", "scan-results.json"),
        ("modelaudit scan models/ --format json --output results.json", "results.json"),
        ("modelaudit scan suspicious_model.pkl --format json --output results.json", "results.json"),
    ],
)
def test_json(place: Path, world: World, command: str, output: str) -> None:
    """The document of the document: its keys, its issues, `(pos N)` in their locations."""
    ended = done(command, place, world)
    found = json.loads((place / output).read_text())
    keys = "scanner_names start_time duration bytes_scanned files_scanned has_errors issues assets"
    assert set(keys.split()) <= found.keys()
    assert found["scanner_names"] == ["pickle"]
    assert ended.returncode == (1 if "suspicious" in command else 0)
    for issue in found["issues"]:
        assert {"message", "severity", "location", "details", "timestamp", "why"} <= issue.keys()
        assert issue["location"] == f"suspicious_model.pkl (pos {issue['details']['position']})"
        assert {"opcode", "module", "function", "ml_context_confidence"} <= issue["details"].keys()


def test_sbom(place: Path, world: World) -> None:
    """A bill of materials beside the output."""
    assert done("modelaudit scan model.pkl --sbom sbom.json", place, world).returncode == 0
    assert json.loads((place / "sbom.json").read_text())["bomFormat"] == "CycloneDX"


def test_the_session_that_is_shown(place: Path, world: World) -> None:
    """The text of the document, line for line: only seconds and bytes differ, and each issue has its why."""
    ended = done("modelaudit scan suspicious_model.pkl --format text", place, world)
    assert ended.returncode == 1
    line = "─" * 80
    shown = re.sub(r"in \d+\.\d\d seconds", "in N seconds", ended.stdout).splitlines()
    assert shown[:14] == [
        line,
        HEADLINE,
        "Scanning for potential security issues in ML model files",
        line,
        "Paths to scan: suspicious_model.pkl",
        line,
        "",
        "✓ Scanning suspicious_model.pkl",
        "",
        "Active Scanner: pickle",
        "Scan completed in N seconds",
        "Files scanned: 1",
        f"Scanned {len(SUSPICIOUS)} bytes",
        "Issues found: 1 critical, 1 warnings",
    ]
    assert shown[15].startswith("1. suspicious_model.pkl (pos ")
    assert shown[15].endswith(": [CRITICAL] Suspicious module reference found: posix.system")
    assert shown[16] == "   Why: The 'os' module provides direct access to operating system functions."
    assert "[WARNING] Found REDUCE opcode - potential __reduce__ method execution" in shown[17]
    assert shown[-2:] == [line, "✗ Scan completed with findings"]


def test_doctor(place: Path, world: World) -> None:
    """Says what has failed, which is nothing here."""
    ended = done("modelaudit doctor --show-failed", place, world)
    assert ended.returncode == 0
    assert "Traceback" not in ended.stderr


def test_extras() -> None:
    """Each extra that the document installs exists; those with nothing to install are empty."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = "tensorflow h5 pytorch onnx tflite yaml safetensors dill joblib flax cloud mlflow all numpy1"
    assert set(named.split()) <= extras.keys()


# What the document writes beside `modelaudit` commands, and why no test runs it as it stands there.
ELSEWHERE = {
    "pip install modelaudit[…]": "the name on PyPI belongs to somebody else's package; `pip install .[…]` does it",
    "git clone https://github.com/promptfoo/modelaudit.git": "another project's repository",
    "pip install -e .[all]": "works as written; the tests run in such an installation",
    "pip install --upgrade pip setuptools wheel": "concerns pip alone",
    "pip install tensorflow h5py torch pyyaml safetensors onnx joblib": "frameworks that no format needs here",
    "docker pull ghcr.io/promptfoo/modelaudit:latest": "another project's image; the Dockerfile builds both",
    "docker pull ghcr.io/promptfoo/modelaudit:latest-tensorflow": "no such variant: no format needs TensorFlow",
    "docker run --rm -v $(pwd):/data … scan /data/model.pkl": "an image built from the Dockerfile takes the same words",
    "rye sync, rye run, rye build, rye publish": "Rye is no longer developed; pip and pyproject.toml do the same",
    "pytest tests/test_pickle_scanner.py tests/test_integration.py": "files of another project's tests",
    "./test_migration.sh": "a script of another project",
    "aws sts get-caller-identity, aws s3 ls, gcloud auth …, gsutil ls": "other programs, which ask the real clouds",
    "AWS IAM roles, gcloud's default credentials": "kept by other programs; the library of each cloud finds them",
}


def test_what_is_not_run_is_still_so() -> None:
    """The reasons above hold: what is said not to be here is not, and what is said to do instead is here."""
    for path in ("tests/test_pickle_scanner.py", "tests/test_integration.py", "test_migration.sh"):
        assert path in " ".join(ELSEWHERE)
        assert not (ROOT / path).exists()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"].keys() == {"modelaudit"}
    assert "rye" not in project.get("tool", {})
    image = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"^FROM runtime AS (\w+)", image, re.M)) == {"base", "full"}
    assert 'ENTRYPOINT ["modelaudit"]' in image
    assert not [line for line in ELSEWHERE if line.startswith("modelaudit ")]

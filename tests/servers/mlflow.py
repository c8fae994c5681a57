"""A real MLflow server on loopback, with artifacts handed through, and how models get into it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import quote

_START_SECONDS = 90.0
_API = "/api/2.0/mlflow"


class MLflowServer:
    """A running server at 127.0.0.1:`port`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def model(self, name: str, files: dict[str, bytes]) -> str:
        """Register a version of a model with these artifacts; gives its number."""
        run = self._ask("POST", f"{_API}/runs/create", {"experiment_id": "0"})["run"]["info"]
        for path, data in files.items():
            place = f"0/{run['run_id']}/artifacts/model/{quote(path)}"
            self._ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{place}", data)
        return self.version(name, f"{run['artifact_uri']}/model", run["run_id"])

    def version(self, name: str, source: str, run_id: str = "") -> str:
        """Register a version whose artifacts are at `source`; gives its number."""
        with contextlib.suppress(AssertionError):  # it may be there already
            self._ask("POST", f"{_API}/registered-models/create", {"name": name})
        made = self._ask("POST", f"{_API}/model-versions/create", {"name": name, "source": source, "run_id": run_id})
        return str(made["model_version"]["version"])

    def alias(self, name: str, alias: str, version: str) -> None:
        self._ask("POST", f"{_API}/registered-models/alias", {"name": name, "alias": alias, "version": version})

    def stage(self, name: str, stage: str, version: str) -> None:
        body = {"name": name, "version": version, "stage": stage, "archive_existing_versions": False}
        self._ask("POST", f"{_API}/model-versions/transition-stage", body)

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        try:
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status < 300, f"{method} {path}: {answer.status} {said[:300]!r}"
            return dict(json.loads(said)) if said.startswith(b"{") else {}
        finally:
            connection.close()


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[MLflowServer]:
    """Start a server that keeps everything in `folder`. It takes about ten seconds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "--backend-store-uri": f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination": str(folder / "artifacts"),
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts"]
    for name, value in options.items():
        command += [name, value]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)
    try:
        running = MLflowServer(port)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError, HTTPException, AssertionError):
                running._ask("GET", "/health")
                break
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield running
    finally:
        os.killpg(process.pid, 15)  # it has workers of its own
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(10)

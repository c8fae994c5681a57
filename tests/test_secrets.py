"""Whatever a run with planted secrets writes, none of them is in it, whether all goes well or nothing does."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.servers.serving import ranged, serving

SECRET = "PLANTED-S3CRET"
LOGIN = base64.b64encode(f"me:{SECRET}".encode()).decode()
MODEL = b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."


class Mirror:
    """A server that says back all that it was told, in every part of its answers, with the status it is set to."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: set[str] = set()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        told = (
            request.headers.get("Authorization", "") + request.headers.get("X-JFrog-Art-Api", "") + request.query_string
        )
        if SECRET in told or base64.b64encode(f"me:{SECRET}".encode()).decode() in told or SECRET in str(request.url):
            self.heard.add(request.path.split("/")[1])
        said = told.replace("\n", " ")
        headers = {
            "X-Said": said,
            "ETag": '"e"',
            "X-Error-Message": said,
            "WWW-Authenticate": f'Basic realm="{said[:80]}"',
        }
        if self.status == 200:
            return ranged(request, MODEL, {"ETag": '"e"', "X-Said": said})
        if self.status == 302:
            return web.Response(status=302, headers={**headers, "Location": f"{self.url}/again?{said}"})
        body = json.dumps({"error_code": said, "message": said, "errors": [{"message": said, "code": said}]})
        return web.Response(
            status=self.status, headers=headers, text=f"<Error><Code>{said}</Code></Error>{body}", reason="no"
        )


@pytest.fixture(scope="module")
def mirror() -> Iterator[Mirror]:
    standing = Mirror()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", standing.answer)
    with serving(app) as port:
        standing.url = f"http://127.0.0.1:{port}"
        yield standing


def planted(mirror: Mirror, folder: Path) -> dict[str, str]:
    """An environment that is full of secrets."""
    host = mirror.url.removeprefix("http://")
    (folder / "docker").mkdir(exist_ok=True)
    (folder / "docker/config.json").write_text(json.dumps({"auths": {host: {"auth": LOGIN}}}))
    (folder / ".env").write_text(f"JFROG_API_TOKEN={SECRET}\nOTHER={SECRET}\n")
    names = ["HF_TOKEN", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "JFROG_ACCESS_TOKEN"]
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DOCKER_CONFIG": str(folder / "docker"),
        **dict.fromkeys(names, SECRET),
        "AWS_ACCESS_KEY_ID": SECRET,
        "AWS_ENDPOINT_URL": mirror.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_URI": mirror.url,
        "HF_ENDPOINT": mirror.url.replace("127.0.0.1", "localhost"),
        "STORAGE_EMULATOR_HOST": mirror.url,
    }


def run(mirror: Mirror, folder: Path, *arguments: str) -> str:
    """All that the program writes: to both its outputs and to its file."""
    host = mirror.url.removeprefix("http://")
    paths = [
        f"{mirror.url}/url/model.pkl?X-Amz-Signature={SECRET}",
        f"http://me:{SECRET}@{host}/user/model.pkl",
        f"oci://{host}/oci/models:v1",
        "models:/name/1",
        f"{mirror.url}/artifactory/repository/model.pkl",
        "hf://owner/name",
        "gs://bucket/prefix/",
        "s3://bucket/prefix/",
        f"s3://me:{SECRET}@bucket/prefix/",
    ]
    limits = folder / "limits.toml"
    limits.write_text("[limits]\nlisting_deadline_seconds = 1.0\nread_deadline_seconds = 1.0\n")
    command = [sys.executable, "-W", "error", "-m", "modelaudit", "scan", *paths, *arguments, "--config", str(limits)]
    environment = planted(mirror, folder)
    done = subprocess.run(command, check=False, capture_output=True, cwd=folder, env=environment, timeout=120)
    out = folder / "out"
    written = out.read_bytes() if out.exists() else b""
    text = b"\n".join((done.stdout, done.stderr, written)).decode()
    assert "Traceback" not in text
    assert "model.pkl" in text
    return text


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 429, 500])
def test_nothing_that_is_written_holds_a_secret(mirror: Mirror, tmp_path: Path, status: int) -> None:
    """Each source is asked, the server repeats what it heard, and none of it comes out in any form."""
    mirror.status = status
    written = run(mirror, tmp_path, "--format", "ndjson", "--verbose", "--output", "out", "--jfrog-api-token", SECRET)
    if status in (200, 403):
        written += run(mirror, tmp_path, "--format", "text", "--verbose")
        written += run(mirror, tmp_path, "--format", "json")
    assert SECRET not in written
    assert LOGIN not in written


def test_the_secrets_did_reach_the_server(mirror: Mirror) -> None:
    """Otherwise the test above would say nothing."""
    assert {"url", "v2", "api", "artifactory"} <= mirror.heard

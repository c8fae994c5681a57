"""What tests of several parts share: a real S3 server, a proxy that spoils its answers, and a clean AWS environment."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.servers.fault_proxy import FaultProxy
from tests.servers.seaweed import ACCESS, SECRET, Seaweed, seaweed


@pytest.fixture(scope="session", autouse=True)
def hangups_count() -> Iterator[None]:
    """Whoever starts the tests under `nohup` would have every program of ours inherit that SIGHUP is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """SeaweedFS with an empty bucket `models`; tests keep to a prefix of their own."""
    with seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def proxy(s3_server: Seaweed) -> Iterator[FaultProxy]:
    """A proxy before the S3 server that does no harm until it is told to."""
    with FaultProxy(("127.0.0.1", s3_server.port)) as running:
        yield running


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No credentials, no region, no endpoint: whatever the machine has set."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    nowhere = tmp_path_factory.mktemp("no-aws")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nowhere / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(nowhere / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def aws(no_aws: None, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """The environment that leads `s3://` and `r2://` to the S3 server, through the proxy."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return proxy

"""The servers that tests of several sources share; each starts when it is first asked for."""

from collections.abc import Iterator

import pytest

from tests.servers.mlflow import MLflowServer, mlflow_server
from tests.servers.registry import Registry, registry


@pytest.fixture(scope="session")
def oci_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Distribution, empty at first; tests keep to repositories of their own."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowServer]:
    """MLflow, empty at first; tests register models of their own."""
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        yield running

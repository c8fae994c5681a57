"""Scanning bytes in the caller's own process: `modelaudit.inspect`. Apart from `api`, whose process parses nothing."""

from modelaudit.blob import BytesBlob
from modelaudit.engine import default_engine
from modelaudit.limits import Limits
from modelaudit.model import Inspection, WeightsMode


def inspect(
    data: bytes | bytearray | memoryview, *, limits: Limits | None = None, uri: str = "", weights: WeightsMode = "auto"
) -> Inspection:
    """Scan `data` here, without cage and timeout: for bytes that you hold and do not fear.

    `uri` is what locations begin with, `weights` whether tensors are read too.
    For anything
    hostile use `modelaudit.scan`.
    """
    return default_engine().inspect(BytesBlob(data), limits or Limits(), uri=uri, weights=weights)

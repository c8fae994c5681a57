"""What an earlier record depends on besides its object: the version of the rules, and what was asked for."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from modelaudit import __version__, catalogue
from modelaudit.limits import Limits

# Bounds that say how objects are read and records written, not what is found. All others shape the result.
_NO_RESULT: Final = frozenset(
    (
        "timeout_seconds",  # what took too long is tried again anyway
        "memfd_bytes",
        "large_objects",
        "in_flight_bytes",
        "read_deadline_seconds",
        "connect_timeout_seconds",
        "stall_timeout_seconds",
        "listing_deadline_seconds",
        "page_objects",
        "concurrency",
        "frame_bytes",
        "line_bytes",
        "max_file_bytes",
        "max_total_bytes",
    )
)


def rules_digest(limits: Limits, blacklist: Sequence[str], weights: str) -> bytes:
    """A digest of all that decides what is found in given bytes: this version, its catalogue, and these settings."""
    digest = blake2b(digest_size=16)
    folder = Path(catalogue.__file__).parent
    for path in sorted(folder.rglob("*.toml")):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(data)}\0".encode() + data)
    bounds = {name: getattr(limits, name) for name in Limits.__struct_fields__ if name not in _NO_RESULT}
    digest.update(msgspec.msgpack.encode([__version__, bounds, sorted(set(blacklist)), weights]))
    return digest.digest()


def job_digest(paths: Sequence[str], choice: Mapping[str, Sequence[str]]) -> bytes:
    """A digest of what is listed: the places, in any order, and the globs that choose among their objects."""
    chosen = sorted((name, sorted(globs)) for name, globs in choice.items())
    said = msgspec.msgpack.encode([sorted(path.encode("utf-8", "surrogateescape") for path in paths), chosen])
    return blake2b(said, digest_size=16).digest()

"""File descriptors: as many as the run needs, or no more objects at once than there are descriptors for."""

import resource
from typing import Final

import msgspec

from modelaudit.settings import Settings

_EACH: Final = 4  # of one object in flight: its spool twice, a connection, one to spare
_OTHERS: Final = 64  # workers, output, terminal, the event loop, certificates


def within(settings: Settings) -> Settings:
    """`settings` with a concurrency that the process has descriptors for; raises its soft limit where it may."""
    wanted = _OTHERS + _EACH * settings.limits.concurrency
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return settings
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed >= wanted:
        return settings
    fewer = max(1, (allowed - _OTHERS) // _EACH)
    notice = f"{allowed} file descriptors allow {fewer} objects at once, not {settings.limits.concurrency}: ulimit -n"
    limits = msgspec.structs.replace(settings.limits, concurrency=fewer)
    return msgspec.structs.replace(settings, limits=limits, notices=(*settings.notices, notice))

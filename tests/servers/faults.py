"""What the fault proxy is told to do, and what it has counted."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Fault:
    """What to do to the requests whose `METHOD /path?query` (percent-decoded) holds the pattern `match`.

    `delay`: pass it on after `seconds`. `answer`: answer `status`, `headers`, `body` at once. `cut`, `reset`,
    `stall`: pass on `after_bytes` of the answer's body, then close, reset, or say no more. `refuse`: reset at
    once. `strip`: drop the headers `names` and the signature (the server must allow that). `call`: run `call` in
    a thread, then pass it on. It happens to `times` requests (None: all) after the first `skip`, and to the
    given `share` of those.
    """

    act: Literal["delay", "answer", "cut", "reset", "stall", "refuse", "strip", "call"]
    match: str = ""
    times: int | None = 1
    skip: int = 0
    share: float = 1.0
    seconds: float = 0.0
    after_bytes: int = 0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    names: tuple[str, ...] = ()
    call: Callable[[], object] | None = None
    done: int = 0

    def takes(self, line: str, dice: random.Random) -> bool:
        """Whether the request `line` is one to be treated so; counts it."""
        if (self.times is not None and self.done >= self.times) or not re.search(self.match, line):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.share < 1 and dice.random() >= self.share:
            return False
        self.done += 1
        return True


def s3_error(status: int, code: str, match: str, times: int | None = 1, **more: object) -> Fault:
    """An S3 error document with `code`."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Fault("answer", match, times, status=status, body=body.encode(), **more)  # type: ignore[arg-type]


def slow_down(match: str, times: int | None = 1, **more: object) -> Fault:
    """503 SlowDown, as S3 sends it."""
    return s3_error(503, "SlowDown", match, times, **more)


@dataclass
class Counts:
    """What went through, by method. `body_bytes` are those of answers; `lines` are requests and their ranges."""

    requests: Counter[str] = field(default_factory=Counter)
    body_bytes: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    most_in_flight: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    connections: int = 0
    lines: list[tuple[str, str]] = field(default_factory=list)

    def begin(self, method: str) -> None:
        self.requests[method] += 1
        self.in_flight[method] += 1
        self.most_in_flight[method] = max(self.most_in_flight[method], self.in_flight[method])

    def as_json(self) -> bytes:
        return json.dumps(
            {
                "requests": self.requests,
                "body_bytes": self.body_bytes,
                "most_in_flight": self.most_in_flight,
                "connections": self.connections,
            }
        ).encode()

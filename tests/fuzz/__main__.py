"""`python -m tests.fuzz FORMAT`: mutate, check, and keep the input that breaks the contract."""

import argparse
import random
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from tempfile import gettempdir

from tests.fuzz.contract import Broken
from tests.fuzz.entries import TestOneInput, formats, target
from tests.fuzz.mutations import mutate
from tests.fuzz.seeds import seeds

_MEMORY_BYTES = 3 << 30  # of the process: what asks for more is a finding too
_MOST_BYTES = 256 << 10  # of one input
_SECONDS = 3.0  # of the processor, for an input of any size; each is scanned about a dozen times
_SECONDS_PER_BYTE = 100e-6


class TooSlow(BaseException):
    """An input took more of the processor than its size allows. No `Exception`, so that nothing swallows it."""


def _ring(*_: object) -> None:
    raise TooSlow


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("format", choices=[*formats(), "all"])
    parser.add_argument("corpus", nargs="*", type=Path, help="files, or folders of files, to start from as well")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="the same one gives the same inputs (default: 0)")
    parser.add_argument("--most", type=int, default=20, help="stop after so many failures (default: 20)")
    parser.add_argument("--out", type=Path, default=Path(gettempdir()) / "modelaudit-fuzz", help="where they are kept")
    parser.add_argument("--once", action="store_true", help="check the corpus as it is, once, and mutate nothing")
    return parser.parse_intermixed_args()


def _corpus(paths: list[Path]) -> list[bytes]:
    files = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [file.read_bytes()[:_MOST_BYTES] for file in files if file.is_file()]


def _inputs(known: list[bytes], seed: int) -> Iterator[bytes]:
    yield from known
    count = 0
    while True:
        chance = random.Random(f"{seed}/{count}")
        yield mutate(chance, chance.choice(known), known, _MOST_BYTES)
        count += 1


def _failure(check: TestOneInput, data: bytes) -> tuple[str, str] | None:
    """What went wrong, in one line that is the same for the same fault, and at length."""
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS + _SECONDS_PER_BYTE * len(data))
    try:
        check(data)
    except (Exception, TooSlow) as error:  # noqa: BLE001  # whatever it is, it is the finding
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = str(error) if isinstance(error, Broken) else f"{last.filename}:{last.lineno}"
        fault = (
            "too slow" if isinstance(error, TooSlow) else re.sub(r"\d+", "0", f"{type(error).__name__} {where}")[:60]
        )
        return fault, "".join(traceback.format_exception(error)[-14:])
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None


def _run(format_id: str, arguments: argparse.Namespace) -> int:
    """Fuzz one format; gives the number of different failures."""
    check = target(format_id)
    corpus = _corpus(arguments.corpus)
    known = corpus if arguments.once else seeds(format_id) + corpus
    met: set[str] = set()
    count, end = 0, time.monotonic() + arguments.seconds
    for data in known if arguments.once else _inputs(known, arguments.seed):
        if time.monotonic() > end or len(met) >= arguments.most:
            break
        count += 1
        failure = _failure(check, data)
        if failure is None or failure[0] in met:
            continue
        met.add(failure[0])
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.out / f"{format_id}-{blake2b(data, digest_size=6).hexdigest()}"
        path.write_bytes(data)
        print(f"{failure[1]}{path} ({len(data)} bytes, input {count})")
        print(f"again: python -m tests.fuzz {format_id} --once {path}", flush=True)
    print(f"{format_id}: {count} inputs, {len(met)} different failures", flush=True)
    return len(met)


def main() -> int:
    """Exit code 1 when anything failed."""
    arguments = _arguments()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    signal.signal(signal.SIGVTALRM, _ring)
    chosen = formats() if arguments.format == "all" else [arguments.format]
    return 1 if sum(_run(format_id, arguments) for format_id in chosen) else 0


if __name__ == "__main__":
    sys.exit(main())

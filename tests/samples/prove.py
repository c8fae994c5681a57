"""Load the twins of the hostile samples, to show that each technique really makes its call.

Run as a process of its own: `python -m tests.samples.prove`. For each sample it prints a line of JSON with
the id, whether the canary was called, and what was raised. Every twin is loaded in a forked child behind an
audit hook that refuses processes, sockets and writing. The hostile bytes themselves are never loaded.
"""

import atexit
import gc
import importlib
import importlib.util
import json
import os
import pickletools
import shutil
import signal
import sys
import tempfile
import threading
import time
import types
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import canary  # noqa: E402

from tests.samples import hostile  # noqa: E402
from tests.samples.loaders import LOADERS  # noqa: E402
from tests.samples.sample import Sample  # noqa: E402

SECONDS = 30  # for one twin; those of some megabytes take a second
REFUSED = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.kill", "os.remove", "os.rename")
REFUSED_PREFIXES = ("subprocess.", "socket.", "shutil.", "pty.", "webbrowser.", "ftplib.", "smtplib.", "urllib.")


def guard(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse what a harmless twin has no business doing."""
    writes = event == "open" and isinstance(arguments[1], str) and any(c in arguments[1] for c in "wax+")
    if event in REFUSED or event.startswith(REFUSED_PREFIXES) or writes:
        os.write(2, f'{{"id": "guard", "detail": "refused {event}"}}\n'.encode())
        os._exit(1)


def named(data: bytes) -> str:
    """Import what the first GLOBAL or STACK_GLOBAL names; empty when it is there."""
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("GLOBAL", "STACK_GLOBAL"):
            module, name = str(argument).split(" ") if opcode.name == "GLOBAL" else strings[-2:]
            found = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
            return ""
        if isinstance(argument, str):
            strings.append(argument)
    return "names nothing"


def load(sample: Sample) -> tuple[bool, str]:
    """Whether the technique works, and what was raised. Runs in the child."""
    data = sample.data if sample.loader == "named" else sample.twin
    detail = ""
    try:
        if sample.loader == "named":
            detail = named(data)
            return not detail, detail
        LOADERS[sample.loader](data)
    except BaseException as error:  # noqa: BLE001 - anything may come out of an attack; the marks decide
        detail = f"{type(error).__name__}: {error}"
    gc.collect()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(1)
    atexit._run_exitfuncs()
    for _ in range(100):  # threads that `threading` does not know
        if not canary.MARKS:
            time.sleep(0.01)
    return bool(canary.MARKS), detail


def prove(sample: Sample) -> None:
    """Fork, load, print a line."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        if status:
            print(json.dumps({"id": sample.id, "ok": False, "detail": f"the child ended with {status}"}), flush=True)
        return
    signal.alarm(SECONDS)
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.addaudithook(guard)
    ok, detail = load(sample)
    os.write(out, (json.dumps({"id": sample.id, "ok": ok, "detail": detail[:300]}) + "\n").encode())
    os._exit(0)


def prepare() -> None:
    """Import what opens files of its own, before the guard stands; put a stand-in where torch is not installed."""
    for name in ("numpy", "joblib", "dill", "cloudpickle", "lz4.frame", "zstandard", "concurrent.futures.thread"):
        importlib.import_module(name)
    if importlib.util.find_spec("torch") is None:
        torch, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")
        torch.FloatStorage = torch.FloatTensor = float  # type: ignore[attr-defined]
        inner._rebuild_tensor_v2 = lambda *parts: {}  # type: ignore[attr-defined]
        sys.modules.update({"torch": torch, "torch._utils": inner})


def main() -> None:
    """Prove every sample that has a loader, or those whose ids contain one of the arguments."""
    prepare()
    folder = tempfile.mkdtemp()  # not a TemporaryDirectory: its finalizer would run in each child
    os.chdir(folder)
    for sample in hostile():
        if sample.loader and (len(sys.argv) < 2 or any(word in sample.id for word in sys.argv[1:])):
            prove(sample)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

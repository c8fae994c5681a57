"""Whole processes, measured from outside: wall, CPU and memory, in turn, with medians, verdicts and JSON."""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.places import RESULTS, WORK

KIB = 1024
MIB = 1024 * KIB
_SAMPLE_SECONDS = 0.01
_PATIENCE_SECONDS = 1800.0  # a run that takes longer is killed and counts as failed
_SLOW_SECONDS = 5.0  # a command this slow is run twice at most: its spread is small, and the machine is shared


@dataclass(frozen=True, slots=True)
class Usage:
    """One run of one command. CPU times include every child that was waited for; memory is bytes.

    `peak_bytes` is the largest single process; `first_seconds` the time to the first `file` record.
    """

    wall_seconds: float
    user_seconds: float
    system_seconds: float
    peak_bytes: int
    code: int
    first_seconds: float | None = None

    @property
    def cpu_seconds(self) -> float:
        return self.user_seconds + self.system_seconds


@dataclass(frozen=True, slots=True)
class Memory:
    """Peaks of one run, in bytes: the first process, and the worst of its descendants.

    `private` leaves out mapped files and shared memory: what the process itself has allocated.
    """

    root: int
    root_private: int
    worker: int
    worker_private: int
    usage: Usage


def environment(**extra: str) -> dict[str, str]:
    """A small, equal environment for every program: no caches of the user, nothing phones home."""
    home = WORK / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", **extra}


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `output` is where its standard output goes."""

    words: Sequence[str]
    env: Mapping[str, str] = field(default_factory=environment)
    cwd: Path = WORK

    @property
    def output(self) -> Path:
        return WORK / f"{Path(self.words[0]).parent.parent.name}-{Path(self.words[0]).name}.out"


def ours(*words: str, **extra: str) -> Command:
    """Our command as installed in the interpreter that runs the benchmark, from a folder that is not the source."""
    script = Path(sys.executable).with_name("modelaudit")
    start = [str(script)] if script.exists() else [sys.executable, "-m", "modelaudit"]
    return Command([*start, *words], environment(**extra))


def run(command: Command, *, watch_first: bool = False, on_start: Callable[[int], None] | None = None) -> Usage:
    """Run `command` to its end and say what it took."""
    command.output.parent.mkdir(parents=True, exist_ok=True)
    with command.output.open("wb") as output, (WORK / "errors.out").open("wb") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.words,
            env=dict(command.env),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if watch_first else output,
            stderr=errors,
        )
        timer = threading.Timer(_PATIENCE_SECONDS, process.kill)
        timer.start()
        if on_start is not None:
            on_start(process.pid)
        first = None
        if process.stdout is not None:
            for line in process.stdout:
                if first is None and b'"type":"file"' in line:
                    first = time.perf_counter() - started
                output.write(line)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.stdout is not None:
            process.stdout.close()
    return Usage(wall, used.ru_utime, used.ru_stime, used.ru_maxrss * KIB, process.returncode, first)


def in_turn(commands: Mapping[str, Command], runs: int, *, watch_first: str = "") -> dict[str, list[Usage]]:
    """Run the commands A B A B …, so that a busy machine disturbs all of them alike."""
    taken: dict[str, list[Usage]] = {name: [] for name in commands}
    for number in range(runs):
        for name, command in commands.items():
            if number >= 2 and taken[name][0].wall_seconds > _SLOW_SECONDS:
                continue
            taken[name].append(run(command, watch_first=name == watch_first))
    return taken


def median(runs: Sequence[Usage]) -> Usage:
    """The middle of each figure by itself."""
    firsts = [one.first_seconds for one in runs if one.first_seconds is not None]
    return Usage(
        statistics.median(one.wall_seconds for one in runs),
        statistics.median(one.user_seconds for one in runs),
        statistics.median(one.system_seconds for one in runs),
        int(statistics.median(one.peak_bytes for one in runs)),
        max(one.code for one in runs),
        statistics.median(firsts) if firsts else None,
    )


class _Sampler:
    """Reads /proc of a process and its descendants until they are gone."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.peaks: dict[int, tuple[int, int]] = {}
        self.root = 0

    def start(self, root: int) -> None:
        self.root = root
        self._thread = threading.Thread(target=self._loop, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        while not self._stop.is_set():
            for process in [self.root, *_descendants(self.root)]:
                high, private = _memory(process)
                before = self.peaks.get(process, (0, 0))
                self.peaks[process] = (max(before[0], high), max(before[1], private))
            time.sleep(_SAMPLE_SECONDS)


def _descendants(process: int) -> Iterator[int]:
    for listed in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = [int(word) for word in listed.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from _descendants(child)


def _memory(process: int) -> tuple[int, int]:
    """(highest resident bytes so far, private resident bytes now); zeros when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    values = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
    high = int(values.get("VmHWM", "0 kB").split()[0]) * KIB
    return high, int(values.get("RssAnon", "0 kB").split()[0]) * KIB


def memory(command: Command) -> Memory:
    """Run `command` once more, with its memory sampled every 10 ms (so its times are not to be used)."""
    sampler = _Sampler()
    used = run(command, on_start=sampler.start)
    sampler.stop()
    root = sampler.peaks.get(sampler.root, (0, 0))
    others = [peak for process, peak in sampler.peaks.items() if process != sampler.root]
    worker = max((peak[0] for peak in others), default=root[0])
    private = max((peak[1] for peak in others), default=root[1])
    return Memory(root[0], root[1], worker, private, used)


def warm(path: Path) -> None:
    """Read `path` once, piece by piece, so that no program is the first to pull it from disk."""
    with path.open("rb", buffering=0) as file:
        while file.read(MIB):
            pass


def records(output: Path) -> list[dict[str, Any]]:
    """The `file` records of an NDJSON output."""
    with output.open("rb") as lines:
        found = [json.loads(line) for line in lines]
    return [record for record in found if record["type"] == "file"]


class Report:
    """What a benchmark prints and keeps: rows of figures, and verdicts against the targets."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, Any]] = []
        print(f"# {name}: {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")

    def heading(self, text: str) -> None:
        print(f"\n{text}\n  {'':32s} {'wall s':>9s} {'user s':>8s} {'sys s':>7s} {'peak MiB':>9s} {'first s':>8s}")

    def usage(self, case: str, who: str, used: Usage, note: str = "") -> None:
        """One row of the table: `who` on `case`."""
        first = "" if used.first_seconds is None else f"{used.first_seconds:8.3f}"
        print(
            f"  {who:32s} {used.wall_seconds:9.3f} {used.user_seconds:8.3f} {used.system_seconds:7.3f}"
            f" {used.peak_bytes / MIB:9.0f} {first:>8s}  {note}",
            flush=True,
        )
        self.rows.append({"case": case, "who": who, **asdict(used), "note": note})

    def note(self, text: str) -> None:
        print(f"  {text}", flush=True)
        self.rows.append({"note": text})

    def verdict(self, what: str, value: float, target: float, *, least: bool, unit: str = "") -> None:
        """PASS when `value` is at least (or at most) `target`."""
        passed = value >= target if least else value <= target
        sign = "≥" if least else "≤"
        word = "PASS" if passed else "FAIL"
        print(f"  {word}  {what}: {value:.3g}{unit} (target {sign} {target:g}{unit})", flush=True)
        self.verdicts.append({"what": what, "value": value, "target": f"{sign}{target:g}{unit}", "passed": passed})

    def true(self, what: str, passed: bool, said: str = "") -> None:
        """PASS when `passed`; for what has no number."""
        print(f"  {'PASS' if passed else 'FAIL'}  {what}{': ' + said if said else ''}", flush=True)
        self.verdicts.append({"what": what, "value": said, "target": "true", "passed": passed})

    def finish(self) -> int:
        """Write the JSON, print the sum; the exit code."""
        failed = [verdict["what"] for verdict in self.verdicts if not verdict["passed"]]
        document = {
            "benchmark": self.name,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
            "load": os.getloadavg(),
            "rows": self.rows,
            "verdicts": self.verdicts,
        }
        RESULTS.mkdir(parents=True, exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(document, indent=1) + "\n")
        print(f"\n{len(self.verdicts) - len(failed)} of {len(self.verdicts)} targets reached; figures in {path}")
        return 1 if failed else 0


def arguments(question: str, runs: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("--runs", type=int, default=runs, help=f"runs of each command, in turn (default {runs})")
    parser.add_argument("--quick", action="store_true", help="a smaller corpus and one run: is it all still working?")
    return parser

"""The cage of a worker: what a process that parses hostile bytes must not be able to do.

Walls, each used where the kernel gives it: rlimits (memory, files, core), no new privileges, dropped root,
namespaces (no network devices), Landlock (no path, no TCP) and seccomp (only the system calls that a
computing process needs; no socket, exec, fork, signal or executable memory). Pure ctypes; about a
millisecond. See landlock(7), seccomp(2), setrlimit(2).
"""

import ctypes
import errno
import os
import resource
import struct
import sys
from collections.abc import Callable

from modelaudit.workers import syscalls
from modelaudit.workers.wire import Ability

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 4, 38, 22
_SECCOMP_MODE_FILTER = 2
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
_NOBODY = 65534
_SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: object) -> int:
    """The raw call's result. Raises `OSError` with the call's errno."""
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *words) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _rlimits(memory_bytes: int) -> str:
    # RLIMIT_DATA counts private writable memory only (Linux 4.7), so that mapping a large file costs nothing.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    return f"private memory {memory_bytes >> 20} MiB, no file growth, no core dump, 64 descriptors"


def _no_new_privileges() -> str:
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    return "set-uid programs and file capabilities give nothing"


def _namespaces() -> str:
    flags = _CLONE_NEWNET | _CLONE_NEWIPC
    if os.geteuid() != 0:
        flags |= _CLONE_NEWUSER
    if _libc.unshare(flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return "own network and IPC namespaces without any device"


def _drop_root() -> str:
    if os.geteuid() != 0:
        return "not started as root"
    os.setgroups([])
    os.setresgid(_NOBODY, _NOBODY, _NOBODY)
    os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    return "root given up for nobody"


def _die_with_parent() -> str:
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)  # after the change of user, which clears it
    return "killed when the parent dies; not traceable by its user"


def _landlock() -> str:
    version = _syscall(syscalls.LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    paths = (1 << 13) - 1
    if version >= 2:
        paths |= 1 << 13  # refer
    if version >= 3:
        paths |= 1 << 14  # truncate
    if version >= 5:
        paths |= 1 << 15  # ioctl on devices
    attributes = struct.pack("<Q", paths)
    if version >= 4:
        attributes += struct.pack("<Q", 0b11)  # bind and connect TCP
    if version >= 6:
        attributes += struct.pack("<Q", 0b11)  # abstract Unix sockets, signals
    ruleset = _syscall(
        syscalls.LANDLOCK_CREATE_RULESET,
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
        ctypes.c_uint(0),
    )
    try:
        _syscall(syscalls.LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)
    return f"no path may be opened, listed or changed (ABI {version})"


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _seccomp() -> str:
    machine = os.uname().machine
    code = syscalls.filter_program(machine)
    if code is None:
        raise OSError(errno.ENOSYS, f"no system call table for {machine}")
    program = _FilterProgram(len(code) // 8, code)
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return "only computing, its descriptors and memory; no socket, exec, fork, signal, executable memory"


def enter(memory_bytes: int) -> tuple[Ability, ...]:
    """Close the cage around this process, for ever. Everything must be imported before.

    A wall that the kernel does not give is reported as not ready; it is for the caller to say so.
    """
    walls: list[tuple[str, Callable[[], str]]] = [
        ("namespaces", _namespaces),
        ("unprivileged", _drop_root),
        ("dies_with_parent", _die_with_parent),
        ("no_new_privileges", _no_new_privileges),
        ("rlimits", lambda: _rlimits(memory_bytes)),
        ("landlock", _landlock),
        ("seccomp", _seccomp),
    ]
    abilities = []
    for name, close in walls:
        try:
            abilities.append(Ability(name, True, close()))
        except (OSError, ValueError) as error:
            abilities.append(Ability(name, False, str(error)))
    return tuple(abilities)


def abilities() -> list[Ability]:
    """What the cage can do on this kernel, tried in a process of its own. For `modelaudit doctor`."""
    import json
    import subprocess

    program = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from modelaudit.limits import Limits;"
        "from modelaudit.workers import cage; memory = Limits().worker_memory_bytes;"
        "print(json.dumps([[a.name, a.ready, a.detail] for a in cage.enter(memory)]))"
    )
    done = subprocess.run(  # noqa: S603  our own interpreter and program text
        [sys.executable, "-I", "-c", program, json.dumps([entry for entry in sys.path if entry])],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode != 0:
        return [Ability("cage", False, done.stderr.strip().splitlines()[-1] if done.stderr else "it did not start")]
    return [Ability(*entry) for entry in json.loads(done.stdout)]

"""The system calls a caged worker may make, and the seccomp filter that allows no other.

An allow list: what a computing process needs for memory, time and the descriptors that it was given.
Numbers are the kernel's own (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
"""

import struct

LANDLOCK_CREATE_RULESET = 444  # the same on every architecture
LANDLOCK_RESTRICT_SELF = 446

_ALLOWED = {
    # name: (x86_64, aarch64)
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),  # what newer C libraries make of fstat; can tell that a path exists, nothing more
    "poll": (7, None),
    "ppoll": (271, 73),
    "lseek": (8, 62),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "fcntl": (72, 25),
    "dup": (32, 23),
    "recvmsg": (47, 212),
    "sendmsg": (46, 211),
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "futex": (202, 98),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getrusage": (98, 165),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_NOT_EXECUTABLE = {"mmap": (9, 222), "mprotect": (10, 226)}  # allowed unless PROT_EXEC is asked for

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD_WORD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _THIRD_ARGUMENT_AT = 0, 4, 32
_ALLOW, _KILL_PROCESS, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050001  # refuse: errno EPERM
_PROT_EXEC = 4


def _step(code: int, constant: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, constant)


def filter_program(machine: str) -> bytes | None:
    """The classic BPF program for `machine` (as `platform.machine()` names it), or None if it has no table.

    A call from another architecture kills the process; any call that is not listed gets EPERM.
    """
    if machine not in _MACHINES:
        return None
    column, architecture = _MACHINES[machine]
    steps = [
        _step(_LOAD_WORD, _ARCHITECTURE_AT),
        _step(_JUMP_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD_WORD, _NUMBER_AT),
    ]
    for numbers in _NOT_EXECUTABLE.values():
        steps += [
            _step(_JUMP_EQUAL, numbers[column], 0, 4),
            _step(_LOAD_WORD, _THIRD_ARGUMENT_AT),
            _step(_JUMP_ANY_BIT, _PROT_EXEC, 0, 1),
            _step(_RETURN, _REFUSE),
            _step(_RETURN, _ALLOW),
        ]
    for allowed in _ALLOWED.values():
        number = allowed[column]
        if number is not None:
            steps += [_step(_JUMP_EQUAL, number, 0, 1), _step(_RETURN, _ALLOW)]
    steps.append(_step(_RETURN, _REFUSE))
    return b"".join(steps)

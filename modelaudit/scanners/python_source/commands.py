"""What a command line does: text that is run by a shell, or a list of a program and its arguments."""

import ast
import re
from collections.abc import Sequence
from typing import Final, Literal

from modelaudit.late import late

Command = Literal["hostile", "install", "harmless", "unknown"]

# Fetch and run, reverse shells, decoded scripts, what is left behind to start again, what is destroyed.
_HOSTILE: Final = late(
    r"\b(?:curl|wget|fetch)\b[^|;&\n]{0,400}[|;&]+\s*(?:sudo\s+)?(?:ba|z|da|k)?sh\b|\b(?:curl|wget)\b.{0,400}\bchmod\b"
    r"|/dev/(?:tcp|udp)/|\bn(?:c|cat|etcat)\b(?:\.\w+)?\s.{0,80}\s-\w*e\b|\b(?:ba)?sh\s+-i\b|\bmkfifo\b"
    r"|\bbase64\s+(?:-d|-D|--decode)\b.{0,80}\|\s*(?:ba|z)?sh|\|\s*(?:sudo\s+)?(?:ba|z)?sh\s*(?:$|[\"';&-])"
    r"|\brm\s+-\w*[rf]\w*\s+(?:--no-preserve-root\s+)?[/~](?:\s|\*|$)|\bcrontab\s+-|authorized_keys|/etc/(?:shadow|cron|sudoers)"
    r"|\bpowershell(?:\.exe)?\b.{0,200}-(?:e|enc|encodedcommand|w\s+hidden|windowstyle)\b|\bcertutil\b.{0,80}-urlcache"
    r"|\bpython[\d.]*\s+-c\b.{0,200}\b(?:socket|exec|b64decode|urlopen)\b|\bmshta\b|\bregsvr32\b|:\(\)\s*\{"
    r"|\b(?:curl|wget)\b.{0,200}(?:--data|\s-d\s|--post|-F\s|\s-T\s).{0,200}(?:\$\(|`|@/|/etc/|\.ssh|\.aws)",
    re.IGNORECASE | re.DOTALL,
)
_INSTALL: Final = late(
    r"\b(?:pip3?|conda|mamba|uv|apt|apt-get|brew|npm|yum)\b.{0,40}\b(?:install|add)\b|\bsetup\.py\b.{0,40}\b(?:install|develop|build)",
    re.DOTALL,
)
# Programs that tell something about the hardware, the compiler or the source, and change nothing. None that stands in
# for an attack where one is shown: echo, id, whoami.
_HARMLESS: Final = frozenset(
    ("amd-smi", "arch", "c++", "cc", "cl", "clang", "diskutil", "dpkg", "dpkg-query", "ffmpeg", "ffprobe", "free",
     "g++", "gcc", "getconf", "git", "hipcc", "hipconfig", "hl-smi", "hy-smi", "icpx", "ldconfig", "ldd",
     "lsb_release", "lsblk", "lscpu", "lspci", "ninja", "nm", "nproc", "npu-smi", "numactl", "nvcc", "nvidia-smi",
     "objdump", "rocm-smi", "rocm_agent_enumerator", "rocminfo", "sox", "stty", "sw_vers", "sysctl",
     "system_profiler", "tput", "where", "which", "wmic", "xpu-smi")
)  # fmt: skip
# Asked of a program by its bare name, and nothing else: whether it is there.
_ASKS: Final = frozenset(("--version", "-version", "-V", "--help"))
_BARE: Final = late(r"[\w+-][\w.+-]*")
_SHELL_MARK: Final = late(r"[|;&`><]|\$\(")


# Programs that run what they are told.
_RUNNERS: Final = late(
    r"(?:ba|z|da|k|c|tc|fi)?sh|cmd|powershell|pwsh|wscript|cscript|mshta|rundll32|regsvr32|python[\d.]*w?|pypy[\d.]*|perl|ruby"
    r"|node|deno|bun|php|lua|osascript|awk|gawk|sed|env|sudo|doas|su|xargs|nohup|setsid|timeout|nice|exec|eval|ssh|docker"
    r"|podman|kubectl|start|open|make|java|go|cargo|npx|uvx|pipx|busybox|gdb|find|tar|git|ffmpeg"
)


def is_plain_program(call: ast.AST) -> bool:
    """Whether `call` gives a list that begins with the constant name of a program which runs nothing that it is told,
    and no shell sees it: `["curl", "-o", file, url]`. Where the address comes from makes no command of it.
    """
    if not isinstance(call, ast.Call) or not call.args or not isinstance(call.args[0], ast.List | ast.Tuple):
        return False
    if any(word.arg in ("shell", "executable", "args", None) for word in call.keywords) or not call.args[0].elts:
        return False
    first = call.args[0].elts[0]
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str) or not _BARE.fullmatch(first.value):
        return False
    return _RUNNERS.fullmatch(first.value.lower().removesuffix(".exe")) is None


def judge(command: str | Sequence[object]) -> Command:
    """What `command` does, as far as its constants tell."""
    if isinstance(command, str):
        words, text = command.split(), command
    else:
        words = [word for word in command if isinstance(word, str)]
        text = " ".join(words)
    if _HOSTILE.search(text):
        return "hostile"
    if _INSTALL.search(text):
        return "install"
    if not words:
        return "unknown"
    whole = isinstance(command, str) or len(command) == len(words)
    if whole and len(words) == 2 and words[1] in _ASKS and _BARE.fullmatch(words[0]):
        return "harmless"
    program = words[0].replace("\\", "/").rpartition("/")[2].lower().removesuffix(".exe")
    shell = isinstance(command, str) and _SHELL_MARK.search(
        command.replace("2>&1", "").replace("2>/dev/null", "").replace("&&", "")
    )
    return "harmless" if program in _HARMLESS and not shell else "unknown"

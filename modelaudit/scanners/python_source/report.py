"""The findings of one source: each call judged by what it does, when it does it, and with what."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from modelaudit.late import late
from modelaudit.model import Child, Evidence, Hit, Severity
from modelaudit.parsers.python_source import Act, Program
from modelaudit.parsers.python_source.meanings import Constant, Path
from modelaudit.scanners.python_source import commands
from modelaudit.scanners.python_source.effects import effect

_WHEN: Final = {
    "import": "when the file is imported",
    "model": "when the model is made or used",
    "loading": "when an object is made or used",
    "script": "when the file is run as a program",
    "call": "when the function is called",
}
_SHOWN_CHARS: Final = 120
_TEXTS: Final = 50  # texts that one source runs and that are scanned as source themselves
_EACH: Final = 20  # hits of one rule in one source
# Files that start programs or let people in when they are written, and those that hold secrets.
_RUN: Final = frozenset(("builtins.exec", "builtins.eval", "builtins.execfile"))
_STARTUP: Final = late(
    r"authorized_keys|\.(?:bashrc|bash_profile|profile|zshrc|zprofile)$|/etc/(?:cron|passwd|shadow|sudoers"
    r"|ld\.so\.preload|profile|systemd|init\.d|rc\.local)|/var/spool/cron|LaunchAgents|LaunchDaemons"
    r"|Start Menu.*Startup|sitecustomize\.py|usercustomize\.py"
    r"|site-packages/.*\.pth$"
)
_SECRET: Final = late(
    r"\.ssh/(?:id_|config)|\bid_(?:rsa|ed25519|ecdsa)\b|\.aws/credentials|/etc/shadow|\.kube/config"
    r"|\.docker/config\.json"
    r"|\.netrc|\.git-credentials|/proc/self/environ|Login Data|cookies\.sqlite|wallet\.dat|\.config/gcloud"
    r"|/etc/passwd"
)
# What a server answered, and not the connection or the name of a file that was fetched.
_ANSWER: Final = late(r"\.(?:text|content|(?:read|json|recv|recvfrom|decode)\(\))")
_ELSEWHERE: Final = late(
    r"^(?:/tmp/|/var/tmp/|/dev/shm/|/run/user/|https?://|ftp://)|^[\w./\\-]+\.(?:txt|dat|bin|log|png|jpe?g|gif|pkl|npy|bak)$"
)
_DOTTED: Final = late(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){0,20}", re.ASCII)
_WRITES: Final = late(r"[wax+]")
_MEMORY: Final = frozenset(("process", "execute", "load", "network", "memory"))


class Report:
    """Walks the calls of one program once."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._told: dict[str, set[str]] = {}
        self._texts = 0
        self._names: dict[str, set[str]] = {}

    def items(self) -> Iterator[Hit | Child]:
        """Everything that is worth saying, each rule and name once."""
        for act in self._program.acts():
            for item in self._judged(act):
                if isinstance(item, Child):
                    yield item
                    continue
                told = self._told.setdefault(item.rule, set())
                name = f"{item.evidence.get('name')}{item.severity}"
                if name not in told and len(told) < _EACH:
                    told.add(name)
                    yield item
        yield from self._shells()

    def _judged(self, act: Act) -> Iterator[Hit | Child]:
        name = act.path.name
        what = effect(name)
        if name in ("os.dup2", "socket.socket", "socket.create_connection") or what == "process":
            self._names.setdefault(act.within, set()).add(name)
        if not what:
            return
        if what == "escape":
            yield self._hit("python-source-hidden-call", act)
        elif what == "unknown":
            if act.when in ("import", "model") and not act.given:
                yield self._hit("python-source-hidden-call", act, Severity.WARNING)
        elif act.given == "__reduce__" and what in _MEMORY:
            yield self._hit("python-source-reduce", act)
        elif act.path.hidden and what in _MEMORY:
            yield self._hit("python-source-hidden-call", act)
        elif what == "process":
            yield from self._process(act)
        elif what in ("execute", "load"):
            yield from self._execute(act)
        elif what == "network":
            yield from self._network(act)
        elif what == "open":
            yield from self._open(act)
        elif what == "memory" and (name != "mmap.mmap" or self._executable(act)):
            yield self._hit("python-source-shellcode", act)
        if act.path.hidden and what == "execute":
            yield from self._text(act)

    def _hit(self, rule: str, act: Act, severity: Severity | None = None, **more: str) -> Hit:
        within = act.within or "the module itself"
        evidence: Evidence = {"name": _shown(act.path.name), "within": within, "when": _WHEN[act.when], **more}
        return Hit(rule, act.offset, evidence, severity)

    # --- programs -----------------------------------------------------------------------------------------------

    def _process(self, act: Act) -> Iterator[Hit | Child]:
        command, text = self._command(act)
        if command == "hostile":
            yield self._hit("python-source-command", act, text=text)
        elif command == "install":
            grade = Severity.WARNING if act.when in ("import", "model") else None
            yield self._hit("python-source-install", act, grade, text=text)
        elif self._is_foreign(act):
            yield self._hit("python-source-command", act, text="a command that is decoded or fetched")
        elif command == "harmless" and not _SECRET.search(text):
            return
        elif act.when in ("import", "model"):
            # Another script of the same folder, which is scanned as well.
            python = any(source == Path("sys.executable") for source in self._program.sources(act))
            yield self._hit("python-source-process", act, Severity.WARNING if python else None, text=text)
        else:
            yield self._hit("python-source-process-later", act, text=text)
        yield from self._inline(act)

    def _is_foreign(self, act: Act) -> bool:
        """Whether what is run was decoded, or came from a server: not where a program that is named is only told so."""
        taints = self._tainted(act) & {"decoded", "network"}
        return bool(taints) and not (taints == {"network"} and commands.is_plain_program(act.node))

    def _inline(self, act: Act) -> Iterator[Child]:
        """`python -c` and its text."""
        for constant in self._program.constants(act):
            words = constant.value if isinstance(constant.value, list) else []
            for flag, text in pairwise(words):
                if (
                    flag == "-c"
                    and isinstance(text, str)
                    and self._texts < _TEXTS
                    and _parses(text.encode("utf-8", "replace"))
                ):
                    self._texts += 1
                    yield Child(
                        f"text run at {act.offset}", data=text.encode("utf-8", "replace"), format="python_source"
                    )

    def _command(self, act: Act) -> tuple[str, str]:
        """How the worst of the constant commands is judged, and its text."""
        judged, shown = "install" if act.path.name.startswith("pip.") else "unknown", ""
        for constant in self._program.constants(act):
            value = constant.value
            if isinstance(value, str | list):
                one = judged if judged == "install" else commands.judge(value)
                text = value if isinstance(value, str) else " ".join(str(word) for word in value)
                if not shown or one == "hostile":
                    judged, shown = one, _shown(text)
        return judged, shown

    def _tainted(self, act: Act) -> set[str]:
        """Where what the call is given comes from."""
        taints: set[str] = set()
        for source in self._program.sources(act):
            if isinstance(source, Constant):
                if source.decoded and not (effect(act.path.name) == "execute" and _names_only(source.value)):
                    taints.add("decoded")
                if isinstance(source.value, str) and _SECRET.search(source.value):
                    taints.add("secret")
            else:
                taints.add(_taint(source))
        return taints

    # --- text that is run ---------------------------------------------------------------------------------------

    def _execute(self, act: Act) -> Iterator[Hit | Child]:
        name = act.path.name
        if act.given or name in ("types.CodeType", "builtins.compile"):
            return
        taints = self._tainted(act)
        loads = effect(name) == "load"
        if "marshalled" in taints and act.when != "call":
            taints.add("decoded")
        if taints & {"decoded", "network"} and not (loads and self._ordinary_load(act, taints)):
            yield self._hit("python-source-decoded-code", act)
        elif not loads and self._unread(act, taints):
            yield self._hit("python-source-dynamic-code", act)
        if loads:
            yield from self._loaded(act)
        else:
            yield from self._text(act)

    def _ordinary_load(self, act: Act, taints: set[str]) -> bool:
        """Libraries unpack what other processes of theirs have packed; nobody unpacks a constant."""
        constant = any(isinstance(c.value, bytes) and c.value for c in self._program.constants(act))
        return act.when != "import" and not constant and "network" not in taints

    def _unread(self, act: Act, taints: set[str]) -> bool:
        """Whether what runs unasked is neither in the source nor in another file of it."""
        if act.when == "import" and act.path.name in _RUN and "file" not in taints and not self._constant(act):
            return True
        return act.when in ("import", "model") and self._elsewhere(act)

    def _elsewhere(self, act: Act) -> bool:
        """Whether what is run lies where any program may have put it, or is no Python by its name."""
        texts = (each.value for each in self._program.sources(act) if isinstance(each, Constant))
        return any(isinstance(text, str) and _ELSEWHERE.search(text) for text in texts)

    def _loaded(self, act: Act) -> Iterator[Child]:
        """The bytes or text that a loader of objects is given, as a file of its own."""
        for constant in self._program.constants(act):
            value = constant.value
            data = value.encode("utf-8", "replace") if isinstance(value, str) else value
            if isinstance(data, bytes) and data and self._texts < _TEXTS:
                self._texts += 1
                form = "pickle" if "pickle." in act.path.name else None
                yield Child(f"text loaded at {act.offset}", data=data, format=form)

    def _executable(self, act: Act) -> bool:
        """Whether memory is mapped so that it can be executed (the bit 4 of `prot`)."""
        protection = self._program.named(act, "prot")
        return (isinstance(protection, int) and bool(protection & 4)) or Path("mmap.PROT_EXEC") in list(
            self._program.sources(act)
        )

    def _constant(self, act: Act) -> bool:
        return any(isinstance(each.value, str | bytes) for each in self._program.constants(act))

    def _text(self, act: Act) -> Iterator[Child]:
        """The text that is run, as a source of its own."""
        for source in self._program.sources(act):
            if not isinstance(source, Constant) or not isinstance(source.value, str | bytes) or self._texts >= _TEXTS:
                continue
            value = source.value.encode("utf-8", "replace") if isinstance(source.value, str) else source.value
            if b"(" in value and _parses(value):
                self._texts += 1
                yield Child(f"text run at {act.offset}", data=value.strip(), format="python_source")

    # --- network and files --------------------------------------------------------------------------------------

    def _network(self, act: Act) -> Iterator[Hit]:
        taints = self._tainted(act)
        if taints & {"secret", "environment"} or ("output" in taints and act.when in ("import", "model")):
            yield self._hit("python-source-exfiltration", act)
        elif act.when == "import":
            yield self._hit("python-source-network", act)

    def _open(self, act: Act) -> Iterator[Hit]:
        texts = [c.value for c in self._program.sources(act) if isinstance(c, Constant) and isinstance(c.value, str)]
        mode = self._program.named(act, "mode")
        modes = [text for text in (*texts, mode) if isinstance(text, str) and len(text) <= 3]
        writes = "write" in act.path.name or "copy" in act.path.name or any(_WRITES.search(text) for text in modes)
        for text in texts:
            if writes and _STARTUP.search(text):
                yield self._hit("python-source-startup-file", act, text=_shown(text))
            elif not writes and _SECRET.search(text) and not text.endswith((".netrc", "/etc/passwd")):
                yield self._hit("python-source-secret", act, text=_shown(text))

    def _shells(self) -> Iterator[Hit]:
        """A socket whose descriptor becomes the standard input of a shell."""
        for within, names in self._names.items():
            sockets = names & {"socket.socket", "socket.create_connection"}
            if sockets and "os.dup2" in names and len(names) > len(sockets) + 1:
                evidence: Evidence = {"name": "socket, dup2", "within": within or "the module itself"}
                yield Hit("python-source-reverse-shell", None, evidence)


def _names_only(text: object) -> bool:
    """Whether running any of these does nothing: a dotted name is looked up, and only Python's own lead to code."""
    if isinstance(text, list):
        return all(isinstance(item, str) and _names_only(item) for item in text)
    return isinstance(text, str) and "__" not in text and _DOTTED.fullmatch(text) is not None


def _taint(source: Path) -> str:
    head = source.name.partition("()")[0]
    what = effect(head) or effect(f"{head}()")
    if source.name == "os.environ" or head in ("os.environ.items", "os.environ.copy"):
        return "environment"
    if head == "builtins.chr":  # text made of numbers
        return "decoded"
    if "()" not in source.name:
        return ""
    if what == "process":
        return "output"
    longest = source.name.rpartition("()")[0]
    kinds = {what, effect(longest)}
    if "marshal.load" in source.name:
        return "marshalled"
    if "decode" in kinds:
        return "decoded"
    if "network" in kinds and _ANSWER.search(source.name):
        return "network"
    return "file" if "open" in kinds or source.name.endswith(("read()", "read_text()")) else ""


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _parses(value: bytes) -> bool:
    """Whether the text is Python at all: what is not cannot be run."""
    try:
        ast.parse(value.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True

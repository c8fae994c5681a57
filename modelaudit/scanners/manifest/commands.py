"""Values of a configuration that are no settings: commands, code, templates that reach out, addresses that collect."""

import re
from itertools import islice
from typing import NamedTuple

from modelaudit.late import late
from modelaudit.model import Severity


class Suspect(NamedTuple):
    """What a value holds. `excerpt` is the part that tells; `rule` and `severity` what becomes of it."""

    rule: str
    what: str
    excerpt: str
    severity: Severity | None = None


_SHELL = late(
    r"/dev/(?:tcp|udp)/[\w.$]|\b(?:nc|ncat|netcat)\b(?:\s+-\w+){0,4}\s+-\w*[ec]\w*\s+\S*(?:sh|bash|cmd)\b"
    r"|\bbash\s+-i\s*>&|\bsocat\b.{0,80}\bexec:"
    r"|\bpowershell(?:\.exe)?\b.{0,80}-e(?:nc|ncodedcommand)?\s+[A-Za-z0-9+/=]{16}"
    r"|\bsocket\.socket\(.{0,200}(?:dup2|pty\.spawn|/bin/(?:ba)?sh)|\bmkfifo\b.{0,80}\|\s*(?:/bin/)?(?:ba)?sh\b",
    re.IGNORECASE | re.DOTALL,
)
_COMMAND = late(
    r"\b(?:curl|wget)\b[^|;\n]{0,300}\|\s*(?:sudo\s+)?(?:/\w+/)*(?:ba|z|da)?sh\b|\b(?:curl|wget)\b[^"
    r"|\n]{0,300}\|\s*(?:sudo\s+)?python[\d.]*\b"
    r"|\b(?:curl|wget)\b[^\n]{0,300}(?:&&|;)\s*(?:chmod\s+\+?[0-7x]+\s|(?:ba)?sh\s)"
    r"|\bbase64\s+(?:-d|--decode|-D)\b[^\n]{0,100}\|\s*(?:ba)?sh\b|\brm\s+-(?:rf|fr|r\s+-f)\s+(?:/|~|\$HOME)(?:\s|\*|$)"
    r"|\b(?:sh|bash|zsh|cmd(?:\.exe)?)\s+(?:-c|/c)\s|\bchmod\s+\+x\s+/tmp/|\bcertutil\b.{0,60}-urlcache"
    r"|\bmshta\b\s+https?:",
    re.IGNORECASE,
)
_CODE = late(
    r"__import__\s*\(\s*['\"]|\bos\.(?:system|popen|exec[lv]p?e?|spawn[lv]p?e?)\s*\(\s*[frbu]{0,2}['\"\[]"
    r"|\bsubprocess\.(?:run|call|Popen|check_output|check_call|getoutput)\s*\(\s*[frbu]{0,2}['\"\[(]"
    # Not a method: the `exec` of JavaScript's expressions is one.
    r"|(?:(?<![\w.])|\bbuiltins(?:__)?\.)(?:eval|exec)\s*\("
    r"\s*(?:compile\(|__import__|base64|zlib|bytes|codecs|[frbu]{0,2}['\"]|open\(|input\(|requests|urllib)"
    r"|\b(?:pickle|marshal|dill|cloudpickle)\.loads?\s*\(|\bimport\s+os\b.{0,20}[;\n].{0,80}\bos\.\w+\("
    r"|\bctypes\.CDLL\("
    r"|\bRuntime\.getRuntime\(\)\.exec|child_process['\"]?\)?\.exec|\bSystem\.Diagnostics\.Process"
    r"|\bnew\s+Function\(['\"](?!return this['\"])",
    re.DOTALL,
)
# Inside a template these lead out of it; outside of one, they are words.
_REACH = late(
    r"__(?:class|mro|subclasses|globals|builtins|init|import|base|bases|dict|getattribute)__|\bos\.popen\b|\|\s*attr\b"
)
# A host and a port, or a network address: with them it is the command itself and no talk of it.
_TARGET = late(r"/dev/(?:tcp|udp)/[\w.$-]+/[\d$]|\b\d{1,3}(?:\.\d{1,3}){3}\b")
_LOOKUP = late(r"\$\{(?:jndi|script|python|exec|url|dns):")
_TEMPLATE_CHARS = 400  # between the opening of an expression and what it reaches for
_REACHES = 100  # looked at in one value
_COLLECTORS = late(
    r"\b(?:webhook\.site|requestbin\.(?:com|net)|pipedream\.net|ngrok(?:-free)?\.(?:io|app|dev)"
    r"|burpcollaborator\.net|oastify\.com"
    r"|interact\.sh|oast\.(?:pro|live|site|online|fun|me)|beeceptor\.com|requestcatcher\.com|dnslog\.cn"
    r"|ceye\.io|transfer\.sh|serveo\.net"
    r"|localtunnel\.me|loca\.lt|trycloudflare\.com|canarytokens\.com)\b|\bpastebin\.com/raw/|\b[a-z2-7]{16,56}\.onion\b"
    r"|\bapi\.telegram\.org/bot",
    re.IGNORECASE,
)
_SENSITIVE = late(
    r"(?:^|[\s\"'=:@(,/])(?:/etc/(?:passwd|shadow|sudoers|gshadow)\b|/proc/self/(?:environ|mem|maps)\b|(?:~"
    r"|\$HOME|/home/[\w.-]+)?/?\.ssh/"
    r"(?:id_\w+|authorized_keys)|(?:~|\$HOME|/home/[\w.-]+)?/?\.aws/credentials\b|\.kube/config\b"
    r"|\.git-credentials\b|/var/run/secrets/kubernetes)"
)
_INDEX = late(r"--(?:extra-)?index-url[=\s]+(\S+)|--trusted-host[=\s]+(\S+)|--find-links[=\s]+(https?://\S+)")
_INSECURE = late(r"http://(?!localhost|127\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|[\w-]+(?::|/|$))", re.I)
_INDEX_KEYS = frozenset(("index-url", "extra-index-url", "find-links", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"))
_PRELOADS = frozenset(("LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "PYTHONSTARTUP", "BASH_ENV"))
_ANYBODY = late(r"/(?:tmp|var/tmp|dev/shm)/")
# One of these stands in all that is found. Over text without capitals, and each begins with a letter or a sign as it
# is: so a search goes from one possible beginning to the next, which is six times as fast.
_HINTS = late(
    r"/dev/|n(?<!\wn)c(?:at)?\b|netcat|bash|socat|powershell|socket|mkfifo|curl|wget|base64|rm\s+-|s(?<!\ws)h\s+-c|cmd"
    r"|chmod|certutil|mshta|__|o(?<!\wo)s\.|subprocess"
    r"|eval|exec|load|import|cdll|process|function|\{[{%]|\$\{|webhook|requestbin|pipedream|ngrok"
    r"|collaborator|oast|interact\.sh|beeceptor"
    r"|requestcatcher|dnslog|ceye|transfer\.sh|serveo|localtunnel|loca\.lt|trycloudflare|canarytokens|pastebin"
    r"|onion|telegram|/etc/|/proc/|/root/"
    r"|\.ssh|\.aws|\.kube|git-cred|/var/run|--(?:extra-)?index|--trusted|--find-links"
)
_MOST_CHARS = 64 * 1024  # of one value; longer text is no command
_AROUND = 60


def in_value(text: str, *, program: bool, prose: bool) -> list[Suspect]:
    """What is suspicious in a value.

    `program` is whether the file configures a program or a build (there commands are ordinary, and only what
    no build does is reported); `prose` whether the value is text for people or for a model.
    """
    text = text[:_MOST_CHARS]
    if _HINTS.search(text.casefold()) is None:
        return []
    severity = Severity.CRITICAL
    if prose:  # nothing runs it; who writes of attacks names none of his own machines
        severity = Severity.WARNING if _TARGET.search(text) else Severity.INFO
    found = _each(text, "manifest-command", ((_SHELL, "a shell that is handed to another machine"),), severity)
    if program or prose:
        return found
    if not found:
        found += _each(
            text, "manifest-command", ((_COMMAND, "a command for a shell"), (_CODE, "code that runs code or commands"))
        )
    found += _template(text)
    found += _each(text, "manifest-collector", ((_COLLECTORS, "an address that collects what is sent to it"),))
    found += _each(text, "manifest-path", ((_SENSITIVE, "a file that holds credentials"),))
    return found


def _template(text: str) -> list[Suspect]:
    """An expression of a template engine that reaches for Python's internals, or a lookup of Log4j's kind."""
    match = _LOOKUP.search(text)
    if match is None and "{" in text:
        for reach in islice(_REACH.finditer(text), _REACHES):
            before = text[max(0, reach.start() - _TEMPLATE_CHARS) : reach.start()]
            opened = max(before.rfind("{{"), before.rfind("{%"))
            if opened >= 0 and "}}" not in before[opened:] and "%}" not in before[opened:]:
                match = reach
                break
    if match is None:
        return []
    excerpt = text[max(0, match.start() - _AROUND) : match.end() + _AROUND].strip()
    return [Suspect("manifest-template", "a template that reaches beyond its data", excerpt)]


def package_index(text: str) -> Suspect | None:
    """A place that packages are installed from without protection: plain http, or a host whose certificate is"
    " ignored."""
    if "--" not in text:
        return None
    for match in _INDEX.finditer(text[:_MOST_CHARS]):
        address = match[1] or match[3] or ""
        if match[2] or _INSECURE.match(address):
            return Suspect("manifest-package-index", "packages from an unprotected place", match[0])
    return None


def setting(key: str, text: str) -> Suspect | None:
    """What the key alone says: a library or start-up file for every program from a folder that anyone may write to,
    or a package index of pip without protection."""
    if key in _PRELOADS and _ANYBODY.match(text):
        return Suspect("manifest-command", "code that every program loads when it starts", f"{key}={text}"[:200])
    if key in _INDEX_KEYS and _INSECURE.match(text):
        return Suspect("manifest-package-index", "packages from an unprotected place", f"{key} = {text}"[:200])
    return None


def _each(
    text: str, rule: str, patterns: tuple[tuple[re.Pattern[str], str], ...], severity: Severity | None = None
) -> list[Suspect]:
    for pattern, what in patterns:
        match = pattern.search(text)
        if match is not None:
            excerpt = text[max(0, match.start() - _AROUND) : match.end() + _AROUND].strip()
            return [Suspect(rule, what, excerpt, severity)]
    return []

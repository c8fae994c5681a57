"""Credentials in configuration: tokens of a known shape, passwords under telling keys, and how they are hidden.

Nothing that is found here is ever shown: of a token its public prefix, of a password its length.
"""

import math
import re
from collections import Counter
from typing import NamedTuple

from modelaudit.late import late


class Secret(NamedTuple):
    """What was found: in words, as it may be shown, and whether it is beyond doubt."""

    what: str
    masked: str
    sure: bool


_SHAPES: tuple[tuple[str, str], ...] = (
    ("an AWS access key id", r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    ("a GitHub token", r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})"),
    ("a GitLab token", r"(?<![A-Za-z0-9])gl(?:pat|ptt|dt|rt)-[A-Za-z0-9_-]{20,64}"),
    ("a Hugging Face token", r"(?<![A-Za-z0-9])(?:hf|api_org)_[A-Za-z0-9]{30,60}(?![A-Za-z0-9])"),
    ("a Slack token", r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,250}"),
    ("a Slack webhook", r"hooks\.slack\.com/(?:services|workflows)/T[A-Z0-9]{6,14}/[A-Z0-9]{6,14}/[A-Za-z0-9]{16,48}"),
    ("a Discord webhook", r"discord(?:app)?\.com/api/webhooks/\d{15,21}/[A-Za-z0-9_-]{40,100}"),
    ("a Telegram bot token", r"(?<![0-9])\d{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    ("an OpenAI key", r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,130}T3BlbkFJ[A-Za-z0-9_-]{20,120}"),
    ("an Anthropic key", r"(?<![A-Za-z0-9])sk-ant-[a-z0-9]{3,8}-[A-Za-z0-9_-]{40,130}"),
    ("an API key", r"(?<![A-Za-z0-9_-])sk-(?:or-v1-)?[A-Za-z0-9]{32,64}(?![A-Za-z0-9_-])"),
    ("a Google API key", r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{35}(?![A-Za-z0-9_-])"),
    ("a Google OAuth token", r"(?<![A-Za-z0-9])(?:ya29\.[0-9A-Za-z_-]{30,250}|GOCSPX-[A-Za-z0-9_-]{28})"),
    ("a Stripe key", r"(?<![A-Za-z0-9])[rs]k_live_[0-9A-Za-z]{20,250}"),
    ("an npm token", r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}(?![A-Za-z0-9])"),
    ("a PyPI token", r"(?<![A-Za-z0-9])pypi-AgE[A-Za-z0-9_-]{50,250}"),
    ("a SendGrid key", r"(?<![A-Za-z0-9])SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    ("a DigitalOcean token", r"(?<![A-Za-z0-9])do[opr]_v1_[a-f0-9]{64}"),
    ("a Groq token", r"(?<![A-Za-z0-9])gsk_[A-Za-z0-9]{52}(?![A-Za-z0-9])"),
    ("a Replicate token", r"(?<![A-Za-z0-9])r8_[A-Za-z0-9]{37}(?![A-Za-z0-9])"),
    ("a Databricks token", r"(?<![A-Za-z0-9])dapi[a-f0-9]{32}(?![A-Za-z0-9])"),
    ("an Azure storage key", r"AccountKey=[A-Za-z0-9+/]{80,100}={0,2}"),
    (
        "a private key",
        r"-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY(?: BLOCK)?-----"
        r"(?=(?:\s|\\n|[A-Za-z-]{1,40}:[^\n]{0,80}\n){0,40}[A-Za-z0-9+/]{40})",
    ),
    ("a JSON web token", r"(?<![\w-])eyJ[\w-]{10,1000}\.eyJ[\w-]{10,2000}\.[\w-]{20,1000}"),
)  # fmt: skip
_COMPILED = tuple((what, late(pattern)) for what, pattern in _SHAPES)
_HINTS = late(
    r"AKIA|ASIA|gh[pousr]_|github_pat_|gl(?:pat|ptt|dt|rt)-|hf_|api_org_|xox[abeoprs]-|hooks\.slack|/webhooks/"
    r"|:AA|sk-|AIza"
    r"|ya29\.|GOCSPX|k_live_|npm_|pypi-|SG\.|_v1_|gsk_|r8_|dapi|AccountKey=|PRIVATE KEY|eyJ"
)
_URL = late(
    r"\b([a-z][a-z0-9+.-]{1,20})://([^\s:/@\"'<>{}$%*\[\]]{1,64}):([^\s/@\"'<>{}$]{3,128})@([A-Za-z0-9.\-\[\]]{1,253})"
)
_FILLED = late(r"x{8}|X{8}|\*{4}|0{8}|\.{3}")
_DOCUMENTED = late(r"EXAMPLE|example|SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c")  # of AWS's and jwt.io's manuals
_EXAMPLES = late(
    r"EXAMPLE|example|SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c|(.)\1{7}|x{6}|X{6}|1234567890|abcdef|ABCDEF"
    r"|0123456789",
    re.DOTALL,
)
_KEY = late(
    r"(?:^|[_\-. ])(?:pass(?:wd|word|phrase)|pwd|secret|client_?secret|secret_?key|(?:secret_?)?access_?key"
    r"|api_?key|apikey|api_?secret"
    r"|private_?key|auth_?key|account_?key|(?:access|auth|api|bearer|refresh|hf|hub|session|github|gitlab|wandb"
    r"|bot)_?token"
    r"|aws_secret_access_key|credentials?|encryption_?key|signing_?key)$"
)
_CAMEL = late(r"(?<=[a-z0-9])(?=[A-Z])")
_PLACEHOLDER = late(
    r"^(?:[<\[{(%$].*|.*[>\]})%]|\*+|x+|\.+|-+|.*(?:\$\{|\{\{|\$\(|%\().*|\$\w+|(?:env|vault|ssm|secret|secrets"
    r"|file|ref|arn|aws|op|gcp|kms|enc|sops|os\.environ|environ)[:/.].*)$",
    re.DOTALL | re.IGNORECASE,
)
_WORDS = late(
    r"your|example|change|placeholder|dummy|sample|fake|test|todo|redacted|removed|insert|replace|none|null"
    r"|default|secret_?key"
    r"|my[-_ ]?(?:api|pass|secret|token|key)|api[-_ ]?key|password|passw|access[-_ ]?key|foobar|foo|xxx|abc"
    r"|123456|qwerty|postgres|root"
    r"|admin|guest|user|enter|here|token|insecure|mock|demo|hidden|masked|unused|not[-_]|optional|required"
    r"|string|str\b|bool",
    re.IGNORECASE,
)
_DATA = late(r"[A-Za-z]+(?:[ ._/:\\-][A-Za-z]+)*|[\d.]+|(?:[./~]|#/|[A-Za-z]:\\|https?:).*", re.DOTALL)
_LOCAL = late(
    r"localhost|127\.|0\.0\.0\.0|\[::1\]|[A-Za-z0-9_-]+$|.*\.(?:local|internal|test|example|invalid)$|.*example\.", re.I
)


def in_text(text: str) -> list[Secret]:
    """Tokens of known shapes and passwords in URLs that stand anywhere in `text`."""
    found: list[Secret] = []
    if _HINTS.search(text) is not None:
        for what, shape in _COMPILED:
            match = shape.search(text)
            if match is not None and _FILLED.search(match[0]) is None:
                found.append(Secret(what, _prefix(match[0]), _DOCUMENTED.search(match[0]) is None))
    if "://" in text and "@" in text:
        for match in _URL.finditer(text):
            if _real(match[3]) and _WORDS.fullmatch(match[2]) is None and not _LOCAL.match(match[4]):
                found.append(Secret("a password in an address", f"{match[1]}://…:…@{match[4]}", True))
                break
    return found


def under_key(key: str, value: str) -> Secret | None:
    """The credential that `key` announces and `value` is, if it is one and no placeholder."""
    if not 6 <= len(value) <= 512 or "\n" in value.strip():
        return None
    name = _CAMEL.sub("_", key).replace("-", "_").casefold() if key.isascii() else ""
    if _KEY.search(name) is None:
        return None
    value = value.strip()
    if not _real(value):
        return None
    return Secret("a password or key", f"{len(value)} characters", _strong(value))


def hide(text: str) -> str:
    """`text` with every credential in it made unreadable."""
    if _HINTS.search(text) is not None:
        for _, shape in _COMPILED:
            text = shape.sub(lambda found: _prefix(found[0]), text)
    if "://" in text:
        text = _URL.sub(lambda found: f"{found[1]}://…:…@{found[4]}", text)
    return text


def _prefix(token: str) -> str:
    """The part of a token that says what it is and not which one."""
    if token.startswith("-----"):
        return token
    known = re.match(
        r"AKIA|ASIA|[A-Za-z]{2,10}[_-](?:pat_|proj-|ant-|live_|v1_)?|eyJ|AIza|ya29|SG|AccountKey="
        r"|hooks\.slack\.com|discord",
        token,
    )
    return f"{known[0] if known else ''}…"


def _real(value: str) -> bool:
    """Whether the value could be a credential: no placeholder, no reference, no path, no words."""
    if " " in value or _PLACEHOLDER.match(value) or _EXAMPLES.search(value) or _DATA.fullmatch(value):
        return False
    return _WORDS.search(value) is None or (len(value) >= 20 and _entropy(value) > 4.2)


def _strong(value: str) -> bool:
    """Whether nobody writes this by chance: mixed kinds of characters, and varied ones."""
    kinds = sum(any(test(char) for char in value) for test in (str.islower, str.isupper, str.isdigit))
    kinds += any(not char.isalnum() for char in value)
    if len(value) >= 16:
        return kinds >= 2 and _entropy(value) > 3.0
    return len(value) >= 8 and kinds >= 3


def _entropy(text: str) -> float:
    """Bits for each character of the text, by how often each one occurs."""
    total = len(text)
    return -sum(count / total * math.log2(count / total) for count in Counter(text).values())

"""The page, piece by piece: what stands in it without a program, then the data, then the program."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import islice

from modelaudit import __version__
from modelaudit.model import Severity
from modelaudit.report import summary
from modelaudit.report.comparing import Earlier
from modelaudit.report.escaping import data, text
from modelaudit.report.gathering import Gathering
from modelaudit.report.reading import Log, Run

_SCRIPTS = ("grid.js", "detail.js", "page.js")
_BATCH = 1000  # rows written at once


def written(gathering: Gathering, run: Run, earlier: Earlier, logs: Sequence[Log]) -> Iterator[bytes]:
    """The whole page in pieces."""
    style = _asset("page.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    title = summary.headline(gathering)
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(script, style)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<meta name="generator" content="modelaudit {text(__version__)}">\n'
        f"<title>modelaudit: {text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#browse">Skip to the tables</a>\n'
    ).encode()
    for part in summary.parts(gathering, run, earlier, logs):
        yield part.encode()
    yield _asset("browse.html").encode()
    yield b'<script type="application/json" id="data">{"facts":' + data(_facts(gathering, earlier))
    yield b',\n"findings":['
    yield from _joined(gathering.finding_rows())
    yield b'],\n"objects":['
    yield from _joined(gathering.object_rows())
    yield b"]}</script>\n"
    yield f"<script>{script}</script>\n</body>\n</html>\n".encode()


def _policy(script: str, style: str) -> str:
    """Only this page's own program and style run; nothing is fetched, sent or framed, no text becomes markup."""
    return (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'sha256-{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


def _asset(name: str) -> str:
    return resources.files("modelaudit.report").joinpath("assets", name).read_text("utf-8")


def _facts(gathering: Gathering, earlier: Earlier) -> dict[str, object]:
    """What the rows point at."""
    rules = {}
    for id in sorted(gathering.rule_names):
        rule = gathering.rule(id)
        if rule is not None:
            rules[id] = [rule.title, rule.advice, [*([rule.cwe] if rule.cwe else []), *rule.cve]]
    return {
        "severities": list(Severity),
        "rules": rules,
        "whys": gathering.whys(),
        "compared": earlier.compared,
    }


def _joined(rows: Iterator[bytes]) -> Iterator[bytes]:
    separator = b"\n"
    while batch := list(islice(rows, _BATCH)):
        yield separator + b",\n".join(batch)
        separator = b",\n"

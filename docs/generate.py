"""Writes the pages that say what the catalogue knows: `python docs/generate.py`. A test holds them to it."""

import re
from collections.abc import Iterator
from pathlib import Path

from modelaudit import catalogue
from modelaudit.catalogue import Catalogue, Format, Rule

FOLDER = Path(__file__).parent
_NOTE = "<!-- Made from modelaudit/catalogue/*.toml by docs/generate.py. Change those. -->\n"
_HEAD = "| id | format | usual endings |\n|---|---|---|\n"
_SHARED = "shared"  # rules of the engine, which no format owns


def formats(known: Catalogue) -> str:
    """The page of formats."""
    scanned = [format for format in known.formats.values() if format.scanned]
    named = [format for format in known.formats.values() if not format.scanned]
    rows = "".join(f"| {_name(format)} | {format.title} | {_endings(format)} |\n" for format in scanned)
    others = "".join(f"| `{format.id}` | {format.title} | {_endings(format)} |\n" for format in named)
    return (
        f"{_NOTE}# Formats\n\nFound by content, under any name and inside any of the others. `modelaudit formats` "
        f"prints the same.\n\n## Scanned: {len(scanned)}\n\n{_HEAD}{rows}\n"
        f"## Recognised and named, not scanned: {len(named)}\n\nThe record says `skipped: unsupported`, or the archive "
        f"that holds one is `partial`.\n\n{_HEAD}{others}"
    )


def rules(known: Catalogue) -> str:
    """The page of rules, by format."""
    parts = [
        f"{_NOTE}# Rules\n\n{len(known.rules)} rules. `modelaudit rules ID` prints one, `--severity RULE=LEVEL` "
        "changes its level, and a [suppression](configuration.md#suppressions) accepts its findings. What stands in "
        "braces is filled in for each finding.\n"
    ]
    for owner, owned in _by_owner(known):
        title = known.formats[owner].title if owner in known.formats else "Any format"
        parts.append(f"\n## {title} {{ #{owner} }}\n")
        parts += [_rule(rule) for rule in owned]
    return "".join(parts)


def _by_owner(known: Catalogue) -> Iterator[tuple[str, list[Rule]]]:
    owned: dict[str, list[Rule]] = {}
    for rule in known.rules.values():
        words = rule.id.split("-")
        names = ("_".join(words[:count]) for count in range(len(words), 0, -1))
        owned.setdefault(next((name for name in names if name in known.formats), _SHARED), []).append(rule)
    yield from sorted(owned.items(), key=lambda item: (item[0] != _SHARED, item[0]))


def _rule(rule: Rule) -> str:
    see = ", ".join([*([_cwe(rule.cwe)] if rule.cwe else []), *(f"`{cve}`" for cve in rule.cve)])
    lines = [
        f"\n### {rule.id}\n\n**{rule.severity}** · {_plain(rule.title)}" + (f" · {see}" if see else ""),
        f"{_plain(rule.why)}",
        f"*What to do:* {_plain(rule.advice)}",
    ]
    return "\n\n".join(lines) + "\n"


def _cwe(cwe: str) -> str:
    return f"[{cwe}](https://cwe.mitre.org/data/definitions/{cwe.rpartition('-')[2]}.html)"


def _name(format: Format) -> str:
    return f"`{format.id}`"


def _endings(format: Format) -> str:
    return " ".join(f"`{ending}`" for ending in format.extensions) or "-"


def _plain(text: str) -> str:
    """Words for people, in which nothing is markup."""
    return re.sub(r"([\\`*_<>\[\]|#])", r"\\\1", text)


PAGES = {"formats.md": formats, "rules.md": rules}


def main() -> None:
    """Write the pages."""
    known = catalogue.load()
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(known), "utf-8")


if __name__ == "__main__":
    main()

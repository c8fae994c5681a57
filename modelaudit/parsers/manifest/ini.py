"""Line by line: INI, `.env` and properties files, and TOML or YAML that their own readers refuse."""

from modelaudit.late import late
from modelaudit.parsers.manifest.tree import Document, Pairs

_SECTION = late(r"\[\[?([^\[\]\n]{1,200})\]\]?[ \t]*(?:[#;].*)?")
_PAIR = late(r"(?:export[ \t]+)?([^\s=:#;\[{(][^=:\n]{0,199}?)[ \t]*(?:=|:(?=[\s\"'/]|$))")
_KEY_CHARS = 300  # a key and what parts it from its value


def parse(text: str) -> Document:
    """Every pair of every section; what is neither is passed over. Always succeeds."""
    top = Pairs()
    section = top
    value: list[str] = []
    key = ""
    for line in text.splitlines():
        if key and line[:1] in (" ", "\t") and line.strip():
            value.append(line.strip())
            continue
        if key:
            section.append((key, _bare("\n".join(value))))
            key = ""
        bare = line.strip()
        if not bare or bare[0] in "#;":
            continue
        heading = _SECTION.fullmatch(bare)
        if heading is not None:
            section = Pairs()
            top.append((heading[1].strip(), section))
            continue
        pair = _PAIR.match(bare[:_KEY_CHARS])
        if pair is not None:
            key, value = pair[1], [bare[pair.end() :].lstrip()]
    if key:
        section.append((key, _bare("\n".join(value))))
    return Document("ini", [top], nodes=len(top))


def _bare(value: str) -> str:
    """The value without quotes around it."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value

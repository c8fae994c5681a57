"""Bytes to text, and text to the syntax that it is written in, by what it says and not by its name.

The name only breaks ties: prose can look like YAML, and assignments are INI as much as they are Python.
"""

import codecs
import json
import re

from modelaudit.blob import Blob
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.parsers.manifest.tree import words

_FIRST_BYTES = 512
_STRANGE = 8  # lines of no configuration, more than half of those so far
_HEAD_BYTES = 16 * 1024
_CONTROL = bytes(range(9)) + b"\x0b" + bytes(range(14, 27)) + bytes(range(28, 32)) + b"\x7f"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_SOURCE = words(
".py .pyi .pyx .ipy .c .h .cc .cpp .hpp .cu .cuh .js .mjs .cjs .ts .tsx .jsx .java .go .rs .rb .sh .bash .zsh"
" .pl .pm .r"
    " .jl .m .mm .swift .kt .scala .lua .php .cs .f .f90 .sql .tex .bib .rst .adoc .css .scss .less .html .htm"
    " .bat .cmd"
    " .ps1 .vim .el .hs .ml .ex .erl .csv .tsv .po .pot .patch .diff .log .jsonl .ndjson .srt .vtt .conll"
    " .conllu .mk .cmake"
    " .in .am .jinja .jinja2 .j2 .tmpl .proto .pbtxt .prototxt .dockerfile .s .asm .dtd .map .svelte .vue .metadata"
)  # fmt: skip
_MAKE = frozenset(("makefile", "gnumakefile", "dockerfile", "containerfile", "jenkinsfile", "vagrantfile"))
_LINES = words(".ini .cfg .conf .cnf .env .properties .toml .lock .config .editorconfig")
_YAML = frozenset((".yaml", ".yml", ".dvc", ".cff"))
_TREES = frozenset((".json", ".json5", ".jsonc", ".webmanifest"))

_OBJECT = late(r"\{\s*(?:\"|'|\}|//|/\*|#|[\w!&*?][^{}\n]{0,200}:|\Z)")
_ARRAY = late(r"\[\s*(?:[{\[\]\"'!&*?#]|//|/\*|-?\d|true|false|null|\w[^\]\n]{0,200}:|\Z)")
_REMARKS = late(r"(?:\s++|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+")
_KEY = late(r"\{\s*\"[^\"\n]{0,200}\"\s*:")
_SECTION = late(r"\[\[?[^\[\]\n\"{},]{1,200}\]?\]\]?[ \t]*(?:[#;].*)?")
_TABLE = late(r"\[\[?[ \t]*(?:[\w.\-]|\"[^\"\n]{0,100}\"|'[^'\n]{0,100}'|[ \t])+\]\]?[ \t]*(?:#.*)?")
_EQUALS = late(r"(?:export[ \t]+)?[A-Za-z_\"'][\w.\-\"'*/@ \t]{0,120}?[ \t]*=(?!=)")
_COLON = late(
    r"(?:- |\? )*(?:\"[^\"\n]{0,200}\"|'[^'\n]{0,200}'|[^\s#\[\]{},&*!|>'\"%@`\-?:(][^#:\n\"{}()]{0,100}"
    r"|<<)[ \t]*:(?:[ \t]|\Z)"
)
_NODE = late(r"(?:- |\? |&\S+ |: )*(?:!\S*|&\S+)(?:[ \t]|\Z)")
_ITEM = late(r"-(?:[ \t]|\Z)")
_ELEMENT = late(r"<(?:\?xml[\s?]|!DOCTYPE\s|!--|[A-Za-z_][\w.\-:]*[\s/>])")
_PAGE = late(  # pages, pictures, and what has a scanner of its own
    r"(?:<!--|<\?xml[^>]*>|\s)*<!DOCTYPE\s+html|\s*<(?:html|head|body|div|p|br|h\d|a|img|table|span|center|details)\b"
    r"|[^<]*(?:<[!?][^>]*>[^<]*)*<(?:PMML|net|svg|mxfile)[\s>]",
    re.IGNORECASE,
)
_CODED = late(r"(?:gA[I-X]|800[2-5]|fC|H4sI)[!-~]{12,}\s*\Z")  # one word: a pickle or gzip, written as text
_PACKAGES = late(r"^--(?:extra-index-url|index-url|trusted-host|find-links)[= ]", re.MULTILINE)
_UNSAFE = late(r"!!python/|tag:yaml\.org,2002:python/|![a-z]*:?ruby/|!!javax?\.")


def suffix(name: str) -> str:
    """The ending of a name, in lower case, with its dot; that of `.env` is `.env`."""
    name = name.casefold()
    at = name.rfind(".")
    return name[at:] if at >= 0 else ""


def is_yaml_by_name(name: str) -> bool:
    """Whether the name promises YAML."""
    return suffix(name) in _YAML


def decode(data: bytes) -> str | None:
    """The text of `data`, which may be cut off anywhere; None when it is none.

    UTF-16 and UTF-32 are known by their mark, or by their zeros: ASCII is every second or fourth byte of them.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _clean(data[0 if name == "utf-8-sig" else len(mark) :].decode(name, "replace"))
    if 0 in data[:4]:
        zeros = bytes(byte == 0 for byte in data[:4])
        wide = {  # which of the first four bytes are zero
            b"\0\1\0\1": "utf-16-le", b"\1\0\1\0": "utf-16-be",
            b"\0\1\1\1": "utf-32-le", b"\1\1\1\0": "utf-32-be",
        }.get(zeros)  # fmt: skip
        return None if wide is None else _clean(data.decode(wide, "replace"))
    if data.translate(None, _CONTROL) != data:
        return None
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _clean(text: str) -> str | None:
    """Text of a wide encoding, if it is text there and not chance."""
    strange = sum(char == "\ufffd" or (char < " " and char not in "\t\r\n\f") for char in text[:200])
    return text if strange <= 1 else None


def syntax(blob: Blob, limits: Limits) -> str | None:
    """`json`, `yaml`, `ini` (TOML too), `xml` or `lines` (of pip): what the head is written in; None for all else.

    Of text beyond `limits.text_bytes` only objects of JSON and YAML are configuration: lists, tables and XML of
    that size are data.
    """
    first = bytes(blob.view(0, _FIRST_BYTES))
    if not first.strip() or decode(first) is None:
        return None
    text = decode(bytes(blob.view(0, _HEAD_BYTES)))
    if text is None:
        return None
    found = syntax_of(text, blob.place.name, blob.size <= _HEAD_BYTES)
    if blob.size > limits.text_bytes and (
        found in ("ini", "xml", "lines") or (found == "json" and text.lstrip()[:1] == "[")
    ):
        return None
    return found


def syntax_of(text: str, name: str = "", whole: bool = True) -> str | None:
    """The syntax of `text`, which is the whole of a file or its head."""
    ending = ".mk" if name.casefold() in _MAKE else suffix(name)
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("#!") or ending == ".ipynb":
        return None
    if _ELEMENT.match(start) and not (whole and _never_closed(start)):
        return "xml" if _PAGE.match(start) is None and ending not in _SOURCE and ending != ".md" else None
    mark = start[:1]
    if mark == "{" and _OBJECT.match(start):
        return None if _one_a_line(start) or ending in (".jsonl", ".ndjson") else "json"
    if start.startswith(("//", "/*")):
        bare = _REMARKS.sub("", start, count=1)
        return "json" if ending in _TREES or _KEY.match(bare) else None
    if mark == "[" and _section_first(start) is False and _ARRAY.match(start):
        return None if _one_a_line(start) or ending in (".jsonl", ".ndjson") else "json"
    if whole and ending not in _SOURCE and _CODED.match(start):
        return "yaml"
    if ending == ".txt" and _PACKAGES.search(start):
        return "lines"
    found = _by_lines(start, ending, whole)
    if found is None and _UNSAFE.search(text) and ending not in (".md", ".py", ".rst", ".html"):
        return "yaml"
    return found


def _never_closed(start: str) -> bool:
    """Whether the text begins with the start of an element that does not end: a list of tokens such as `<pad>`."""
    opened = re.match(r"<([A-Za-z_][\w.\-:]*)", start)
    return opened is not None and f"</{opened[1]}" not in start and "/>" not in start


def _section_first(start: str) -> bool:
    """Whether the first line is a section's heading and not the start of a list."""
    line = start.partition("\n")[0].strip()
    if _SECTION.fullmatch(line) is None and _TABLE.fullmatch(line) is None:
        return False
    inner = line.strip("[] \t")
    return not re.fullmatch(r"[-+.\d, eE]*|true|false|null", inner)


def _one_a_line(start: str) -> bool:
    """Whether this is a data set with a JSON value on each line."""
    line, newline, rest = start.partition("\n")
    line, rest = line.strip(), rest.lstrip()
    if not newline or line[:1] != rest[:1] or line[-1:] not in "}]" or len(line) < 3:
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _by_lines(start: str, ending: str, whole: bool) -> str | None:
    """YAML, INI or nothing, by what kinds of lines there are."""
    if ending in _SOURCE:
        return None
    lines = start.splitlines()
    if not whole and len(lines) > 1:
        lines.pop()
    if ending == ".md" or (lines and lines[0].rstrip() == "---"):
        return _front(lines, ending)
    counts = _count(lines)
    other, sections = counts["other"], counts["section"]
    yamls = counts["colon"] + counts["node"]
    if counts["tabbed"] and not sections and not counts["equals"]:
        return None
    if ending in _YAML:
        only_comments = not sum(counts.values()) and not whole
        return "yaml" if yamls or counts["item"] or only_comments else None
    if (
        sections
        and counts["equals"] + counts["colon"]
        and (other <= (sections + counts["equals"]) // 2 or ending in _LINES)
    ):
        return "ini"
    if counts["equals"] and counts["equals"] >= 4 * other and not counts["item"]:
        return "ini" if ending in _LINES or (not other and counts["equals"] >= counts["colon"]) else None
    if yamls and not other and not counts["equals"]:
        return "yaml" if counts["wordy"] * 2 <= yamls else None
    if not sum(counts.values()) and start.startswith("#") and not whole:
        return "yaml"  # nothing but comments so far, and more to come
    return None


def _count(lines: list[str]) -> dict[str, int]:
    counts = dict.fromkeys(("section", "equals", "colon", "item", "node", "other", "tabbed", "wordy"), 0)
    for line in lines:
        bare = line.rstrip()
        if not bare or bare[0] in "#;" or bare in ("---", "...", "}", "]", "},", "],", ")") or bare.startswith("%"):
            continue
        if line[0] in " \t":
            counts["tabbed"] += line[0] == "\t"
            continue
        bare = bare[:600]
        if _NODE.match(bare):
            counts["node"] += 1
        elif _COLON.match(bare):
            counts["colon"] += 1
            counts["wordy"] += bare.partition(":")[0].count(" ") > 3
        elif _EQUALS.match(bare):
            counts["equals"] += 1
        elif bare[0] == "[" and (_SECTION.fullmatch(bare) or _TABLE.fullmatch(bare)):
            counts["section"] += 1
        elif _ITEM.match(bare):
            counts["item"] += 1
        else:
            counts["other"] += 1
            if counts["other"] > _STRANGE and counts["other"] > sum(counts.values()) - counts["other"]:
                break  # prose or source: there is no need to read on
    return counts


def _front(lines: list[str], ending: str) -> str | None:
    """Text that begins with a YAML document: a stream of them, or the front matter of a page."""
    if not lines or lines[0].rstrip() != "---":
        return None
    end = next((at for at in range(1, len(lines)) if lines[at].rstrip() in ("---", "...")), len(lines))
    counts = _count(lines[1:end])
    conform = counts["colon"] + counts["node"] + counts["item"]
    return "yaml" if conform and counts["other"] * 4 <= conform else None

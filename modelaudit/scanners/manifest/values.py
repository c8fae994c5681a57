"""What single values of a configuration hold: credentials, commands, addresses, paths, chat templates."""

from collections.abc import Iterator

from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit, Severity
from modelaudit.parsers.manifest.tree import Pairs, Path, Tagged, keys, shown, text_of, words
from modelaudit.scanners.manifest import coded, commands, secrets
from modelaudit.scanners.manifest.shape import is_prose, is_words

_SHORTEST = 6  # no secret, command or address is shorter
_CODED = 100  # values of one file that are decoded and looked at
_TEMPLATES = ("chat_template", "default_chat_template")
_ESCAPES = late(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]|^\w+://|\x00")
# Publicly documented attacks, by whom and when.
_MALICIOUS = {
    "baller423/goober2": "JFrog, February 2024: opens a reverse shell when it is loaded",
    "star23/baller13": "JFrog, February 2024: runs code when it is loaded",
    "glockr1/ballr7": "ReversingLabs, February 2025 (nullifAI): opens a reverse shell when it is loaded",
    "who-r-u0000/0000000000000000000000000000000000000": "ReversingLabs, February 2025 (nullifAI): opens a"
    " reverse shell",
    "eleuterai/gpt-j-6b": "Mithril Security, July 2023 (PoisonGPT): a poisoned model under a name that"
    " imitates EleutherAI",
}
_REFERS = words(
    "_name_or_path name_or_path model model_name model_id model_name_or_path base_model"
    " base_model_name_or_path repo_id repo repository"
    " pretrained_model_name_or_path model_path path name tokenizer_name source_model parent_model checkpoint"
    " from_pretrained"
)


class Values:
    """Goes over the values of one file; each kind of thing is told once for each place."""

    def __init__(self, limits: Limits, program: bool) -> None:
        self._limits = limits
        self._program = program
        self.templates = 0
        self._coded = 0

    def of(self, path: Path, node: object) -> Iterator[Hit | Child]:
        """The values of a mapping, list or tagged value at `path`."""
        if isinstance(node, Pairs):
            words = is_words(path)
            if text_of(node.first("template_format")) == "jinja2" and (text := text_of(node.first("template"))):
                yield self._template(path, "template", text)
            for key, value in node:
                text = text_of(value)
                if text is not None:
                    if key in _TEMPLATES and text:
                        yield self._template(path, key, text)
                    elif len(text) >= _SHORTEST:
                        yield from self._text(path, key, text, words)
                elif key in _TEMPLATES:
                    yield from self._list(path, key, value)
            if _is_weights(path):
                yield from self._weights(path, node)
        elif isinstance(node, list) and not is_words(path):
            for index, value in enumerate(node):
                text = text_of(value)
                if text is not None and len(text) >= 2 * _SHORTEST:
                    yield from self._text(path, index, text, False)
        elif isinstance(node, Tagged) and isinstance(node.value, str) and not path:
            yield from self._text(path, "", node.value, False)

    def whole(self, text: str) -> Iterator[Hit | Child]:
        """A file that is one text: a program written as text, or the options of pip."""
        yield from self.coded((), "text", text.strip())
        index = commands.package_index(text)
        if index is not None:
            yield Hit(
                index.rule, None, self._evidence((), "text", what=index.what, excerpt=secrets.hide(index.excerpt))
            )

    def coded(self, path: Path, key: str | int, text: str) -> Iterator[Child]:
        """What the text is in bytes, if that may be a program: at most `_CODED` of them in a file."""
        for data in coded.payloads(text):
            if self._coded < _CODED:
                self._coded += 1
                yield Child(secrets.hide(shown(path, key)), data=data)

    def _text(self, path: Path, key: str | int, text: str, words: bool) -> Iterator[Hit | Child]:
        if not words and text[:1] in coded.FIRST:
            yield from self.coded(path, key, text)
        name = key if isinstance(key, str) else ""
        for secret in secrets.in_text(text):
            level = None if secret.sure and not _example(path) else Severity.INFO
            yield Hit("manifest-secret", None, self._evidence(path, key, what=secret.what, masked=secret.masked), level)
            break
        else:
            told = secrets.under_key(name, text) if name else None
            if told is not None:
                level = None if told.sure and not _example(path) else Severity.INFO
                evidence = self._evidence(path, key, what=told.what, masked=told.masked)
                yield Hit("manifest-secret", None, evidence, level)
                return
        if words:
            return
        prose = is_prose(path, name)
        for found in commands.in_value(text, program=self._program, prose=prose):
            excerpt = secrets.hide(found.excerpt)
            yield Hit(found.rule, None, self._evidence(path, key, what=found.what, excerpt=excerpt), found.severity)
        index = commands.setting(name, text)
        if index is None and not self._program and not prose:
            index = commands.package_index(text)
        if index is not None:
            yield Hit(index.rule, None, self._evidence(path, key, what=index.what, excerpt=secrets.hide(index.excerpt)))
        if name in _REFERS and text.casefold() in _MALICIOUS:
            yield Hit(
                "manifest-known-malicious",
                None,
                self._evidence(path, key, model=text, source=_MALICIOUS[text.casefold()]),
            )

    def _template(self, path: Path, key: str, text: str) -> Child:
        self.templates += 1
        return Child(secrets.hide(shown(path, key)), data=_bytes(text), format="jinja")

    def _list(self, path: Path, key: str, value: object) -> Iterator[Child]:
        """Templates under names of their own: a mapping of them, or a list of {name, template}."""
        if isinstance(value, Pairs):
            for name, item in value:
                if text := text_of(item):
                    yield self._template((path, key), name, text)
        elif isinstance(value, list) and len(lines := [text_of(item) or "" for item in value]) > 1 and all(lines):
            yield self._template(path, key, "\n".join(lines))  # one template, a line in each item
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Pairs):
                    name = text_of(item.first("name")) or str(index)
                    for inner, template in item:
                        if inner == "template" and (text := text_of(template)):
                            yield self._template((path, key), name, text)
                elif text := text_of(item):
                    yield self._template((path, key), str(index), text)

    def _weights(self, path: Path, pairs: Pairs) -> Iterator[Hit]:
        """The files of a shard index must lie beside it."""
        away = [text for _, value in pairs if (text := text_of(value)) is not None and _ESCAPES.search(text)]
        if away:
            evidence = {
                "key": shown(path),
                "what": "a shard outside the model's folder",
                "excerpt": secrets.hide(away[0]),
            }
            yield Hit("manifest-path", None, evidence)

    def _evidence(self, path: Path, key: str | int, **more: str) -> dict[str, str]:
        return {"key": secrets.hide(shown(path, key)), **more}


def _example(path: Path) -> bool:
    """Whether the value stands among examples of a manual or a schema."""
    return any(part in ("example", "examples", "testcases") for part in keys(path))


def _is_weights(path: Path) -> bool:
    return bool(path) and path[1] == "weight_map"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")

"""Readers of configuration: what they keep, and that nothing but the errors they promise comes out."""

import json as standard
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, Place
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers.manifest import ini, json, markup, text, toml, yaml
from modelaudit.parsers.manifest.tree import Alias, Pairs, Tagged, shown, walk
from modelaudit.scanners import manifest
from tests.samples import manifestfiles

LIMITS = Limits()
YAML = (
    "%TAG !p! tag:yaml.org,2002:python/\n---\na: &x [1, !p!tuple [2], {b: c}]\nd: *x\n"
    "? [k]\n: |\n  text\n...\n---\ne: 'f'\n"
)
JSON = '// c\n{"a": [1, 2.5, null, true,], "b": {"c": "\\u0064\\ud800", "c": 2}, /* d */ "e": "f//g"}'
SEEDS = [
    YAML.encode(),
    JSON.encode(),
    b'[a]\nb = "c"\n[[d.e]]\nf = {g = [1, 2]}\n',
    b"[s]\nk = v\n  w\nx: y\n",
    b"A=1\nexport B='2'\n",
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e SYSTEM "x">]><a b="c">d<e/>&e;</a>',
    JSON.encode("utf-16"),
]


def all_of(data: bytes) -> None:
    """Go through a whole scan; only the errors that are promised may come out."""
    blob = BytesBlob(data, Place("config.yaml"))
    with suppress(Missing, ParseError, LimitExceeded):
        if manifest.fits(blob, LIMITS):
            list(manifest.scan(blob, LIMITS))
            list(manifest.texts(blob, LIMITS))


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_truncation_anywhere_breaks_nothing(seed: int) -> None:
    """A file that ends anywhere is read as far as it goes."""
    for end in range(len(SEEDS[seed])):
        all_of(SEEDS[seed][:end])


@pytest.mark.parametrize("row", manifestfiles.TABLE, ids=lambda row: str(row[0]))
def test_truncated_hostile_files_break_nothing(row: tuple[str, ...]) -> None:
    """Neither does a hostile one."""
    content = row[3]
    data = content if isinstance(content, bytes) else content[:4000].encode()
    for end in range(0, min(len(data), 4000), 1 if len(data) < 500 else 97):
        all_of(data[:end])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 300), st.binary(max_size=12))
def test_mutation_breaks_nothing(seed: bytes, at: int, piece: bytes) -> None:
    """Bytes that are changed anywhere give a tree, or an error that is promised."""
    all_of(seed[:at] + piece + seed[at + len(piece) :])


@settings(max_examples=200, deadline=None)
@given(st.text("{}[]:,-!&*?|>'\"# \n\tab0=%<>/\\", max_size=60))
def test_punctuation_breaks_nothing(written: str) -> None:
    """Neither does text that is made of the marks of these syntaxes."""
    all_of(written.encode())
    for parse in (lambda: json.parse(written, LIMITS), lambda: toml.parse(written, LIMITS)):
        with suppress(ParseError):
            parse()
    yaml.parse(written, LIMITS)
    ini.parse(written)
    markup.parse(BytesBlob(written.encode()), LIMITS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


def plain(value: object) -> object:
    """A tree as the standard reader has it."""
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value}
    return [plain(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_json_is_read_as_its_own_reader_reads_it(value: object) -> None:
    """Honest JSON comes back as it was, with comments and trailing commas too."""
    written = standard.dumps(value)
    assert plain(json.parse(written, LIMITS).roots[0]) == value
    lenient = f"// x\n{written} /* y */"
    assert plain(json.parse(lenient, LIMITS).roots[0]) == value


def test_json_keeps_every_pair() -> None:
    """A key that was written twice is there twice, however it was written; comments in strings stay."""
    document = json.parse('{"a": 1, "\\u0061": "x//y", "b": [1,],}', LIMITS)
    assert document.roots == [Pairs([("a", 1), ("a", "x//y"), ("b", [1])])]


def test_yaml_keeps_tags_and_does_not_follow_aliases() -> None:
    """Tags come out in full, aliases as aliases, and what they would grow to is counted."""
    document = yaml.parse("a: &x !!python/name:os.system ''\nb: [*x, *x]\n", LIMITS)
    assert document.roots == [
        Pairs([("a", Tagged("tag:yaml.org,2002:python/name:os.system", "", 1)), ("b", [Alias("x"), Alias("x")])])
    ]
    bomb = yaml.parse(manifestfiles.LAUGHS, LIMITS)
    assert bomb.expanded > 10**9 > bomb.nodes


def test_yaml_is_bounded() -> None:
    """Depth and the number of values have an end, and it is said."""
    deep = yaml.parse("[" * 1000, LIMITS)
    assert deep.too_deep == LIMITS.text_depth + 1
    many = yaml.parse("[" + "a," * 2000 + "]", Limits(text_nodes=1000))
    assert many.broken is not None


def test_ini_reads_sections_quotes_and_lines_that_go_on() -> None:
    """INI, `.env` and properties are pairs in sections."""
    document = ini.parse("top=1\n[a]\nb = 'c'\n  d\n; no\nexport E: f\nnonsense\n")
    assert document.roots == [Pairs([("top", "1"), ("a", Pairs([("b", "'c'\nd"), ("E", "f")]))])]


def test_toml_is_bounded() -> None:
    """Keys of very many parts and tables nested without end are refused."""
    with pytest.raises(ParseError):
        toml.parse("a." * 1000 + "a = 1", LIMITS)
    assert toml.parse("a = " + "[" * 5000 + "]" * 5000, LIMITS).too_deep


def test_markup_is_a_tree_of_attributes_text_and_parts() -> None:
    """Elements nest, attributes carry an @, and entities are told and not expanded."""
    document = markup.parse(BytesBlob(b'<!DOCTYPE a [<!ENTITY e SYSTEM "f">]><a b="c">d<g/>&e;</a>'), LIMITS)
    assert document.roots == [Pairs([("a", Pairs([("@b", "c"), ("#text", "d"), ("g", Pairs())]))])]
    assert document.entities == ["The entity e is fetched from f"]


def test_places_are_written_as_people_write_them() -> None:
    """A path is shown with dots and brackets."""
    root = json.parse('{"a": [{"b": {"c": 1}}]}', LIMITS).roots[0]
    assert [shown(path) for path, _ in walk(root)] == ["", "a", "a[0]", "a[0].b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_syntax_is_seen_in_every_encoding(encoding: str) -> None:
    """The same JSON is JSON in all of them, marked or not."""
    assert text.syntax(BytesBlob('{"a": "b", "c": 1}'.encode(encoding)), LIMITS) == "json"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<pad>\n<s>\n</s>\n[MASK]\nthe\n", None),
        ("<w>-a-<w>/k 1\n<w>-b-<w>/k 1\n", None),
        ("<conf>\nb\n</conf>\n", "xml"),
        ("<conf b='c'/>", "xml"),
        ("<?xml version='1.0'?><a>", "xml"),
        ("<!DOCTYPE a [<!ENTITY e SYSTEM 'f'>]><a>", "xml"),
    ],
)
def test_a_list_of_tokens_is_no_markup(content: str, expected: str | None) -> None:
    """What begins with a word in angle brackets that is never closed is a vocabulary; broken markup says what it is."""
    assert text.syntax(BytesBlob(content.encode()), LIMITS) == expected

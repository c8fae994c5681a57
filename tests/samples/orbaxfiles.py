"""Files of Orbax checkpoints (B078), OpenVINO graphs (B071) and PMML (B079, B085)."""

import base64
import json
from collections.abc import Iterator

from tests.samples.sample import HARM, UNPROVEN, Sample

BY_READER = f"{UNPROVEN}what the reader does with it is up to the reader."


def zarray(**changes: object) -> bytes:
    """A `.zarray` as TensorStore writes it, with changes."""
    return json.dumps({
        "chunks": [2], "compressor": {"id": "zstd", "level": 1}, "dimension_separator": ".", "dtype": "<f4",
        "fill_value": None, "filters": None, "order": "C", "shape": [4], "zarr_format": 2, **changes,
    }).encode()  # fmt: skip


def zarr_json(*codecs: object) -> bytes:
    """A `zarr.json` of version 3 with these codecs."""
    return json.dumps({
        "zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "float32", "codecs": list(codecs),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}, "fill_value": 0,
    }).encode()  # fmt: skip


def checkpoint(**more: object) -> bytes:
    """A `_CHECKPOINT_METADATA`, with more."""
    handler = "orbax.checkpoint._src.handlers.standard_checkpoint_handler.StandardCheckpointHandler"
    return json.dumps({
        "item_handlers": {"state": handler}, "metrics": {}, "init_timestamp_nsecs": 1, "custom_metadata": {}, **more,
    }).encode()  # fmt: skip


PICKLE = {"id": "pickle", "protocol": 5}
ORBAX: tuple[tuple[str, str, bytes, str, str], ...] = (
    ("restore-fn", "metadata.json", b'{"restore_fn": "os.system"}', "critical", "A function of the shell restores."),
    ("restore-fn-custom", "metadata.json", b'{"restore_fn": "evil.restore"}', "warning", "A function of its own."),
    ("handler", "_CHECKPOINT_METADATA", checkpoint(item_handlers="builtins.exec"), "critical", "exec as the handler."),
    ("code", "_METADATA", checkpoint(custom_metadata={"x": HARM.source}), "critical", "Source in the metadata."),
    ("zarr-pickle", ".zarray", zarray(dtype="|O", filters=[PICKLE]), "critical", "zarr's codec for pickles."),
    ("zarr-pickle-compressor", ".zarray", zarray(compressor=PICKLE), "critical", "The same as the compressor."),
    ("zarr-object", ".zarray", zarray(dtype="|O"), "warning", "Objects without a codec."),
    ("zarr3-pickle", "zarr.json", zarr_json({"name": "numcodecs.pickle"}), "critical", "The same in version 3."),
    (
        "pickle-in-metadata",
        "_METADATA",
        checkpoint(custom_metadata={"x": base64.b64encode(HARM.pickle()).decode()}),
        "critical",
        "A hostile pickle as base64.",
    ),
)


def ir(layer: str, before: str = "") -> bytes:
    """An OpenVINO graph of this one layer."""
    return f'<?xml version="1.0"?>{before}<net name="m" version="11"><layers>{layer}</layers></net>'.encode()


LAYER = '<layer id="0" name="x" type="{}" version="opset1"{}>{}</layer>'
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>'
FILE = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
OPENVINO: tuple[tuple[str, bytes, str, str], ...] = (
    ("python-layer", ir(LAYER.format("Python", "", "")), "critical", "A layer of type Python."),
    ("custom-layer", ir(LAYER.format("Custom", "", "")), "warning", "A layer of type Custom."),
    ("library", ir(LAYER.format("Relu", ' library="/tmp/libx.so"', "")), "critical", "A layer that names a library."),
    ("xxe", ir(LAYER.format("Relu", "", "&e;"), FILE), "critical", "An external entity."),
    ("bomb", ir(LAYER.format("Relu", "", "&l9;"), BOMB), "critical", "A billion laughs."),
    ("default-type", ir("<layer/>", '<!DOCTYPE x [<!ATTLIST layer type CDATA "Python">]>'), "warning", "By the DTD."),
    ("utf-32", ir(LAYER.format("Python", "", "")).decode().encode("utf-32"), "warning", "In UTF-32."),
    ("twice", ir(LAYER.format("Relu", "", "") * 2), "warning", "Two layers with one number."),
    ("code", ir(LAYER.format("Relu", f' x="{HARM.source}"', "")), "critical", "Source in an attribute."),
    ("offset", ir(LAYER.format("Const", "", '<data offset="-1" size="8"/>')), "critical", "A negative offset."),
)


def pmml(inside: str, before: str = "") -> bytes:
    """A PMML document with this in it."""
    return f'<?xml version="1.0"?>{before}<PMML version="4.4">{inside}</PMML>'.encode()


INCLUDE = '<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'
PMML: tuple[tuple[str, str, bytes, str, str], ...] = (
    ("xxe", "B079", pmml("&e;", FILE), "critical", "An external entity."),
    ("xxe-utf-16", "B079", pmml("&e;", FILE).decode().encode("utf-16"), "critical", "The same in UTF-16."),
    ("xxe-utf-7", "B079", b'<?xml version="1.0" encoding="UTF-7"?>+ADw-PMML/+AD4-', "warning", "UTF-7 hides it."),
    ("xxe-behind-comment", "B079", pmml("&e;", f"<!--{'x' * 70_000}-->{FILE}"), "critical", "Behind a long comment."),
    ("xinclude", "B079", pmml(INCLUDE), "critical", "Another file is included."),
    ("script", "B079", pmml("<Extension><script>alert(1)</script></Extension>"), "warning", "A script."),
    ("source", "B079", pmml(f"<Extension>{HARM.source}</Extension>"), "critical", "Python source."),
    ("pickle", "B079", pmml(f"<Extension>{HARM.pickle().hex()}</Extension>"), "critical", "A pickle as hex."),
    ("bomb", "B085", pmml("&l9;", BOMB), "critical", "A billion laughs."),
    ("bomb-in-attribute", "B085", pmml('<a b="&l9;"/>', BOMB), "critical", "A billion laughs in an attribute."),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, filename, data, expect, why in ORBAX:
        yield Sample(f"B078-orbax-{name}", "B078", filename, lambda _, data=data: data, why + BY_READER, expect, "")
    for name, data, expect, why in OPENVINO:
        yield Sample(f"B071-{name}", "B071", "model.xml", lambda _, data=data: data, why + BY_READER, expect, "")
    for name, bypass, data, expect, why in PMML:
        yield Sample(
            f"{bypass}-pmml-{name}", bypass, "model.pmml", lambda _, data=data: data, why + BY_READER, expect, ""
        )

"""What zarr's metadata say about an array: dtype, codecs, shape and chunks; versions 2 and 3.

Sources: the Zarr specifications, numcodecs' registry, and TensorStore's drivers `zarr` and `zarr3`.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

PICKLES = frozenset(("pickle", "dill", "cloudpickle", "joblib"))
# Codecs that make plain data of objects.
OBJECTS = frozenset(("vlen-utf8", "vlen-bytes", "vlen-array", "json2", "json", "msgpack2", "msgpack", "categorize"))
CODECS = OBJECTS.union(
    ("null", "zlib", "gzip", "bz2", "lzma", "zstd", "zstandard", "lz4", "lz4hc", "blosc", "blosc2", "snappy", "pcodec"),
    (
        "delta",
        "fixedscaleoffset",
        "quantize",
        "bitround",
        "packbits",
        "astype",
        "zfpy",
        "base64",
        "shuffle",
        "bitshuffle",
    ),
    ("crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "bytes", "endian", "transpose", "sharding_indexed"),
    ("cast_value", "scale_offset", "reshape", "squeeze", "bitcast", "string"),
)
ADDRESSES = 1 << 63


class Zarr(msgspec.Struct, frozen=True):
    """One array. `name` is "" for a file that describes one alone."""

    name: str
    dtype: str
    codecs: tuple[str, ...]
    shape: tuple[object, ...]
    chunks: tuple[object, ...]

    @property
    def flaw(self) -> str | None:
        """What is wrong with shape or chunks, or None."""
        for what, sizes, least in (("of the shape", self.shape, 0), ("in chunks of", self.chunks, 1)):
            count = 1
            for size in sizes:
                if not isinstance(size, int) or isinstance(size, bool) or size < least:
                    return f"{what} {list(sizes)[:32]}"
                count = min(count * size, ADDRESSES)
            if count >= ADDRESSES:
                return f"{what} {list(sizes)[:32]}"
        if self.chunks and self.shape and len(self.chunks) != len(self.shape):
            return f"of {len(self.shape)} dimensions, its chunks of {len(self.chunks)}"
        return None


def arrays(document: Mapping[str, object]) -> Iterator[Zarr]:
    """The arrays that a `.zarray`, a `.zmetadata` or a `zarr.json` describes."""
    if "zarr_format" in document and ("dtype" in document or "data_type" in document):
        yield _array("", document)
    for members in (document.get("metadata"), _at(document, "consolidated_metadata", "metadata")):
        if isinstance(members, Mapping) and ("zarr_consolidated_format" in document or "zarr_format" in document):
            for name, entry in members.items():
                if isinstance(entry, Mapping) and ("dtype" in entry or "data_type" in entry):
                    yield _array(str(name), entry)


def _at(value: object, *keys: str) -> object:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _array(name: str, document: Mapping[str, object]) -> Zarr:
    dtype = document.get("dtype", document.get("data_type"))
    chunks = document.get("chunks", _at(document, "chunk_grid", "configuration", "chunk_shape"))
    places = [document.get("compressor"), document.get("filters"), document.get("codecs"), document.get("object_codec")]
    return Zarr(name, _dtype(dtype), tuple(_codecs(places)), _sizes(document.get("shape")), _sizes(chunks))


def _dtype(value: object) -> str:
    """A structured dtype is a list; what is an object anywhere in it is one."""
    if isinstance(value, Mapping):
        return str(value.get("name", ""))
    return value if isinstance(value, str) else str(value)[:400]


def _sizes(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _codecs(places: list[object]) -> Iterator[str]:
    """The names of all codecs, those inside of others too, in lower case and without their prefix."""
    while places:
        value = places.pop()
        if isinstance(value, str):
            yield value.lower().removeprefix("numcodecs.")
        elif isinstance(value, list):
            places.extend(value)
        elif isinstance(value, Mapping):
            name = value.get("id", value.get("name"))
            if isinstance(name, str):
                yield name.lower().removeprefix("numcodecs.")
            inner = value.get("configuration")
            if isinstance(inner, Mapping):
                places += [inner.get("codecs"), inner.get("index_codecs")]

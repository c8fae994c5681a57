"""The only place that decompresses, always under a budget, and only as far as somebody reads."""

from modelaudit.unpack.codecs import gzip_header, is_lzma_header
from modelaudit.unpack.stream import Budget, UnpackedBlob, begins, open_child, unpacks

__all__ = ["Budget", "UnpackedBlob", "begins", "gzip_header", "is_lzma_header", "open_child", "unpacks"]

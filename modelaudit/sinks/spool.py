"""Lines that a sink must write later than it learns them: a little in memory, the rest in a nameless file."""

import tempfile
from collections.abc import Iterator

from modelaudit.errors import SinkFailed

_MEMORY_BYTES = 256 * 1024  # most runs never need the disk


class Spool:
    """Lines in, the same lines out, once. Raises `SinkFailed` when the temporary folder has no room."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115  lives as long as the sink
        self.lines = 0

    def add(self, line: bytes) -> None:
        """Keep `line`, which holds no line break."""
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            raise _failed(error) from error
        self.lines += 1

    def replay(self) -> Iterator[bytes]:
        """Every line, without its line break, in the order they came."""
        try:
            self._file.seek(0)
            for line in self._file:
                yield line[:-1]
        except OSError as error:
            raise _failed(error) from error

    def close(self) -> None:
        """Give the room back."""
        self._file.close()


def _failed(error: OSError) -> SinkFailed:
    folder = tempfile.gettempdir()
    return SinkFailed(
        f"cannot keep results in {folder}: {error.strerror}; make room there or set TMPDIR to another folder"
    )

"""What a run writes must not be what it reads: outputs are checked before, and left out of folders that are scanned."""

import glob
import os
from collections.abc import Iterator

import msgspec

from modelaudit.errors import UsageError
from modelaudit.settings import Settings
from modelaudit.sinks.output import Output
from modelaudit.sources import source_for
from modelaudit.sources.interface import shown
from modelaudit.sources.local import local_path

# How files begin that we have written ourselves, and may write again.
_OURS = (
    b'{"type":"run","schema":"modelaudit/',
    b'{\n  "schema": "modelaudit/',
    b'{"class_uid":6007,"class_name":"Scan Activity"',
    b'{"$schema":"http://cyclonedx.org/schema/bom-',
    "───".encode(),
    b"---",
)


def leaving_out(settings: Settings, output: Output) -> Settings:
    """`settings` that leave out our own files (output, SBOM, state), should they lie in a folder that is scanned."""
    ours = [output.name] if output.name == settings.output else []
    ours += [settings.sbom] if settings.sbom is not None else []
    if settings.state is not None:
        ours += [settings.state + ending for ending in ("", "-wal", "-journal")]
    excluded = list(settings.exclude)
    for path in settings.paths:
        if source_for(path) == "file":
            folder = os.path.join(os.path.realpath(local_path(path)), "")
            for own in map(os.path.realpath, ours):
                if own.startswith(folder):
                    excluded.append(glob.escape(shown(os.path.join(local_path(path), own.removeprefix(folder)))))
    return msgspec.structs.replace(settings, exclude=tuple(excluded))


def need_a_place(settings: Settings) -> None:
    """Raises `UsageError` where a relative path is named and the working directory has been deleted."""
    files = [local_path(path) for path in settings.paths if source_for(path) == "file"]
    files += [path for path in (settings.output, settings.sbom, settings.state) if path not in (None, "-")]
    relative = [path for path in files if not os.path.isabs(path)]
    try:
        if relative:
            os.getcwd()
    except FileNotFoundError:
        raise UsageError(f"{shown(relative[0])}: the working directory was deleted; change to another one") from None


def spare_inputs(settings: Settings) -> None:
    """Raises `UsageError` where an output would empty a file that is named to be read, or another output."""
    taken = {os.path.realpath(settings.state): "--state"} if settings.state is not None else {}
    for option, output in _outputs(settings):
        other = taken.setdefault(os.path.realpath(output), option)
        if other != option:
            raise UsageError(f"{option} {output}: that is the file of {other}; name another one")
        for path in (*settings.paths, *([settings.config] if settings.config else [])):
            if source_for(path) == "file" and _is_input(output, local_path(path)):
                raise UsageError(f"{option} {output}: that is a file to be read; name another one")


def _outputs(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.output not in (None, "-"):
        yield "--output", str(settings.output)
    if settings.sbom is not None:
        yield "--sbom", settings.sbom


def _is_input(output: str, path: str) -> bool:
    """Whether `output` is the file `path`, or one in that folder that we have not written ourselves."""
    try:
        if not os.path.isfile(output):
            return False
        if os.path.isfile(path):
            return os.path.samefile(output, path)
        if not os.path.realpath(output).startswith(os.path.join(os.path.realpath(path), "")):
            return False
        with open(output, "rb") as file:
            head = file.read(64)
    except (OSError, ValueError):
        return False
    return bool(head) and not head.startswith(_OURS)

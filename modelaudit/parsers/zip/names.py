"""Names of members: what they say as text, and where they would lead a program that unpacks them."""

import re
import stat

_DRIVE = re.compile(r"[A-Za-z]:(?![^\\/]*\.npy$|\d+$)")  # arrays are called `w:0` and the like
_SEPARATORS = re.compile(r"[\\/]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def text(name: bytes) -> str:
    """`name` as text: UTF-8 where it is that, whatever its flag says, else the code page of the first PCs."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("cp437")


def is_drive(name: str) -> bool:
    """Whether `name` begins with a drive letter. Names of arrays (`w:0`, `x:y.npy`) do not."""
    return _DRIVE.match(name) is not None


def is_absolute(name: str) -> bool:
    """Whether `name` begins at the root, or at a share of Windows (`\\\\host`)."""
    return name.startswith(("/", "\\"))


def climbs(name: str) -> bool:
    """Whether a part of `name`, between separators of either kind, is `..`."""
    return ".." in name and ".." in _SEPARATORS.split(name)


def escapes(name: str) -> bool:
    """Whether `name`, read from the folder that it is unpacked into, leaves that folder.

    Control characters count for nothing, as readers drop them or end the name there.
    """
    depth = 0
    name = _CONTROL.sub("", name)
    for part in _SEPARATORS.split(name):
        if part == "..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in {"", "."}:
            depth += 1
    return False


def link_escapes(name: str, target: str) -> bool:
    """Whether a symbolic link `name` to `target` leads out of the folder that it is unpacked into."""
    if is_absolute(target) or is_drive(target):
        return True
    return escapes(name.rpartition("/")[0] + "/" + target)


def has_control(name: str) -> bool:
    """Whether `name` holds NUL, another control character, or one that turns the direction of writing."""
    return _CONTROL.search(name) is not None


def is_special(mode: int) -> bool:
    """Whether a Unix mode is that of a device, pipe or socket."""
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)

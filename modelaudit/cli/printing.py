"""How the commands that list things print them."""

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import msgspec


class Form(enum.StrEnum):
    """The choices of --format."""

    TEXT = "text"
    JSON = "json"


As = Annotated[Form, typer.Option("--format", "-f", help="For people or for scripts.")]


def put(text: str) -> None:
    """Write `text` to standard output. Raises `SinkClosed`, `SinkFailed`, and `UsageError` when there is none."""
    from modelaudit.sinks.output import Output

    output = Output.standard()
    output.write(text.encode(output.encoding, "backslashreplace"))


def as_json(value: "msgspec.Struct | Sequence[msgspec.Struct]") -> str:
    """`value` as indented JSON."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value)).decode() + "\n"

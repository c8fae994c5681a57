"""`modelaudit config`: the value of each setting here and now, and who said so."""

from typing import Annotated

import typer

from modelaudit.cli.printing import As, Form, as_json, put
from modelaudit.cli.trouble import tell

EPILOG = (
    "Strongest first: options of the command; variables MODELAUDIT_…; the file (--config, else modelaudit.toml, else "
    "\\[tool.modelaudit] of pyproject.toml, in this folder); the defaults."
)
_BROAD = 30  # columns for values; longer ones push what follows aside


def config(
    config: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="The file that a scan would be given.")
    ] = None,
    format: As = Form.TEXT,
) -> int:
    """Show every setting that a scan in this folder would have, and where it was set."""
    import msgspec

    from modelaudit.settings.origins import DEFAULT, settings_of

    found, notices = settings_of(config)
    for notice in notices:
        tell(notice)
    if format is Form.JSON:
        put(as_json(found))
        return 0
    wide = max(len(each.name) for each in found)
    values = ["-" if each.value is None else msgspec.json.encode(each.value).decode() for each in found]
    broad = min(_BROAD, max(map(len, values)))
    for each, value in zip(found, values, strict=True):
        origin = "" if each.origin == DEFAULT else f"  {each.origin}"
        put(f"{each.name:<{wide}}  {value:<{broad}}{origin}".rstrip() + "\n")
    return 0

"""`modelaudit doctor`: what works on this machine, and what would mend the rest."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from modelaudit.cli.printing import As, Form, as_json, put

if TYPE_CHECKING:
    from modelaudit.cli.examination import Health

EPILOG = (
    "Exit code 2 when a scanner or a source is not ready. A wall of the cage that this kernel does not give is "
    "shown and no error: scans work, with the walls that there are."
)


def doctor(
    show_failed: Annotated[bool, typer.Option("--show-failed", help="Only what is not ready.")] = False,
    format: As = Form.TEXT,
) -> int:
    """Show what is ready on this machine: scanners, sources, the workers' cage, versions."""
    from msgspec.structs import replace

    from modelaudit.cli.examination import examine

    health = examine()
    shown = replace(health, checks=tuple(check for check in health.checks if not (show_failed and check.ready)))
    put(as_json(shown) if format is Form.JSON else "\n".join(_text(shown)) + "\n")
    return 0 if all(check.ready for check in health.checks if check.kind != "cage") else 2


def _text(health: "Health") -> Iterator[str]:
    yield ", ".join(f"{name} {version}" for name, version in health.versions.items())
    for kind, title in (("scanner", "Scanners"), ("source", "Sources"), ("cage", "The workers' cage")):
        checks = [check for check in health.checks if check.kind == kind]
        if checks:
            yield from ("", title)
        for check in checks:
            yield f"  {'ready' if check.ready else 'NOT READY':<9}  {check.name:<18}  {check.detail}"
            if check.mend:
                yield f"  {'':<9}  {'':<18}  mend it with: {check.mend}"
    if not health.checks:
        yield from ("", "Everything is ready.")

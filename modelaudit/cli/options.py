"""The options of `modelaudit scan`, grouped as the help shows them."""

import enum
from typing import Annotated

import typer

from modelaudit.limits import Limits

_READ, _COUNTS, _OUTPUT, _SETTINGS = "What is read", "What counts", "Output", "Settings"
_SERVERS = "Servers"
_DEFAULTS = Limits()


class FormatName(enum.StrEnum):
    """The choices of --format."""

    TEXT = "text"
    JSON = "json"
    NDJSON = "ndjson"
    SARIF = "sarif"
    OCSF = "ocsf"


class FailOnName(enum.StrEnum):
    """The choices of --fail-on."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class WeightsName(enum.StrEnum):
    """The choices of --weights."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH…",
        help="In any mix: files and folders; s3://bucket/prefix/, r2://…, gs://…; hf://owner/repo or hf://owner; "
        "oci://host/repo:tag; models:/Name/Version (MLflow); https://host/artifactory/… (JFrog); x.dvc; "
        "https://host/file.",
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="More paths, one a line, # for comments; - is standard input.", rich_help_panel=_READ
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GLOB", help="Only objects whose name or whole path matches. Repeatable.", rich_help_panel=_READ
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="GLOB", help="No objects whose name or path matches. Repeatable.", rich_help_panel=_READ),
]
MaxFileSize = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Skip larger objects: bytes, 512MiB, 10GB.", rich_help_panel=_READ),
]
MaxTotalSize = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Read no more than this in the whole run.", rich_help_panel=_READ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS",
        help=f"Time to scan one object; then it is given up. Default: {_DEFAULTS.timeout_seconds:g}.",
        rich_help_panel=_READ,
    ),
]
Concurrency = Annotated[
    str | None,
    typer.Option(metavar="N", help=f"Objects in flight. Default: {_DEFAULTS.concurrency}.", rich_help_panel=_READ),
]
Workers = Annotated[
    str | None,
    typer.Option(metavar="N", help="Scanning processes. Default: one a core.", rich_help_panel=_READ),
]
Weights = Annotated[
    WeightsName | None,
    typer.Option(
        help="Read tensors and tell which neurons and layers stand out. Default: auto, which reads what is local, up "
        f"to {_DEFAULTS.weights_auto_bytes >> 20} MiB an object and no language model.",
        rich_help_panel=_READ,
    ),
]
CaBundle = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Certificates to trust instead of the system's (PEM), for servers of your own.",
        rich_help_panel=_SERVERS,
    ),
]
RegistryUri = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The MLflow server. Default: MLFLOW_TRACKING_URI.", rich_help_panel=_SERVERS),
]
JfrogApiToken = Annotated[
    str | None,
    typer.Option(metavar="TOKEN", help="API token for Artifactory. Better: JFROG_API_TOKEN.", rich_help_panel=_SERVERS),
]
JfrogAccessToken = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN", help="Access token for Artifactory. Better: JFROG_ACCESS_TOKEN.", rich_help_panel=_SERVERS
    ),
]
State = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Remember there what was scanned: unchanged objects are not read again, a killed run goes on.",
        rich_help_panel=_READ,
    ),
]
Sbom = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write a CycloneDX 1.6 bill of materials there too.", rich_help_panel=_OUTPUT),
]
Hash = Annotated[
    bool,
    typer.Option(
        "--hash",
        help="Compute the SHA-256 of every object whose store does not tell it: that reads all of its bytes.",
        rich_help_panel=_READ,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="List what would be looked at, with sizes; read nothing.", rich_help_panel=_READ),
]
FailOn = Annotated[
    FailOnName | None,
    typer.Option(help="The least severity that makes the exit code 1. Default: warning.", rich_help_panel=_COUNTS),
]
StrictLicense = Annotated[
    bool,
    typer.Option(
        "--strict-license",
        help="Licences that restrict use, or are not recognised, are warnings and not just information.",
        rich_help_panel=_COUNTS,
    ),
]
Blacklist = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="A name that contains this text is a critical finding. Repeatable.",
        rich_help_panel=_COUNTS,
    ),
]
Suppress = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE=REASON",
        help="Accept findings of this rule: they are shown as suppressed and count no more. Repeatable.",
        rich_help_panel=_COUNTS,
    ),
]
SeverityOf = Annotated[
    list[str] | None,
    typer.Option(metavar="RULE=LEVEL", help="Give a rule another severity. Repeatable.", rich_help_panel=_COUNTS),
]
FormatOf = Annotated[
    FormatName | None,
    typer.Option("--format", "-f", help="Default: text on a terminal, ndjson elsewhere.", rich_help_panel=_OUTPUT),
]
OutputFile = Annotated[
    str | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Write there instead of to standard output.", rich_help_panel=_OUTPUT
    ),
]
MaxLineBytes = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="The longest NDJSON line; what is cut is counted in it. Default: 1MiB.",
        rich_help_panel=_OUTPUT,
    ),
]
Heartbeat = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS",
        help="Every so often write a heartbeat record (NDJSON) or a line on standard error: slow is not dead.",
        rich_help_panel=_OUTPUT,
    ),
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Say more: each object, debug findings, tracebacks.", rich_help_panel=_OUTPUT),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Say less: no progress, no warnings, findings only.", rich_help_panel=_OUTPUT),
]
Config = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="A TOML file with these options by name. Default: modelaudit.toml, or \\[tool.modelaudit] of "
        "pyproject.toml, in this folder. Variables MODELAUDIT_… come before the file, options before both.",
        rich_help_panel=_SETTINGS,
    ),
]

"""The values that flow through modelaudit. Frozen; the output schema is generated from them."""

import enum
import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Literal

import msgspec

Scalar = str | int | float | bool | None
Evidence = dict[str, Scalar | list[str]]
WeightsMode = Literal["auto", "on", "off"]  # whether the numbers of tensors are read and compared


class Severity(enum.StrEnum):
    """How bad, worst first. `rank` orders them: critical is 3, debug is 0."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"

    @property
    def rank(self) -> int:
        """3 for critical, 2 for warning, 1 for info, 0 for debug."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(reversed(Severity))}


class Hit(msgspec.Struct, frozen=True):
    """What a scanner says: rule `rule` fires at byte `offset` of the blob that was scanned.

    `evidence` fills the rule's message template and becomes the finding's `details`.
    `severity` overrides the catalogue's level for this hit; only where one rule has graded outcomes.
    """

    rule: str
    offset: int | None = None
    evidence: Mapping[str, Scalar | list[str]] = {}
    severity: Severity | None = None


class Child(msgspec.Struct, frozen=True):
    """Bytes inside the bytes, for the engine to unpack under the budget and identify afresh.

    Either `data` (bytes the scanner has decoded itself) or `offset` and `length` (packed bytes in the
    blob that was scanned). `codec` names how those are packed: `stored`, `deflate` (raw), `zlib`, `gzip`,
    `bz2`, `lzma`, `xz`, `zstd`, `lz4`. `size` is the declared unpacked size, if any. `format` forces a
    scanner instead of identification. `separator` joins `name` to the parent's location.
    """

    name: str
    offset: int = 0
    length: int = 0
    codec: str = "stored"
    size: int | None = None
    data: bytes | None = None
    format: str | None = None
    separator: str = ":"


class Asset(msgspec.Struct, frozen=True):
    """Something met on the way, for the inventory: a file, an archive member, the tensors of a file.

    The engine puts `path` under the object's own location. `tensors` are names, cut to
    `Limits.tensors_named`; `tensors_total` counts all.
    """

    path: str
    type: str
    size: int | None = None
    tensors: tuple[str, ...] = ()
    tensors_total: int = 0


# Where a licence was stated: its own text, the front matter of a card, the metadata of a package or of a model file.
LicenseSource = Literal["text", "card", "package", "metadata"]
# What a licence asks that permissive ones do not: no commercial use at all; commercial use under conditions; no uses
# that it lists; source code for whoever uses it over a network.
Restriction = Literal["noncommercial", "commercial_terms", "use_limits", "network"]


class License(msgspec.Struct, frozen=True, omit_defaults=True):
    """A licence that an object states. The engine puts `path` under the object's own location.

    `expression` is a valid SPDX expression, with `LicenseRef-…` for what SPDX has no id for, and None where nothing
    that is known fits. `declared` is what was written, such as `apache-2.0`; of a licence's own text there is only
    what it was recognised as.
    """

    path: str
    expression: str | None = None
    declared: str = ""
    source: LicenseSource = "metadata"
    restrictions: tuple[Restriction, ...] = ()


class Weights(msgspec.Struct, frozen=True, gc=False):
    """Where the numbers of a tensor are: stored, not packed, at `offset` of the blob, `length` bytes.

    `dtype` is the byte order and numpy's name (`<f4`, `>f8`, `<f2`), or `<bf16`. The outputs of the layer are the
    first dimension, with `outputs_last` the last. With `is_fortran` the first dimension varies fastest.
    `is_data`: it may as well be measurements, in which NaN is ordinary.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int
    outputs_last: bool = False
    is_fortran: bool = False
    is_data: bool = False

    @property
    def outputs(self) -> int:
        """Units of the layer."""
        return self.shape[-1 if self.outputs_last else 0]

    @property
    def count(self) -> int:
        """Numbers in the tensor."""
        return math.prod(self.shape)

    @property
    def item_bytes(self) -> int:
        """Size of one number."""
        return 2 if self.dtype[1:] == "bf16" else int(self.dtype[2:])

    @property
    def is_inner(self) -> bool:
        """Whether neighbours in memory belong to different outputs."""
        return self.outputs_last != self.is_fortran

    @property
    def is_sane(self) -> bool:
        """Whether shape and length agree and there is something to compare."""
        sizes = len(self.shape) >= 2 and all(size > 0 for size in self.shape)
        return sizes and self.count * self.item_bytes == self.length


class Note(msgspec.Struct, frozen=True):
    """A scanner could not look at part of its bytes: the record becomes `partial` for `reason`.

    `reason` is a word (`encrypted_member`, `truncated`, `broken`); `message` one sentence.
    """

    reason: str
    message: str
    offset: int | None = None


# What became of an object since its last record: never seen; another version of it; the same version, looked at again
# (by other rules, or because it could not be looked at wholly once); the same, not read again; listed no more.
Change = Literal["new", "changed", "rescanned", "unchanged", "gone"]
FindingChange = Literal["new", "unchanged", "fixed"]


class Finding(msgspec.Struct, frozen=True):
    """One finding as reported. `id` is stable from run to run for the same object and place.

    A name in `details` has values of one type (number, text, list of texts) in whatever rule it occurs.

    `change` says what became of it since the object's last record; only with `--state`. `suppressed` is the reason
    for which it is accepted, and is there only if it is.
    """

    id: str
    rule: str
    severity: Severity
    message: str
    why: str
    location: str
    offset: int | None = None
    details: Evidence = {}
    change: FindingChange | None = None
    suppressed: str | msgspec.UnsetType = msgspec.UNSET


def finding_id(location: str, rule: str, offset: int | None, message: str) -> str:
    """The `id` of a finding at `location` (without its offset)."""
    identity = "\0".join((location, rule, str(offset), message))
    return blake2b(identity.encode(), digest_size=10).hexdigest()


def shown(text: str, most: int) -> str:
    """`text` as valid UTF-8 of at most `most` characters, for a record."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


Status = Literal["scanned", "partial", "skipped", "failed"]


class Inspection(msgspec.Struct, frozen=True):
    """What the worker found in one object; the parent adds where it came from and how it was read.

    `bytes_viewed` counts the bytes of the object that a scanner looked at, each once.
    """

    status: Status
    reason: str | None = None
    message: str | None = None
    formats: tuple[str, ...] = ()
    scanners: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    findings_cut: int = 0
    assets: tuple[Asset, ...] = ()
    assets_cut: int = 0
    bytes_viewed: int = 0
    licenses: tuple[License, ...] = ()
    licenses_cut: int = 0


class Target(msgspec.Struct, frozen=True):
    """One object that a source listed. `version` is its ETag, generation, or size and mtime.

    `key` is what the source needs to read it again; `uri` is what people see (no secret in it).
    `skip` is set when the source itself knows that it cannot be scanned: (reason, message). `modified` is the time of
    its last change where `version` alone could be the same for other bytes (an ETag is an MD5).
    """

    uri: str
    key: str
    size: int | None = None
    version: str | None = None
    sha256: str | None = None
    skip: tuple[str, str] | None = None
    failed: bool = False
    modified: str | None = None


class FileReport(msgspec.Struct, frozen=True, tag="file", tag_field="type", omit_defaults=True):
    """The one record of a listed object.

    With `--state`, `change` says what became of the object since its last record, each finding's `change` what became
    of that, and `fixed` holds what was found then and is there no more; `fixed_cut` counts what was left out.
    `suppressed` holds findings that the user has accepted, with the reason: they count for nothing else.
    `licenses` are those that the object states; `licenses_cut` counts what was left out.
    """

    uri: str
    size: int | None
    bytes_read: int
    version: str | None
    sha256: str | None
    formats: tuple[str, ...]
    scanners: tuple[str, ...]
    status: Status
    reason: str | None
    message: str | None
    severity: Severity | None
    findings: tuple[Finding, ...]
    findings_cut: int
    assets: tuple[Asset, ...]
    assets_cut: int
    duration_ms: float
    change: Change | None = None
    fixed: tuple[Finding, ...] = ()
    fixed_cut: int = 0
    suppressed: tuple[Finding, ...] = ()
    suppressed_cut: int = 0
    licenses: tuple[License, ...] = ()
    licenses_cut: int = 0

    @property
    def incomplete(self) -> bool:
        """Whether something should have looked at the object and did not, or not wholly."""
        if self.status == "skipped":
            return self.reason not in NOTHING_TO_SCAN
        return self.status != "scanned"


# An object that is skipped for one of these reasons leaves nothing unscanned: it holds no model, or the object that
# it leads to has a record of its own, or nothing was meant to be read, or it is not there any more.
NOTHING_TO_SCAN = frozenset(
    ("unsupported", "empty", "special_file", "symlink_broken", "symlink_folder", "dry_run", "gone")
)

# How a run ended: through to the end; --max-total-size was spent; Ctrl-C; SIGTERM; the reader of the output went
# away; something that is no object failed (the workers, the output, a fault of ours).
Ended = Literal["complete", "budget", "interrupted", "terminated", "closed", "failed"]


class RunRecord(msgspec.Struct, frozen=True, kw_only=True, tag="run", tag_field="type"):
    """The first record of a run: what is being scanned, by which version. `started` is Unix time in seconds.

    `schema` names the shape of all records; its number changes when a field goes away or changes its meaning,
    and stays when one is added. `settings` are those that shape the result. `paths_cut` counts paths left out.
    `resumed`: the run was killed and goes on, under the same `run_id`.
    """

    schema: str = "modelaudit/1"
    version: str
    run_id: str
    started: float
    paths: tuple[str, ...]
    paths_cut: int = 0
    settings: Evidence = {}
    resumed: bool = False


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat", tag_field="type"):
    """Now and then during a run, with `--heartbeat`: it is alive, however long an object takes.

    `time` is Unix time in seconds. `listed` objects are known so far, all of them once `all_listed`; `objects` of
    them have their records, which hold `findings_total` and took `bytes_read`.
    """

    run_id: str
    time: float
    duration_seconds: float
    listed: int
    all_listed: bool
    objects: int
    findings_total: int
    bytes_read: int


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag="summary", tag_field="type", omit_defaults=True):
    """The last record of a run. Its numbers add up over the `file` records.

    `objects` counts them, `by_status` splits `objects`, `reasons` splits those that are not `scanned`, and
    `files_scanned` are the scanned and the partial ones. `incomplete` counts the objects that should have been
    looked at and were not, or not wholly: without findings they make the exit code 2. `by_severity` splits
    `findings_total`; `findings_cut` were found and not kept. `by_format` and `by_scanner` count objects. `bytes_listed`
    adds up the sizes that are known, `bytes_read` what was read. With `--state`, `by_change` splits `objects` by what
    became of them since their last records, and `findings_by_change` counts new, unchanged and fixed findings; the
    fixed ones are not in `findings_total`, and neither are the accepted ones, which `suppressed_total` counts.

    No field has the name of one of another record and another type: readers that infer one table from all lines
    depend on that.
    """

    run_id: str
    ended: Ended
    exit_code: int
    duration_seconds: float
    objects: int
    files_scanned: int
    incomplete: int
    by_status: dict[Status, int]
    reasons: dict[str, int]
    findings_total: int
    findings_cut: int
    by_severity: dict[Severity, int]
    worst: Severity | None
    assets_total: int
    assets_cut: int
    by_format: dict[str, int]
    by_scanner: dict[str, int]
    bytes_listed: int
    bytes_read: int
    by_change: dict[Change, int] = {}
    findings_by_change: dict[FindingChange, int] = {}
    suppressed_total: int = 0

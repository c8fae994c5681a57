"""The part of the page that needs no program: the headline, the numbers, the rules that fired, the charts."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from modelaudit.model import Severity
from modelaudit.report.charts import severity_bars
from modelaudit.report.comparing import Earlier
from modelaudit.report.escaping import text
from modelaudit.report.gathering import OTHER, ROWS, Gathering, Told
from modelaudit.report.reading import Log, Run

_PATHS = 5  # named in the heading
_REASONS = 8  # for which objects were not looked at
_RULES = 60  # that fired; more are counted
_ENDS = {
    "budget": "The run stopped at --max-total-size: what follows was not looked at.",
    "interrupted": "The run was interrupted: what follows was not looked at.",
    "terminated": "The run was terminated: what follows was not looked at.",
    "closed": "The run ended early: its reader went away.",
    "failed": "The run broke off: what follows was not looked at.",
}


def headline(gathering: Gathering) -> str:
    """The one sentence to read when there is time for one."""
    numbers = gathering.summary
    for level in (Severity.CRITICAL, Severity.WARNING):
        count = numbers.by_severity[level]
        if count:
            objects = counted(gathering.objects_by_severity[level], "object")
            new = gathering.fates_by_severity["new", level]
            since = f", {new:,} of them new" if new else ", none of them new" if gathering.fates["known"] else ""
            return f"{count:,} {level} {_plural(count, 'finding')} in {objects}{since}"
    if not numbers.files_scanned:
        return "Nothing was looked at"
    return f"Nothing dangerous found in {counted(numbers.files_scanned, 'object')}"


def parts(gathering: Gathering, run: Run, earlier: Earlier, logs: Sequence[Log]) -> Iterator[str]:
    """Everything above the tables, as HTML."""
    worst = gathering.summary.worst
    yield f'<header class="{worst or "none"}">\n<p class="of">{_origin(run)}</p>\n'
    yield f"<h1>{text(headline(gathering))}</h1>\n"
    yield f"<p>{_second(gathering, run)}</p>\n</header>\n<main>\n"
    told = [*_notices(gathering, run, logs)]
    if told:
        entries = "".join(f"<li>{text(sentence)}</li>\n" for sentence in told)
        yield f'<ul class="notices" aria-label="What to know about this report">\n{entries}</ul>\n'
    yield _tiles(gathering)
    if earlier.compared:
        yield _changes(gathering, earlier)
    yield _rules(gathering)
    yield _incomplete(gathering)
    if gathering.summary.findings_total:
        yield '<section aria-labelledby="charts"><h2 id="charts">Where it is</h2>\n<div class="charts">\n'
        yield severity_bars(gathering.by_source, "Findings by source")
        yield severity_bars(gathering.by_format, "Findings by format")
        yield "</div></section>\n"


def counted(count: int, noun: str) -> str:
    """`1 object`, `2 objects`."""
    return f"{count:,} {_plural(count, noun)}"


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"


def moment(seconds: float) -> str:
    """Unix time as people write it."""
    try:
        when = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return "an unknown day"
    return f"{when:%A}, {when.day} {when:%B %Y}, {when:%H:%M} UTC"


def _origin(run: Run) -> str:
    """When and where the run was, as HTML."""
    record = run.record
    if record is None:
        return "modelaudit · a run without its first line"
    shown = [f"<bdi>{text(path)}</bdi>" for path in record.paths[:_PATHS]]
    more = len(record.paths) - len(shown) + record.paths_cut
    where = ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
    return f"modelaudit {text(record.version)} · {text(moment(record.started))} · {where}"


def _second(gathering: Gathering, run: Run) -> str:
    numbers = gathering.summary
    looked = f"{numbers.files_scanned:,} of {counted(numbers.objects, 'object')} looked at"
    took = "" if run.summary is None else f" in {_duration(run.summary.duration_seconds)}"
    missing = f"<strong>{counted(numbers.incomplete, 'object')} could not be looked at wholly.</strong>"
    return f"{looked}{took}, {_size(numbers.bytes_read)} read. {missing if numbers.incomplete else ''}"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def _notices(gathering: Gathering, run: Run, logs: Sequence[Log]) -> Iterator[str]:
    numbers = gathering.summary
    for log in logs:
        if log.broken:
            yield f"{log.name}: {counted(log.broken, 'line')} broken or cut off, and left out."
        if log.foreign:
            yield f"{log.name}: {counted(log.foreign, 'line')} of something else, and left out."
    if run.record is None:
        yield "The first line of the run is missing."
    if run.summary is None:
        yield "The last line of the run is missing: it was killed, or is still running. "
        yield "The numbers are of what there is."
    else:
        if run.summary.ended in _ENDS:
            yield _ENDS[run.summary.ended]
        said = (run.summary.objects, run.summary.findings_total, run.summary.findings_cut)
        if said != (numbers.objects, numbers.findings_total, numbers.findings_cut):
            yield (
                f"The run counted {counted(run.summary.objects, 'object')} and "
                f"{counted(run.summary.findings_total, 'finding')}; the file holds {numbers.objects:,} and "
                f"{numbers.findings_total:,}. The numbers here are those of the file."
            )
    if numbers.findings_cut:
        yield f"{counted(numbers.findings_cut, 'finding')} were left out when the records were written."
    if gathering.rows_cut:
        yield (
            f"The tables hold {ROWS:,} rows each, the worst; {gathering.rows_cut:,} more are counted above "
            "and stand in the NDJSON only."
        )


def _tile(number: int, name: str, kind: str, note: str = "") -> str:
    quiet = "" if number else " zero"
    said = f"<small>{text(note)}</small>" if note else ""
    return f'<div class="tile {kind}{quiet}"><dt>{text(name)}</dt><dd>{number:,}{said}</dd></div>\n'


def _tiles(gathering: Gathering) -> str:
    numbers = gathering.summary
    levels = [level for level in Severity if level is not Severity.DEBUG or numbers.by_severity[level]]
    tiles = [
        _tile(
            numbers.by_severity[level],
            level.capitalize(),
            level,
            f"in {counted(gathering.objects_by_severity[level], 'object')} at worst"
            if numbers.by_severity[level]
            else "",
        )
        for level in levels
    ]
    tiles.append(_tile(numbers.incomplete, "Not looked at wholly", "incomplete", "objects"))
    if numbers.suppressed_total:
        tiles.append(_tile(numbers.suppressed_total, "Suppressed", "suppressed", "accepted, with a reason"))
    tiles.append(_tile(numbers.objects, "Objects", "objects", f"{numbers.files_scanned:,} of them scanned"))
    return f'<dl class="tiles" aria-label="Numbers of this run">\n{"".join(tiles)}</dl>\n'


def _changes(gathering: Gathering, earlier: Earlier) -> str:
    since = "" if earlier.since is None else f" since {moment(earlier.since)}"
    fates = gathering.fates
    new = [level for level in Severity if gathering.fates_by_severity["new", level]]
    worst = ", ".join(f"{gathering.fates_by_severity['new', level]:,} {level}" for level in new)
    tiles = [
        _tile(fates["new"], "New", "new", worst),
        _tile(fates["fixed"], "Fixed", "fixed", "the object is still there"),
        _tile(fates["gone"], "Gone", "gone", "with their objects"),
        _tile(fates["known"], "Known before", "known"),
    ]
    if fates["open"]:
        tiles.append(_tile(fates["open"], "Not confirmed", "open", "found before, not looked at again"))
    objects = (
        f"{counted(gathering.objects_new, 'object')} came, {gathering.objects_gone:,} went."
        if gathering.objects_new or gathering.objects_gone
        else "No object came or went."
    )
    return (
        f'<section aria-labelledby="changes"><h2 id="changes">What changed{text(since)}</h2>\n'
        f'<dl class="tiles">\n{"".join(tiles)}</dl>\n<p>{objects}</p></section>\n'
    )


def _rules(gathering: Gathering) -> str:
    ranked = sorted(
        gathering.rules.values(), key=lambda told: (-told.severity.rank, -told.new, -told.findings, told.rule)
    )
    if not ranked:
        return ""
    rows = "".join(_rule(gathering, told) for told in ranked[:_RULES])
    more = len(ranked) - _RULES
    rest = f"<p>{counted(more, 'milder rule')} more fired.</p>" if more > 0 else ""
    return (
        '<section aria-labelledby="found"><h2 id="found">What was found, worst first</h2>\n'
        f'<ol class="rules">\n{rows}</ol>{rest}</section>\n'
    )


def _rule(gathering: Gathering, told: Told) -> str:
    rule = gathering.rule(told.rule)
    title = rule.title if rule is not None else "Rules that this version does not know"
    new = f' <span class="badge new">{told.new:,} new</span>' if told.new else ""
    places = "".join(f"<li><bdi><code>{text(place)}</code></bdi></li>" for place in told.places)
    more = told.findings - len(told.places)
    rest = f"<li>and {more:,} more</li>" if more > 0 else ""
    advice = "" if rule is None else f'<p class="advice">{text(rule.advice)}</p>'
    id = "" if told.rule == OTHER else f' <code class="id" data-rule="{text(told.rule)}">{text(told.rule)}</code>'
    return (
        f'<li class="{told.severity}"><h3><span class="badge {told.severity}">{told.severity}</span> '
        f"{text(title)}{new}</h3>\n"
        f'<p class="much">{counted(told.findings, "finding")} in {counted(told.objects, "object")}{id}</p>\n'
        f'{advice}<ul class="places">{places}{rest}</ul></li>\n'
    )


def _incomplete(gathering: Gathering) -> str:
    numbers = gathering.summary
    if not numbers.incomplete:
        return ""
    reasons = list(numbers.reasons.items())
    said = ", ".join(f"{text(reason.replace('_', ' '))} ({count:,})" for reason, count in reasons[:_REASONS])
    more = f" and {counted(len(reasons) - _REASONS, 'other reason')}" if len(reasons) > _REASONS else ""
    return (
        '<section aria-labelledby="missed"><h2 id="missed">What was not looked at wholly</h2>\n'
        f"<p>{counted(numbers.incomplete, 'object')}: nobody knows yet whether they are harmless. "
        f"Reasons of all objects that were not scanned: {said}{more}.</p></section>\n"
    )

"""Bars of severities as SVG, each beside its numbers, which say the same to those who see no bars."""

from collections import Counter
from collections.abc import Mapping

from modelaudit.model import Severity
from modelaudit.report.escaping import text

_WIDTH = 1000  # of the drawing; the page stretches it
_LEAST = 8  # of a bar that stands for anything at all
_SHOWN = 12  # bars; what is milder is added up


def severity_bars(groups: Mapping[str, Counter[Severity]], caption: str) -> str:
    """A table with a row a group: its name, its bar, its numbers; the worst first."""
    ranked = sorted(groups.items(), key=lambda group: ([-group[1][level] for level in Severity], group[0]))
    shown, rest = ranked[:_SHOWN], ranked[_SHOWN:]
    if rest:
        total: Counter[Severity] = Counter()
        for _, counts in rest:
            total.update(counts)
        shown.append((f"{len(rest)} others", total))
    most = max((counts.total() for _, counts in shown), default=0)
    rows = "".join(
        f'<tr><th scope="row"><bdi>{text(name)}</bdi></th><td>{_bar(counts, most)}</td><td>{said(counts)}</td></tr>\n'
        for name, counts in shown
    )
    return f'<table class="chart"><caption>{text(caption)}</caption><tbody>\n{rows}</tbody></table>\n'


def _bar(counts: Counter[Severity], most: int) -> str:
    parts = []
    at = 0
    scale = _WIDTH - _LEAST * len(Severity)
    for level in Severity:
        if counts[level]:
            width = _LEAST + scale * counts[level] // most
            parts.append(f'<rect class="{level}" x="{at}" y="0" width="{width}" height="10"/>')
            at += width
    drawn = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} 10" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'


def said(counts: Counter[Severity]) -> str:
    """`counts` in words, as HTML."""
    parts = [
        f'<span class="count {level}">{counts[level]:,}&nbsp;{level}</span>' for level in Severity if counts[level]
    ]
    return " ".join(parts) or '<span class="count none">nothing</span>'

"""The findings of one object, as many as there is room for: the worst stay."""

from heapq import heapify, heapreplace

from modelaudit.model import Finding, Severity


class Kept:
    """At most `most` findings, in the order they came; `cut` counts those that found no room or lost it."""

    def __init__(self, most: int) -> None:
        self.findings: list[Finding] = []
        self.cut = 0
        self._most = most
        self._mildest: list[tuple[int, int]] = []  # a heap of (rank, index) over the findings, once there is no room

    def add(self, finding: Finding) -> None:
        """Keep the finding; when there are too many, the mildest make room for worse ones."""
        if len(self.findings) < self._most:
            self.findings.append(finding)
            return
        self.cut += 1
        rank = finding.severity.rank
        if rank < Severity.WARNING.rank:
            return
        if not self._mildest:
            self._mildest = [(kept.severity.rank, index) for index, kept in enumerate(self.findings)]
            heapify(self._mildest)
        if self._mildest and self._mildest[0][0] < rank:
            _, index = heapreplace(self._mildest, (rank, self._mildest[0][1]))
            self.findings[index] = finding

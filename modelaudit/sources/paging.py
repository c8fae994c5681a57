"""Going through a listing page by page, and noticing when it gets nowhere."""

from collections.abc import Sequence

from modelaudit.errors import SourceError

_EMPTY_PAGES = 10_000  # in a row; a page can be empty where very many objects were deleted


class Way:
    """Where a listing goes on, for as long as it gets anywhere. Keeps one page and two tokens, however long it is."""

    def __init__(self, what: str) -> None:
        self.token: str | None = None
        self._what = what
        self._mark: str | None = None  # an earlier token; set anew after 1, 2, 4, 8 … pages, so any circle meets it
        self._pages, self._next_mark, self._empty = 0, 1, 0
        self._last: Sequence[object] = ()

    def check(self, targets: Sequence[object]) -> None:
        """Take in a page. Raises `SourceError` if it is the last one again."""
        if targets and targets == self._last:
            raise self._bad("the server gives the same page again")
        self._last = targets
        self._empty = 0 if targets else self._empty + 1
        if self._empty > _EMPTY_PAGES:
            raise self._bad("the server says again and again that there is more, and lists nothing")

    def go_on(self, token: str | None) -> None:
        """Take in where the server says to go on. Raises `SourceError` if it has been there."""
        if token is None:
            raise self._bad("the server says that there is more, but not where to go on")
        if token in (self.token, self._mark):
            raise self._bad("the server goes round in a circle")
        self._pages += 1
        if self._pages == self._next_mark:
            self._mark, self._next_mark = token, 2 * self._next_mark
        self.token = token

    def _bad(self, why: str) -> SourceError:
        return SourceError("bad_answer", f"{self._what}: {why}")

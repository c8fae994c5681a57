"""What is fetched, what is here, what to fetch next."""

import os
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.errors import SourceError
from modelaudit.limits import KIB, MIB, Limits
from modelaudit.pipeline.spool import ReadAhead, Spool, absent, merge

LIMITS = Limits()
RANGES = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 50)), max_size=12)


def covered(ranges: list[tuple[int, int]]) -> set[int]:
    return {place for offset, length in ranges for place in range(offset, offset + length)}


@given(RANGES)
def test_merging_covers_the_same_bytes_in_disjoint_order(ranges: list[tuple[int, int]]) -> None:
    """Merged ranges are sorted, apart from each other, and mean the same bytes."""
    merged = merge(ranges)
    assert covered(merged) == covered(ranges)
    assert all(a[0] + a[1] < b[0] for a, b in pairwise(merged))


@given(RANGES, RANGES, st.integers(0, 250))
def test_absent_is_what_is_wanted_and_not_here(
    wanted: list[tuple[int, int]], here: list[tuple[int, int]], size: int
) -> None:
    """Exactly the wanted bytes inside the object that no extent covers."""
    assert covered(absent(wanted, merge(here), size)) == {
        place for place in covered(wanted) - covered(here) if place < size
    }


def test_a_small_object_is_read_in_one_request() -> None:
    """Up to `whole_object_bytes` there is one range: everything."""
    assert ReadAhead(LIMITS).first(LIMITS.whole_object_bytes, 0, 65536) == [(0, LIMITS.whole_object_bytes)]


def test_a_large_object_starts_with_its_head_and_its_hinted_tail() -> None:
    """A format whose directory is at the end gets both ends at once."""
    size = 50 * MIB
    assert ReadAhead(LIMITS).first(size, 0, 64 * KIB) == [(0, LIMITS.head_bytes), (size - 64 * KIB, 64 * KIB)]


def test_reading_on_doubles_and_jumping_does_not() -> None:
    """A scan that continues where the bytes end gets twice as much each time; one that jumps gets a little."""
    ahead, size = ReadAhead(LIMITS), 1 << 40
    extents = [(0, 64 * KIB)]
    steps = []
    for _ in range(4):
        end = extents[0][1]
        [(offset, length)] = ahead.next([(end, 10)], extents, size)
        assert offset == end
        steps.append(length)
        extents = merge([*extents, (offset, length)])
    assert steps == [LIMITS.head_bytes * 2**power for power in (1, 2, 3, 4)]
    assert ahead.next([(1 << 30, 10)], extents, size) == [(1 << 30, 4096)]


def test_near_places_are_one_request() -> None:
    """Ranges that lie close together cost one round trip, not many."""
    needed = [(1 << 30, 100), ((1 << 30) + 20_000, 100), ((1 << 30) + 40_000, 100)]
    assert len(ReadAhead(LIMITS).next(needed, [(0, 10)], 1 << 40)) == 1


def test_past_a_fraction_the_rest_is_read_too() -> None:
    """An object of which most is here is completed in one go, in pieces of bounded size."""
    size = 40 * MIB
    pieces = ReadAhead(LIMITS).next([(30 * MIB, 5)], [(0, 30 * MIB)], size)
    assert sum(length for _, length in pieces) == 10 * MIB
    assert max(length for _, length in pieces) <= LIMITS.read_ahead_max_bytes


def test_nothing_to_fetch_means_nothing() -> None:
    """A question for bytes that are here gives no range: the caller sees that the scan is stuck."""
    assert ReadAhead(LIMITS).next([(0, 10)], [(0, 100)], 1000) == []


def test_a_spool_holds_what_was_put_in_and_cannot_be_written_by_its_reader() -> None:
    """The worker's descriptor reads the ranges and is refused a write."""
    spool = Spool(10_000, LIMITS)
    try:
        spool.add(5000, b"tail")
        spool.add(0, b"head")
        assert spool.extents == [(0, 4), (5000, 4)]
        assert os.pread(spool.descriptor, 4, 5000) == b"tail"
        assert os.fstat(spool.descriptor).st_size == 10_000
        try:
            os.write(spool.descriptor, b"x")
        except OSError as error:
            assert error.errno == 9
        else:
            raise AssertionError("the reader's descriptor can be written")
    finally:
        spool.close()


def test_a_large_spool_is_a_sparse_file() -> None:
    """A spool for a huge object takes no more room than what was put in."""
    spool = Spool(1 << 36, LIMITS)
    try:
        spool.add((1 << 36) - 4, b"tail")
        status = os.fstat(spool.descriptor)
        assert status.st_size == 1 << 36
        assert status.st_blocks * 512 < MIB
    finally:
        spool.close()


@pytest.mark.parametrize("size", [1 << 62, (1 << 63) - 1, 1 << 63, 10**19])
def test_a_size_that_no_file_can_have(size: int) -> None:
    """A server may say any number: that is one object's failure, not the run's."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SourceError) as refused:
        Spool(size, LIMITS)
    assert refused.value.reason == "too_large"
    assert len(os.listdir("/proc/self/fd")) == before

"""Threads behind bounded queues: order, bounds, errors across the border, nothing left running."""

import threading
import time

import pytest

from vfuse.prefetch import prefetch, write_behind


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def write_all(write, items, *, depth):
    with write_behind(write, depth) as give:
        for item in items:
            give(item)


def test_items_pass_in_order():
    with prefetch(range(1000), 3) as items:
        assert list(items) == list(range(1000))


def test_the_producer_stays_within_its_depth():
    made = 0

    def source():
        nonlocal made
        for k in range(100):
            made += 1
            yield k

    with prefetch(source(), 4) as items:
        for k in items:
            time.sleep(0.001)
            assert made <= k + 1 + 4 + 1  # taken, queued, and one in the producer's hand


def test_an_error_of_the_producer_comes_after_the_good_items():
    def source():
        yield from (1, 2)
        raise OSError("broken")

    with prefetch(source(), 8) as items:
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(OSError, match="broken"):
            next(items)


def test_leaving_early_ends_the_producer():
    with prefetch(iter(int, 1), 2) as items:  # endless zeros
        assert next(items) == 0


def test_both_stages_work_at_the_same_time():
    meeting = threading.Barrier(2, timeout=10)  # breaks unless both sides come to it together

    def source():
        yield 0
        for k in range(1, 5):
            meeting.wait()
            yield k

    with prefetch(source(), 1) as items:
        for k in items:
            if k < 4:
                meeting.wait()
    assert not meeting.broken


def test_calls_pass_in_order_and_are_all_done_at_the_end():
    done = []
    with write_behind(done.append, 3) as write:
        for k in range(500):
            write(k)
    assert done == list(range(500))


def test_an_error_of_the_consumer_reaches_the_writer():
    def write(k):
        if k == 5:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_all(write, range(1000), depth=2)


def test_an_error_of_the_last_call_is_not_lost():
    def write(_):
        time.sleep(0.01)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_all(write, [1], depth=2)


def test_an_error_in_the_block_drops_what_has_not_begun():
    done = []

    def slow(k):
        time.sleep(0.02)
        done.append(k)

    def interrupted():
        yield from range(50)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all(slow, interrupted(), depth=50)
    assert len(done) < 50

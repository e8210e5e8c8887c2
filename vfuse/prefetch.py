"""Overlap the stages of a pipeline: a producer, a consumer or several workers, each in a thread of its own.

Errors cross the thread border unchanged, and no thread outlives its `with`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def prefetch(items: Iterable[T], depth: int) -> Generator[Iterator[T], None, None]:
    """Iterate over `items` in another thread, at most `depth` items ahead of whoever takes them.

    An error in `items` is raised where the item would have been taken, after the good ones before it.
    """
    channel: _Channel[T] = _Channel(depth)

    def produce() -> None:
        try:
            for item in items:
                if not channel.put(item):
                    return
            channel.close()
        except BaseException as error:  # the taker raises it
            channel.close(error)

    with _running(produce, channel):
        yield iter(channel)


@contextmanager
def write_behind(write: Callable[[T], None], depth: int) -> Generator[Callable[[T], None], None, None]:
    """A stand-in for `write` that returns at once and lets another thread do the work, `depth` calls behind.

    An error of `write` is raised by the next call, at the latest when the block ends. When the block itself
    fails, calls that have not begun are dropped.
    """
    channel: _Channel[T] = _Channel(depth)
    errors: list[BaseException] = []

    def consume() -> None:
        try:
            for item in channel:
                write(item)
        except BaseException as error:  # the giver raises it
            errors.append(error)
            channel.drop()

    def give(item: T) -> None:
        if not channel.put(item):
            raise errors[0]

    with _running(consume, channel) as thread:
        yield give
        channel.close()
        thread.join()
    if errors:
        raise errors[0]


def side_by_side(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """`map(function, items)` in order, by several threads; at most `workers` items are taken ahead.

    With one worker everything happens in the calling thread.
    """
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        coming: deque[Future[R]] = deque()
        try:
            for item in items:
                coming.append(pool.submit(function, item))
                if len(coming) == workers:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _running(work: Callable[[], None], channel: _Channel[T]) -> Generator[Thread, None, None]:
    # A daemon, so that a second Ctrl-C can leave even while a stalled pipe keeps the thread from ending.
    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        channel.drop()
        thread.join()


class _Channel(Generic[T]):
    """A bounded queue between two threads that either side can close."""

    def __init__(self, depth: int) -> None:
        self._depth = max(1, depth)
        self._items: deque[T] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self._changed = Condition()

    def put(self, item: T) -> bool:
        """Wait for room and add an item; False when the channel is closed and nobody will take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._depth)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def close(self, error: BaseException | None = None) -> None:
        """No item will follow; the taker gets those that are there, then the error if there is one."""
        with self._changed:
            self._closed, self._error = True, error
            self._changed.notify_all()

    def drop(self) -> None:
        """Forget what is there and let neither side wait."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed)
                if not self._items:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

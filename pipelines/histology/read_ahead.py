"""Reading while somebody else computes."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Iterable[T], ahead: int = 2) -> Iterator[T]:
    """The same items in the same order, made by a thread of their own before they are asked for.

    Args:
        items: Made one after the other; what making one raises is raised where it would have been yielded.
        ahead: At most so many wait.
    """
    source = iter(items)
    waiting: deque[Future[tuple[T, ...]]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as thread:
        try:
            waiting.extend(thread.submit(_next_of, source) for _ in range(ahead))
            while item := waiting.popleft().result():
                waiting.append(thread.submit(_next_of, source))
                yield item[0]
        finally:
            for future in waiting:
                future.cancel()


def _next_of(source: Iterator[T]) -> tuple[T, ...]:
    """The next item, or nothing at the end: a future cannot hold StopIteration."""
    for item in source:
        return (item,)
    return ()

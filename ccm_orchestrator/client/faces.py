"""From one description of a route to a method that blocks and to one that is awaited, with the same signature."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Generic, ParamSpec, TypeVar

from ccm_orchestrator.client.call import Call, Page
from ccm_orchestrator.client.carriers import AwaitingCarrier, BlockingCarrier
from ccm_orchestrator.client.following import Stream

P = ParamSpec("P")
T = TypeVar("T")


class BlockingGroup:
    def __init__(self, carrier: BlockingCarrier) -> None:
        self._carrier = carrier


class AwaitedGroup:
    def __init__(self, carrier: AwaitingCarrier) -> None:
        self._carrier = carrier


class Blocking(Generic[P, T]):
    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe

    def __get__(self, group: BlockingGroup, _owner: object) -> Callable[P, T]:
        @functools.wraps(self._describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return group._carrier.carry(self._describe(*args, **kwargs))

        return method


class Awaited(Generic[P, T]):
    def __init__(self, describe: Callable[P, Call[T]]) -> None:
        self._describe = describe

    def __get__(self, group: AwaitedGroup, _owner: object) -> Callable[P, Awaitable[T]]:
        @functools.wraps(self._describe)
        async def method(*args: P.args, **kwargs: P.kwargs) -> T:
            return await group._carrier.carry(self._describe(*args, **kwargs))

        return method


class BlockingPages(Generic[P, T]):
    """Every item of a list, page after page."""

    def __init__(self, describe: Callable[P, Call[Page[T]]]) -> None:
        self._describe = describe

    def __get__(self, group: BlockingGroup, _owner: object) -> Callable[P, Generator[T, None, None]]:
        @functools.wraps(self._describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
            upcoming: Call[Page[T]] | None = self._describe(*args, **kwargs)
            while upcoming is not None:
                page = group._carrier.carry(upcoming)
                yield from page
                upcoming = page.next

        return method


class AwaitedPages(Generic[P, T]):
    """Every item of a list, page after page."""

    def __init__(self, describe: Callable[P, Call[Page[T]]]) -> None:
        self._describe = describe

    def __get__(self, group: AwaitedGroup, _owner: object) -> Callable[P, AsyncGenerator[T, None]]:
        @functools.wraps(self._describe)
        async def method(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
            upcoming: Call[Page[T]] | None = self._describe(*args, **kwargs)
            while upcoming is not None:
                page = await group._carrier.carry(upcoming)
                for item in page:
                    yield item
                upcoming = page.next

        return method


class BlockingStream(Generic[P, T]):
    def __init__(self, describe: Callable[P, Stream[T]]) -> None:
        self._describe = describe

    def __get__(self, group: BlockingGroup, _owner: object) -> Callable[P, Generator[T, None, None]]:
        @functools.wraps(self._describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
            return group._carrier.follow(self._describe(*args, **kwargs))

        return method


class AwaitedStream(Generic[P, T]):
    def __init__(self, describe: Callable[P, Stream[T]]) -> None:
        self._describe = describe

    def __get__(self, group: AwaitedGroup, _owner: object) -> Callable[P, AsyncGenerator[T, None]]:
        @functools.wraps(self._describe)
        def method(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
            return group._carrier.follow(self._describe(*args, **kwargs))

        return method

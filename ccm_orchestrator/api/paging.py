"""Lists that may grow are read page by page: every page but the last says in a `Link` header where the next one is.

    Link: </api/tasks?project=shop&before=5e1f…>; rel="next"

The address has no host, so that nothing of what a client sent as its Host comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response

from ccm_orchestrator.errors import InputError

T = TypeVar("T")
After = Annotated[str | None, Query(min_length=1, max_length=200, description="Only what comes behind this id.")]
Before = Annotated[str | None, Query(min_length=1, max_length=200, description="Only what is older than this id.")]
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many; a `Link` header tells where it goes on.")]
DEFAULT_LIMIT = 100


class Paging:
    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response

    def goes_on(self, **cursor: object) -> None:
        """The list has more behind this cursor, which replaces the one of the request."""
        replaced = {*cursor, "last"}
        kept = [(name, value) for name, value in self._request.query_params.multi_items() if name not in replaced]
        query = urlencode([*kept, *cursor.items()])
        self._response.headers["Link"] = f'<{self._request.url.path}?{query}>; rel="next"'

    def part(
        self, items: Sequence[T], id_of: Callable[[T], str], behind: str | None, limit: int, cursor: str = "after"
    ) -> list[T]:
        """A page of a list that is whole in memory: what comes behind an id. Raises: InputError (it is not in it)."""
        begin = 0
        if behind is not None:
            place = next((place for place, item in enumerate(items) if id_of(item) == behind), None)
            if place is None:
                raise InputError(f"There is no {behind!r} in this list: read it from its beginning.")
            begin = place + 1
        page = list(items[begin : begin + limit])
        if begin + limit < len(items):
            self.goes_on(**{cursor: id_of(page[-1])})
        return page


async def _pager(request: Request, response: Response) -> Paging:
    """Async, though it waits for nothing: FastAPI would make the value in a thread."""
    return Paging(request, response)


Pager = Annotated[Paging, Depends(_pager)]

"""Answers of Supabase, read up to a limit: whatever stands at its address must not be able to fill the memory."""

from __future__ import annotations

from typing import Any

import httpx

MOST_BYTES = 256_000_000
"""Of an unpacked answer. Ten claimed tasks with the largest prompts are 40 MB, or 240 MB if all of it is escaped."""
PACKINGS = "gzip, deflate"
"""Of which a small part that was received cannot become more than a thousand times as much."""


class AnswerTooLarge(httpx.StreamError):
    """The answer is over the limit, or packed in a way that was not asked for."""

    def __init__(self) -> None:
        super().__init__(f"more than {MOST_BYTES // 1_000_000} MB, or packed in a way that was not asked for")


class BoundedClient(httpx.AsyncClient):
    """Every answer is in memory when it is returned. Raises: AnswerTooLarge, beside what httpx raises."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.headers["Accept-Encoding"] = PACKINGS

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        arriving = await super().send(request, **options | {"stream": True})
        try:
            content = await _content(arriving)
        finally:
            await arriving.aclose()
        kept = [(name, value) for name, value in arriving.headers.raw if name.lower() != b"content-encoding"]
        return httpx.Response(
            arriving.status_code, headers=kept, content=content, request=request, extensions=arriving.extensions
        )


async def _content(arriving: httpx.Response) -> bytes:
    packing = arriving.headers.get("Content-Encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "deflate"):  # one, for twice is a million times as much
        raise AnswerTooLarge
    content = bytearray()
    async for chunk in arriving.aiter_bytes():
        content += chunk
        if len(content) > MOST_BYTES:
            raise AnswerTooLarge
    return bytes(content)

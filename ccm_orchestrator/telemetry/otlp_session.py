"""How spans are posted: of an answer nothing counts but the status, and they go to the configured address only."""

from __future__ import annotations

from typing import Any

import requests


class OtlpSession(requests.Session):
    """Reads no body, which may be endless, and follows no redirect."""

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Raises: requests.RequestException."""
        answer = super().request(*arguments, **options | {"stream": True, "allow_redirects": False})
        answer.close()
        if answer.is_redirect:
            raise requests.TooManyRedirects("it answers with a redirect, which is not followed: configure its target")
        return answer

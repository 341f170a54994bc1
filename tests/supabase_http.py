"""Somebody in front of a Supabase project, with nothing but HTTP and a token."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg

from ccm_orchestrator.devstack.stack import LocalSupabase

LEASE_S = 60.0
SUCCEEDED = {"outcome": "succeeded", "text": "it is mended"}
FAILED = {"outcome": "failed", "text": ""}


@dataclass
class Caller:
    stack: LocalSupabase
    token: str | None
    """None: the publishable key alone."""
    user_id: str | None = None
    _http: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        secret = self.token == self.stack.secret_key
        headers = {"apikey": self.stack.secret_key if secret else self.stack.publishable_key}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        # there is no TLS on loopback, and reading all certificates takes longer than a whole test
        self._http = httpx.Client(
            base_url=f"{self.stack.url}/rest/v1", headers=headers, timeout=60, trust_env=False, verify=False
        )

    def close(self) -> None:
        self._http.close()

    def call(self, function: str, **params: object) -> httpx.Response:
        return self._http.post(f"/rpc/{function}", json=params)

    def rpc(self, function: str, **params: object) -> Any:
        answer = self.call(function, **params)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def get(self, path: str) -> httpx.Response:
        return self._http.get(f"/{path}")

    def rows(self, path: str) -> list[dict[str, Any]]:
        answer = self.get(path)
        assert answer.status_code == httpx.codes.OK, answer.text
        return list(answer.json())

    def send(self, method: str, path: str, body: object = None) -> httpx.Response:
        return self._http.request(method, f"/{path}", json=body)

    # --- what tests say most ---

    def enqueue(self, prompt: str = "Mend it", **wishes: object) -> dict[str, Any]:
        task = {"project": "demo", "prompt": prompt, **wishes}
        return dict(self.rpc("enqueue_task", p_task=task, p_queue_limit=100_000)["task"])

    def claim(self, system: str = "here", count: int = 10, request: str | None = None) -> list[dict[str, Any]]:
        params = {"p_request_id": request or uuid.uuid4().hex, "p_system_id": system, "p_boot_id": f"{system}-boot"}
        return list(self.rpc("claim_tasks", **params, p_count=count, p_lease_s=LEASE_S))

    def has_project(self, system: str = "here", name: str = "demo", profile: str | None = None) -> None:
        self.rpc("add_project", p_system_id=system, p_project={"name": name, "path": f"/{name}", "profile": profile})

    def register(self, system: str = "here", **card: object) -> dict[str, Any]:
        return dict(self.rpc("register_system", p_system={"system_id": system, "boot_id": f"{system}-boot", **card}))

    def renew(self, *tasks: dict[str, Any], system: str = "here", boot: str | None = None) -> dict[str, str]:
        keys = [{"task_id": task["task_id"], "fence": task["fence"]} for task in tasks]
        params = {"p_system_id": system, "p_boot_id": boot or f"{system}-boot", "p_keys": keys, "p_lease_s": LEASE_S}
        return dict(self.rpc("renew_leases", **params)["answers"])

    def finish(self, task: dict[str, Any], result: dict[str, Any] = SUCCEEDED) -> str:
        key = {"p_task_id": task["task_id"], "p_fence": task["fence"]}
        return str(self.rpc("finish_task", **key, p_result=result)["answer"])


def sql(stack: LocalSupabase, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """As the owner of the database does it in the SQL editor."""
    with psycopg.connect(stack.owner_url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

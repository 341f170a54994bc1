"""The floor of the API's benchmark: a bare FastAPI application that does the same insert and the same look-up.

python -m benchmarks.api_floor DATABASE PORT
"""

from __future__ import annotations

import sqlite3
import sys
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from ccm_orchestrator.adapters.sqlite.migrations import apply, shipped_migrations

_INSERT = """
INSERT INTO tasks (task_id, prompt, project, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
"""


class TaskInput(BaseModel):
    project: str
    prompt: str


class TaskOutput(BaseModel):
    task_id: str
    project: str
    prompt: str
    status: str
    priority: int
    created_at: str
    updated_at: str


def create_app(database: str) -> FastAPI:
    app = FastAPI()
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    for name, migration in shipped_migrations().items():
        apply(connection, name, migration)
    lock = threading.Lock()

    def find(task_id: str) -> TaskOutput:
        row = connection.execute("SELECT * FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        if row is None:
            raise HTTPException(404)
        return TaskOutput(**{name: row[name] for name in TaskOutput.model_fields})

    @app.post("/api/tasks", status_code=201)
    def create(body: TaskInput) -> TaskOutput:
        task_id, now = uuid.uuid4().hex, datetime.now(UTC).isoformat()
        values: tuple[Any, ...] = (task_id, body.prompt, body.project, now, now)
        with lock:
            connection.execute(_INSERT, values)
            return find(task_id)

    @app.get("/api/tasks/{task_id}")
    def get(task_id: str) -> TaskOutput:
        with lock:
            return find(task_id)

    return app


def main() -> None:
    _, database, port = sys.argv
    uvicorn.run(create_app(database), port=int(port), http="h11", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()

"""python -m benchmarks.subscriber_server DATABASE: an API on a real event log, and an agent that never stops talking.

Prints its port; each line that it reads is `RATE SECONDS`: it publishes so many events a second for so long, and prints
the last cursor, the CPU seconds that it has taken since it began, and its memory in MB.
"""

import asyncio
import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from ccm_orchestrator.adapters.sqlite.database import Database
from ccm_orchestrator.adapters.sqlite.events import SqliteEventStore
from ccm_orchestrator.api.server import ApiServer
from ccm_orchestrator.domain.events import BusEvent, EventKind
from tests.api_house import RUN_A, House

BURST = 10
"""Events in one commit, as the intake makes it."""


async def serve(path: Path) -> None:
    database = Database(path)
    await database.open()
    house = House()
    house.events = SqliteEventStore(database)  # type: ignore[assignment]
    house.restart()
    await house.prepare()
    run = await house.agent()
    server = ApiServer(house.app, "127.0.0.1", 0)
    await server.start()
    print(server.port, flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        rate, seconds_s = (float(word) for word in line.split())
        process = psutil.Process(os.getpid())
        # the orchestrator has a thread and a loop of its own, too
        talking = threading.Thread(target=asyncio.run, args=(_talk(house, run.task_id, rate, seconds_s),))
        talking.start()
        await asyncio.to_thread(talking.join)
        times = process.cpu_times()
        print(await house.events.last_seq(), times.user + times.system, process.memory_info().rss / 1e6, flush=True)
    await server.stop()
    await database.close()


async def _talk(house: House, task_id: str, rate: float, seconds_s: float) -> None:
    began = time.monotonic()
    for number in range(int(rate * seconds_s / BURST)):
        data = {"tool_name": "Bash", "tool_use_id": f"toolu_{number}", "result": {"stdout": "line of output\n" * 8}}
        at = datetime.now(UTC)
        stamped = data | {"sent": time.monotonic()}
        kind = EventKind.TOOL_USE_COMPLETE
        await house.bus.publish(*(BusEvent(kind, at, task_id, RUN_A, stamped) for _ in range(BURST)))
        await asyncio.sleep(max(0.0, began + (number + 1) * BURST / rate - time.monotonic()))


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))

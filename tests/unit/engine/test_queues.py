"""The stores that one system serves."""

import pytest

from ccm_orchestrator.engine.queues import Queues
from ccm_orchestrator.errors import InputError, StoreUnavailable
from ccm_orchestrator.fakes.clock import FakeClock
from ccm_orchestrator.fakes.memory_tasks import MemoryTaskStore

WHY = "Only the daemon speaks with it."


async def test_a_store_that_cannot_be_asked_from_here_says_why() -> None:
    queues = Queues(MemoryTaskStore(FakeClock()), out_of_reach={"supabase": WHY})
    with pytest.raises(StoreUnavailable, match=WHY):
        queues.named("supabase")
    with pytest.raises(StoreUnavailable, match=f"no task 'elsewhere'.*{WHY}"):
        await queues.find("elsewhere")


async def test_what_is_not_configured_is_bad_input() -> None:
    with pytest.raises(InputError, match="there are: local"):
        Queues(MemoryTaskStore(FakeClock())).named("supabase")

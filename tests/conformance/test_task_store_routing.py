"""What every task store keeps: which machine may take a task, and what is known of the machines."""

import pytest

from ccm_orchestrator.errors import InvalidTask, NotFound
from ccm_orchestrator.ports.systems import SystemInfo
from tests.stores import LEASE_S, Queue


def info(system_id: str = "here", *labels: str) -> SystemInfo:
    return SystemInfo(system_id, f"The machine {system_id}", "1.2.3", 4, labels)


class TestLabels:
    async def test_a_task_goes_only_to_a_system_with_all_its_labels(self, queue: Queue) -> None:
        await queue.store.register_system(info("here", "linux"), "here-boot")
        await queue.store.register_system(info("there", "gpu", "linux"), "there-boot")
        wanted = await queue.add(labels=("linux", "gpu"))
        assert wanted.labels == ("linux", "gpu")
        assert await queue.claim(5, "here") == []
        (claimed,) = await queue.claim(5, "there")
        assert (claimed.task_id, claimed.labels) == (wanted.task_id, ("linux", "gpu"))

    async def test_a_system_that_never_introduced_itself_has_no_labels(self, queue: Queue) -> None:
        await queue.add(labels=("linux",))
        plain = await queue.add()
        assert [task.task_id for task in await queue.claim(5)] == [plain.task_id]

    async def test_labels_are_those_of_the_last_introduction(self, queue: Queue) -> None:
        await queue.store.register_system(info("here", "linux"), "here-boot")
        await queue.add(labels=("gpu",))
        assert await queue.claim() == []
        await queue.store.register_system(info("here", "gpu"), "here-boot")
        await queue.claim_one()

    async def test_labels_and_a_named_system_both_count(self, queue: Queue) -> None:
        await queue.store.register_system(info("here", "linux"), "here-boot")
        await queue.store.register_system(info("there"), "there-boot")
        await queue.add(labels=("linux",), system_id="there")
        assert await queue.claim(5, "here") == []
        assert await queue.claim(5, "there") == []

    async def test_one_that_no_system_may_take_keeps_nobody_else_waiting(self, queue: Queue) -> None:
        for _ in range(5):
            await queue.add(labels=("moon",), priority=9)
        plain = await queue.add()
        assert [task.task_id for task in await queue.claim(5)] == [plain.task_id]

    @pytest.mark.parametrize("label", ["", "two words", "-dash", "x" * 64, "ü", "a\n"])
    async def test_what_is_no_label_is_refused(self, queue: Queue, label: str) -> None:
        with pytest.raises(InvalidTask, match="Expected each of `labels`"):
            await queue.add(labels=(label,))


class TestSystems:
    async def test_what_they_said_of_themselves_is_listed_with_what_is_known_of_them(self, queue: Queue) -> None:
        await queue.store.register_system(info("there", "gpu"), "there-boot")
        await queue.store.register_system(info("here"), "here-boot")
        await queue.add()
        await queue.claim_one("here")
        queue.clock.advance(30)
        await queue.renew(system="there")
        here, there = [view for view in await queue.store.systems() if view.system_id in ("here", "there")]
        assert (here.system_name, here.version, here.max_agents, here.labels) == ("The machine here", "1.2.3", 4, ())
        assert (here.leased, here.silent_s, here.draining) == (1, 30.0, False)
        assert (there.leased, there.silent_s, there.labels) == (0, 0.0, ("gpu",))
        assert there.last_seen == queue.now() and there.connected_since < queue.now()

    async def test_one_that_drains_keeps_what_it_has_and_gets_nothing_more(self, queue: Queue) -> None:
        await queue.store.register_system(info(), "here-boot")
        task = await queue.running()
        await queue.add()
        await queue.store.drain("here")
        assert await queue.claim() == []
        assert (await queue.store.renew("here", "here-boot", [task.key], LEASE_S))[task.task_id] == "drain"
        await queue.store.register_system(info(), "here-boot")
        assert await queue.claim() == []  # introducing itself again does not end it
        await queue.store.drain("here", False)
        await queue.claim_one()

    async def test_draining_is_no_heartbeat(self, queue: Queue) -> None:
        await queue.store.register_system(info(), "here-boot")
        queue.clock.advance(100)
        await queue.store.drain("here")
        (here,) = [view for view in await queue.store.systems() if view.system_id == "here"]
        assert here.silent_s == 100.0 and here.draining

    async def test_an_unknown_one_cannot_be_drained(self, queue: Queue) -> None:
        with pytest.raises(NotFound, match="no system 'nowhere'"):
            await queue.store.drain("nowhere")

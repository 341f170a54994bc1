"""Both ways to run tmux commands: the same requests, the same answers."""

import time

import pytest

from ccm_orchestrator.adapters.tmux.commands import CommandClient, Reply, Server, guarded
from ccm_orchestrator.adapters.tmux.control import ControlClient
from ccm_orchestrator.adapters.tmux.exec_client import BATCH_BYTES, ExecClient
from ccm_orchestrator.adapters.tmux.server import Address
from tests.terminals import PATIENCE_S, SOCKET, Tmux

pytestmark = pytest.mark.tmux


@pytest.fixture(params=[ControlClient, ExecClient])
async def client(request: pytest.FixtureRequest, tmux: Tmux) -> CommandClient:
    starter = tmux.terminal()
    await starter.start()
    await starter.stop()
    made: CommandClient = request.param(Address("tmux", SOCKET, tmux.directory, "ccm"), PATIENCE_S)
    return made


def say(text: str) -> list[tuple[str, ...]]:
    return [("display-message", "-p", text)]


def in_an_hour() -> int:
    return int(time.time()) + 3600


async def test_answers_come_in_order_and_a_failure_is_its_own(client: CommandClient) -> None:
    missing = [("kill-pane", "-t", "%9999"), ("display-message", "-p", "never")]
    answer = await client.run(say("one"), missing, say("two"), missing, say("three\nlines\n\nhere"), say(""))
    failed = Reply(False, "can't find pane: %9999")
    assert answer.replies == (
        Reply(True, "one"),
        failed,
        Reply(True, "two"),
        failed,
        Reply(True, "three\nlines\n\nhere"),
        Reply(True, ""),
    )
    await client.close()


async def test_more_requests_than_one_process_can_take(client: CommandClient) -> None:
    texts = [f"{number} " + "x" * 400 for number in range(3 * BATCH_BYTES // 400)]
    answer = await client.run(*map(say, texts))
    assert [reply.text for reply in answer.replies] == texts
    await client.close()


async def test_who_answers_is_known(client: CommandClient, tmux: Tmux) -> None:
    pid, start = tmux.ask("display-message", "-p", "#{pid} #{start_time}").split()
    assert (await client.run(say("x"))).server == Server(int(pid), int(start))
    await client.close()


async def test_what_is_guarded_happens_in_time_on_its_server_or_not_at_all(client: CommandClient, tmux: Tmux) -> None:
    server = (await client.run(say("x"))).server

    def mark(name: str) -> list[tuple[str, ...]]:
        return [("set-option", "-s", f"@{name}", "it's; done")]

    await client.run(
        guarded(mark("good"), server, in_an_hour()),
        guarded(mark("late"), server, int(time.time()) - 1),
        guarded(mark("pid"), Server(server.pid + 1, server.start), in_an_hour()),
        guarded(mark("start"), Server(server.pid, server.start + 1), in_an_hour()),
    )
    options = tmux.ask("show-options", "-s")
    assert "@good" in options and "it's; done" in options
    assert not any(f"@{name} " in options for name in ("late", "pid", "start"))
    await client.close()


async def test_a_guarded_failure_is_told(client: CommandClient) -> None:
    server = (await client.run(say("x"))).server
    missing = guarded([("kill-pane", "-t", "%9999")], server, in_an_hour())
    answer = await client.run(say("before"), missing, say("after"))
    assert answer.replies[0] == Reply(True, "before") and answer.replies[2] == Reply(True, "after")
    assert answer.replies[1] == Reply(False, "can't find pane: %9999")
    await client.close()


async def test_bytes_that_are_no_text_do_not_disturb(client: CommandClient) -> None:
    answer = await client.run(say("\ud800 é 🙂"), say("next"))
    assert answer.replies[1] == Reply(True, "next") and answer.replies[0].text.endswith(" é 🙂")
    await client.close()

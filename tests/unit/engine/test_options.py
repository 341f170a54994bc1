"""What a task changes in its profile reaches the agent."""

from ccm_orchestrator.domain.options import RunOptions
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import Mode
from ccm_orchestrator.engine.spawn import with_options
from tests.unit.engine.house import House

SESSION = "5b9c4ad2-6f43-4a0e-93b1-8e8c6e3f7a11"
PROFILE = Profile("writer", allowed_tools=("Read",), system_prompt="Write well.")


def test_nothing_is_changed_by_nothing() -> None:
    assert with_options(PROFILE, None) is PROFILE
    assert with_options(PROFILE, RunOptions()) == PROFILE


def test_tools_are_replaced_and_prompts_joined() -> None:
    changed = with_options(PROFILE, RunOptions(allowed_tools=(), system_prompt=" Be brief. ", print_mode=True))
    assert (changed.allowed_tools, changed.mode) == ((), Mode.PRINT)
    assert changed.system_prompt == "Write well.\n\nBe brief."


async def test_a_conversation_is_begun_under_its_id_and_gone_on_with(home: House) -> None:
    await home.start()
    begun = await home.running(options=RunOptions(session_id=SESSION))
    assert (begun.session_id, begun.resumed) == (SESSION, False)
    resumed = await home.running(options=RunOptions(session_id=SESSION, resume=True))
    assert (resumed.session_id, resumed.resumed) == (SESSION, True)


async def test_a_run_is_for_whom_its_task_is(home: House) -> None:
    await home.start()
    assert (await home.running(owner="anna")).owner == "anna"
    assert (await home.running()).owner is None

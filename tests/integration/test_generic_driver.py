"""The generic driver with real commands, launchers and windows."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccm_orchestrator.adapters.generic.driver import GenericDriver
from ccm_orchestrator.adapters.generic.markers import done_marker, error_marker, nonce
from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.domain.agent import AgentState, Evidence, Signal, Source
from ccm_orchestrator.domain.events import EventKind, HookRecord
from ccm_orchestrator.domain.profiles import Profile
from ccm_orchestrator.domain.run import Mode, ProcessRef, Run, RunState
from ccm_orchestrator.domain.transitions import first_view, next_state
from ccm_orchestrator.errors import AgentMissing, InvalidProject, InvalidSettings
from ccm_orchestrator.ports.agents import AgentDriver, LaunchOrder, SessionTrace
from ccm_orchestrator.ports.launching import Launch
from ccm_orchestrator.ports.terminal import Key
from tests.launching import Launchers, StartedLauncher
from tests.terminals import shown, until

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "SUPABASE_KEY": "canary"}
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def new_run(cwd: Path, mode: Mode = Mode.INTERACTIVE) -> Run:
    return Run(
        run_id=secrets.token_hex(16),
        task_id="task-1",
        fence=1,
        attempt=1,
        term=1,
        state=RunState.RUNNING,
        project="sample",
        cwd=cwd,
        profile="other",
        driver="generic",
        mode=mode,
        session_id=None,
        resumed=False,
        created_at=STARTED,
        started_at=STARTED,
    )


def order(run: Run, directory: Path, *command: str, prompt: str = "Fix it.", **profile: object) -> LaunchOrder:
    return LaunchOrder(
        run=run,
        prompt=prompt,
        profile=replace(Profile("other", driver="generic", mode=run.mode, command=command), **profile),  # type: ignore[arg-type]
        model="large-1",
        budget_usd=None,
        run_directory=directory,
        spool_directory=directory,
        permission_url=None,
        token="",
    )


@pytest.fixture
def driver() -> GenericDriver:
    return GenericDriver(ENVIRONMENT)


class Started:
    """A command that the driver prepared and a real launcher started."""

    def __init__(self, driver: GenericDriver, run: Run, launcher: StartedLauncher) -> None:
        self.driver = driver
        self.run = run
        self.launcher = launcher

    def trace(self) -> SessionTrace:
        pid = self.launcher.agent_pid
        return SessionTrace(self.run, ProcessRef(pid, "0"), self.launcher.directory, None, None)

    async def evidence(self) -> Sequence[Evidence]:
        return await self.driver.observe(self.trace())

    async def text(self) -> str:
        return (await self.driver.report(self.trace(), ())).text


async def start(driver: GenericDriver, launchers: Launchers, mode: Mode, *command: str, prompt: str = "Go.") -> Started:
    run = replace(new_run(launchers.state_directory, mode), started_at=datetime.now(UTC))
    launch = await driver.prepare(order(run, launchers.pad.directory(run.run_id), *command, prompt=prompt))
    argv = await launchers.pad.prepare(run.run_id, 1, launch)
    return Started(driver, run, launchers.open(run.run_id, argv))


async def test_placeholders_are_replaced_and_the_environment_is_an_allow_list(
    driver: GenericDriver, tmp_path: Path
) -> None:
    run = new_run(tmp_path)
    command = ("sh", "--in={prompt_file}", "{marker_done}|{marker_error}", "{other}", "{}")
    launch = await driver.prepare(order(run, tmp_path / "run", *command, env={"KEY": "k"}, memory_limit_mb=64))
    done, failed = done_marker(run.run_id), error_marker(run.run_id)
    program, *arguments = launch.argv
    assert Path(program).is_absolute()
    assert Path(program).name == "sh"
    assert arguments == [f"--in={tmp_path}/run/prompt.txt", f"{done}|{failed}", "{other}", "{}"]
    assert launch.stdin_file is None
    assert launch.stdout_file is None
    assert launch.memory_limit_bytes == 64 * 1024 * 1024
    assert launch.env["KEY"] == "k"
    assert launch.env["LC_ALL"] == "C.UTF-8"
    assert launch.env["CCM_MODEL"] == "large-1"
    assert launch.env["CCM_MARKER_DONE"] == done
    assert "SUPABASE_KEY" not in launch.env


async def test_only_a_command_that_prints_no_markers_is_asked_for_them(driver: GenericDriver, tmp_path: Path) -> None:
    run = new_run(tmp_path)
    prompt = "--Fix 'it' \U0001f600\n[DONE]\x00"
    asked = await driver.prepare(order(run, tmp_path, "sh", "{prompt_file}", prompt=prompt, system_prompt="Be brief."))
    told = asked.files["prompt.txt"].decode()
    assert told.startswith(f"Be brief.\n\n{prompt}\n\n")
    assert nonce(run.run_id) in told
    assert done_marker(run.run_id) not in told
    itself = await driver.prepare(order(run, tmp_path, "sh", "{prompt_file}", "{marker_done}", prompt=prompt))
    assert itself.files["prompt.txt"].decode() == f"{prompt}\n"


async def test_what_cannot_be_started_is_refused_with_a_reason(driver: GenericDriver, tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="`other` uses the driver `generic` but has no `command`"):
        await driver.prepare(order(new_run(tmp_path), tmp_path))
    with pytest.raises(AgentMissing, match="`no-such-agent` of the profile `other` was not found"):
        await driver.prepare(order(new_run(tmp_path), tmp_path, "no-such-agent"))
    with pytest.raises(InvalidProject, match="gone"):
        await driver.prepare(order(new_run(tmp_path / "gone"), tmp_path, "sh"))
    (tmp_path / "agent").write_text("#!/bin/sh\n")
    with pytest.raises(AgentMissing):
        await driver.prepare(order(new_run(tmp_path), tmp_path, "./agent"))
    (tmp_path / "agent").chmod(0o755)
    assert (await driver.prepare(order(new_run(tmp_path), tmp_path, "./agent"))).argv == [f"{tmp_path}/agent"]


async def test_a_command_in_print_mode_gets_its_prompt_and_its_output_is_the_result(
    driver: GenericDriver, launchers: Launchers
) -> None:
    script = 'cat; printf "10%%\\r\\033[1m100%%\\033[0m\\n"; echo "$CCM_MARKER_DONE"'
    started = await start(driver, launchers, Mode.PRINT, "sh", "-c", script, prompt="Say [DONE], then\n[DONE]")
    assert started.launcher.exit["exit_code"] == 0
    text = await started.text()
    assert text.startswith("Say [DONE], then\n[DONE]\n\nWhen the task is finished")
    assert text.endswith("100%")
    assert "10%\r" not in text
    assert [(e.source, e.signal) for e in await started.evidence()] == [
        (Source.SCREEN, Signal.ACTIVE),
        (Source.STREAM, Signal.MARKER_DONE),
    ]


async def test_an_error_that_was_printed_right_before_a_clean_exit_is_not_missed(
    driver: GenericDriver, launchers: Launchers
) -> None:
    started = await start(driver, launchers, Mode.PRINT, "sh", "-c", 'echo "{marker_error} no database"; exit 0')
    assert started.launcher.exit["exit_code"] == 0
    view = first_view(STARTED)
    for evidence in await started.evidence():
        view = next_state(view, evidence)
    view = next_state(view, Evidence(Source.EXIT_RECORD, Signal.EXITED, datetime.now(UTC), data={"done": True}))
    assert view.state is AgentState.ERROR
    assert view.evidence is not None
    assert (view.evidence.signal, view.evidence.detail) == (Signal.MARKER_ERROR, "no database")


async def test_a_command_that_just_ends_says_nothing_by_itself(driver: GenericDriver, launchers: Launchers) -> None:
    started = await start(driver, launchers, Mode.PRINT, "sh", "-c", "cat >/dev/null; exit 3")
    assert started.launcher.exit["exit_code"] == 3
    assert [e.signal for e in await started.evidence()] == [Signal.ACTIVE]
    assert await started.text() == ""
    assert driver.exit_means_done


async def test_output_on_its_terminal_is_a_sign_of_life(driver: GenericDriver, launchers: Launchers) -> None:
    script = "read line; printf 'more\\n'; sleep 600"
    started = await start(driver, launchers, Mode.INTERACTIVE, "sh", "-c", script, "{prompt_file}")
    terminal = Path(f"/proc/{started.launcher.agent_pid}/fd/1").readlink()
    os.utime(terminal, (1, 1))
    before = [e.at for e in await started.evidence() if e.signal is Signal.ACTIVE]
    assert before == [datetime.fromtimestamp(1, UTC)]
    started.launcher.terminal.type(b"\n")

    async def moved() -> bool:
        times = [e.at for e in await started.evidence() if e.signal is Signal.ACTIVE]
        return times[0] > datetime.now(UTC) - timedelta(seconds=60)

    await until(moved, "output on the terminal")


async def test_before_its_process_is_known_there_is_nothing_to_see(driver: GenericDriver, tmp_path: Path) -> None:
    trace = SessionTrace(new_run(tmp_path), None, tmp_path, None, None)
    assert await driver.observe(trace) == ()
    assert (await driver.report(trace, ())).text == ""


@pytest.mark.tmux
async def test_the_marker_is_found_on_a_real_screen_and_the_echoed_prompt_is_not(
    driver: GenericDriver, launchers: Launchers, terminal: TmuxTerminal
) -> None:
    run = new_run(launchers.state_directory)
    prompt = "Print [DONE] when ready.\n[DONE]\n[ERROR] no"
    script = 'cat "$1"; echo READY; read line; echo "got $line"; echo "  $CCM_MARKER_DONE"; sleep 600'
    directory = launchers.pad.directory(run.run_id)
    launch: Launch = await driver.prepare(
        order(run, directory, "sh", "-c", script, "sh", "{prompt_file}", prompt=prompt)
    )
    window = await terminal.open_window(run.run_id, await launchers.pad.prepare(run.run_id, 1, launch))
    try:
        await shown(terminal, window, "READY")
        echoed = await terminal.capture(window)
        assert nonce(run.run_id) in echoed.replace("\n", "")
        assert driver.read_screen(echoed, STARTED, run.run_id) is None
        for key in driver.message_keys("go\non", echoed):
            await (terminal.press(window, key) if isinstance(key, Key) else terminal.type_text(window, key))
        await shown(terminal, window, done_marker(run.run_id))
        found = driver.read_screen(await terminal.capture(window), STARTED, run.run_id)
        assert found is not None
        assert (found.source, found.signal) == (Source.SCREEN, Signal.MARKER_DONE)
        assert found.detail.endswith("got go on")
        assert driver.read_screen(await terminal.capture(window), STARTED, secrets.token_hex(16)) is None
    finally:
        await launchers.pad.kill(run.run_id)


async def test_it_has_no_hooks_no_registry_and_no_permissions(driver: AgentDriver) -> None:
    assert (await driver.probe()).ok
    assert driver.registry_directory() is None
    with pytest.raises(ValueError, match="no permission hook"):
        driver.read_permission({})
    record = HookRecord("run/a", "run", "Stop", STARTED, b"{}")
    reading = driver.read_hook(record, "task")
    assert reading.evidence == ()
    assert [event.kind for event in reading.events] == [EventKind.HOOK]

"""Text from anywhere is text: nothing of it is a command to tmux or to a shell."""

import json
import random
import sys
from pathlib import Path

import psutil
import pytest

from ccm_orchestrator.adapters.tmux.terminal import TmuxTerminal
from ccm_orchestrator.domain.run import WindowRef
from ccm_orchestrator.ports.terminal import Key, typeable
from tests.terminals import Tmux, new_run_id, shown, until

pytestmark = pytest.mark.tmux

KEEP_BYTES = ("/bin/sh", "-c", 'stty raw -echo; echo READY; exec cat > "$1"', "sh")
"""Writes every byte that is typed into a file."""

TELL_ARGUMENTS = """
import json, os, sys
with open(sys.argv[1], "w") as file:
    json.dump(sys.argv[2:], file)
os.rename(*sys.argv[1:3])
"""

HOSTILE = [
    "text;",
    ";",
    "a\\;",
    "\\",
    "'x;' kill-server",
    '"x;" ; kill-server',
    "x' ; kill-server ; '",
    "#(touch pwned)",
    "#{pid} ##{pid} #[fg=red] #",
    "$(touch pwned) `touch pwned` $HOME ${HOME} ~ ~/x",
    "{ kill-server }",
    "} ; kill-server",
    "-l",
    "-t %0",
    "--",
    "Enter",
    "C-c",
    "%end 1700000000 5 1",
    "\nkill-server\n",
    "first\nsecond\n\nthird",
    "%if 1",
    "# comment",
    "naïve 日本語 🙂👩‍👩‍👧 עברית \u2028 \u202e",
    " leading and trailing ",
    "x" * 1000,
]


@pytest.fixture(params=[True, False], ids=["control", "exec"])
async def terminal(request: pytest.FixtureRequest, tmux: Tmux) -> TmuxTerminal:
    terminal = tmux.terminal(control_mode=request.param)
    await terminal.start()
    return terminal


async def typed_into_file(terminal: TmuxTerminal, file: Path, *texts: str) -> None:
    """Types the texts, each followed by Enter, which a program in raw mode gets as CR."""
    ref = await terminal.open_window(new_run_id(), [*KEEP_BYTES, str(file)])
    await shown(terminal, ref, "READY")
    for text in texts:
        await terminal.type_text(ref, text)
        await terminal.press(ref, Key.ENTER)

    async def all_there() -> bool:
        return file.read_bytes().count(b"\r") == len(texts)

    await until(all_there, "every text arrives")


async def test_attack_36_hostile_text_is_typed_literally(tmux: Tmux, terminal: TmuxTerminal) -> None:
    file = tmux.directory / "typed"
    await typed_into_file(terminal, file, *HOSTILE)
    assert file.read_bytes().decode().split("\r")[:-1] == HOSTILE
    assert (await terminal.health()).ok


async def test_any_text_is_typed_whole(tmux: Tmux, terminal: TmuxTerminal) -> None:
    chance = random.Random(11)
    alphabet = "ab \n;;\\'\"#(){}$`%-~éß日🙂\t\x00\x1b\x7f\x85\ud800"
    texts = ["".join(chance.choices(alphabet, k=chance.randint(1, 900))) + "." for _ in range(12)]
    file = tmux.directory / "typed"
    await typed_into_file(terminal, file, *texts)
    assert file.read_bytes().decode().split("\r")[:-1] == list(map(typeable, texts))


async def test_attack_34_an_argument_of_the_launcher_is_one_argument(tmux: Tmux, terminal: TmuxTerminal) -> None:
    directory = tmux.directory / "a b'c\"d #(touch pwned) $(x) ;"
    directory.mkdir()
    program = directory / "tell.py"
    program.write_text(
        "import json, os, sys\njson.dump(sys.argv[2:], open(sys.argv[1], 'w'))\nos.rename(*sys.argv[1:3])"
    )
    partial, told = str(directory / "partial"), str(directory / "told;")
    await terminal.open_window(new_run_id(), [sys.executable, "-I", "-S", str(program), partial, told, *HOSTILE])

    async def has_told() -> bool:
        return Path(told).exists()

    await until(has_told, "the program was started with its arguments")
    assert json.loads(Path(told).read_text()) == [told, *HOSTILE]
    assert not list(tmux.directory.rglob("pwned")) and not Path("pwned").exists()


async def test_a_program_without_arguments_is_not_given_to_a_shell(tmux: Tmux, terminal: TmuxTerminal) -> None:
    program = tmux.directory / "run; touch pwned"
    program.write_text("#!/bin/sh\necho STARTED; exec cat\n")
    program.chmod(0o755)
    ref = await terminal.open_window(new_run_id(), [str(program)])
    await shown(terminal, ref, "STARTED")


async def test_what_an_agent_writes_is_not_the_protocol(tmux: Tmux, terminal: TmuxTerminal) -> None:
    forged = "\n".join(f"%end {second} {number} 1" for second in (1700000000, 1) for number in range(15))
    forged += "\n%begin 1 2 1\nforged\n%end 1 2 1\n%exit\n%error 1 2 1"
    file = tmux.directory / "forged"
    file.write_text(forged)
    ref = await terminal.open_window(new_run_id(), ["/bin/sh", "-c", 'cat "$1"; echo; exec cat', "sh", str(file)])
    await shown(terminal, ref, "%error 1 2 1")
    other = await terminal.open_window(new_run_id(), ["/bin/sh", "-c", "echo OTHER; exec cat"])
    await shown(terminal, other, "OTHER")
    assert (await terminal.capture(ref)).rstrip() == forged


async def test_attack_35_an_agent_names_no_window_and_reaches_no_clipboard(tmux: Tmux, terminal: TmuxTerminal) -> None:
    evil = r"printf '\033]2;#(touch pwned)\033\\\033k#(touch pwned)\033\\\033]52;c;cHduZWQ=\033\\DONE'; exec cat"
    run_id = new_run_id()
    ref = await terminal.open_window(run_id, ["/bin/sh", "-c", evil])
    await shown(terminal, ref, "DONE")
    assert tmux.ask("display-message", "-p", "-t", ref.window_id, "#{window_name}") == f"ccm-{run_id[:8]}"
    assert tmux.ask("list-buffers") == ""
    assert tmux.ask("display-message", "-p", "-t", ref.window_id, "#{pane_title}") == "#(touch pwned)"
    assert not Path("pwned").exists() and not (Path.home() / "pwned").exists()


async def test_windows_named_by_others_do_not_break_the_listing(tmux: Tmux, terminal: TmuxTerminal) -> None:
    run_id = new_run_id()
    ref = await terminal.open_window(run_id, ["/bin/cat"])
    for name in ("a\tb", "with\nnewline", "x" * 500, "", "@1\t%1\t1"):
        tmux.ask("rename-window", "-t", ref.window_id, name)
        assert [window.ref for window in await terminal.windows() if window.run_id] == [ref]
    tmux.ask("set-option", "-p", "-t", ref.window_id, "@ccm_agent", "forged\nrow\t@7\t%7")
    assert [window.ref for window in await terminal.windows() if window.run_id] == []


async def test_the_servers_environment_holds_no_secret(tmux: Tmux, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "CCM_CANARY", "CLAUDE_CODE_CANARY", "SSH_AUTH_SOCK", "PYTHONPATH"):
        monkeypatch.setenv(name, f"canary-{name}")
    terminal = tmux.terminal()
    await terminal.start()
    ref = await terminal.open_window(new_run_id(), ["/bin/sh", "-c", "env; echo READY; exec cat"])
    await shown(terminal, ref, "READY")
    told = [
        tmux.ask("show-environment", "-g"),
        tmux.ask("show-environment", "-t", "=ccm"),
        json.dumps(tmux.server().environ()),
        await terminal.capture(ref),
    ]
    assert all("PATH=" in text or "PATH" in text for text in (told[0], told[2], told[3]))
    assert not any("canary" in text for text in told)
    (client,) = (child for child in psutil.Process().children() if "attach-session" in child.cmdline())
    assert "canary" not in json.dumps(client.environ())


async def test_a_window_of_another_session_with_a_longer_name_is_not_taken_for_ours(tmux: Tmux) -> None:
    longer = tmux.terminal(session="ccm-other")
    await longer.start()
    terminal = tmux.terminal(session="ccm")
    await terminal.start()
    run_id = new_run_id()
    ref: WindowRef = await terminal.open_window(run_id, ["/bin/cat"])
    assert tmux.ask("list-windows", "-a", "-f", f"#{{==:#{{window_id}},{ref.window_id}}}", "-F", "#S") == "ccm"
    assert await terminal.windows() == await longer.windows()

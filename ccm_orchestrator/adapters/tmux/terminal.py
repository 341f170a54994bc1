"""The terminal port on tmux."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from ccm_orchestrator.adapters.tmux import server as tmux_server
from ccm_orchestrator.adapters.tmux.commands import (
    IDENTITY,
    Answer,
    Command,
    CommandClient,
    NotConnected,
    Reply,
    Request,
    Server,
    guarded,
)
from ccm_orchestrator.adapters.tmux.config import PANE_OPTION, RUN_OPTION
from ccm_orchestrator.adapters.tmux.control import COMMAND_TIMEOUT_S, ControlClient
from ccm_orchestrator.adapters.tmux.exec_client import ExecClient
from ccm_orchestrator.adapters.tmux.listing import LIST_PANES, PaneRow, read_listing, resize_requests, window_infos
from ccm_orchestrator.adapters.tmux.names import chunks, program, session_name, window_name
from ccm_orchestrator.adapters.tmux.server import Address
from ccm_orchestrator.adapters.tmux.view import view_argv
from ccm_orchestrator.domain.run import WindowRef, is_run_id
from ccm_orchestrator.errors import TerminalError, TerminalUnavailable, WindowGone
from ccm_orchestrator.ports.terminal import Key, TerminalHealth, WindowInfo, typeable

CHUNK_INTERVAL_S = 0.02
"""Between two chunks of typed text; faster, agents take them for one paste."""


class TmuxTerminal:
    """Agents' windows in a tmux server of our own.

    May be used from any event loop. Typing into one window from two tasks at once would mix the texts: whoever owns the
    run does the typing.
    """

    def __init__(
        self,
        config_path: Path,
        socket: str = "ccm",
        socket_dir: Path | None = None,
        session: str = "ccm",
        timeout_s: float = COMMAND_TIMEOUT_S,
        control_mode: bool | None = None,
        start_command: Sequence[str] = (),
    ) -> None:
        """`config_path` is written at every start. `socket_dir` becomes TMUX_TMPDIR.

        `control_mode`: None decides by tmux's version. `start_command` starts the server where something else keeps it.
        """
        self._config_path = config_path
        self._socket = session_name(socket)
        self._socket_dir = socket_dir
        self._session = session_name(session)
        self._timeout_s = timeout_s
        self._control_mode = control_mode
        self._start_command = tuple(start_command)
        self._version = ""
        self._address: Address | None = None
        self._client: CommandClient | None = None
        self._panes: dict[WindowRef, str] = {}
        """The agent's pane, which may have been moved out of the window it was opened in."""

    async def start(self) -> None:
        address = await asyncio.to_thread(self._prepare)
        if self._client is None:
            control = (
                tmux_server.control_mode_is_safe(self._version) if self._control_mode is None else self._control_mode
            )
            self._client = (ControlClient if control else ExecClient)(address, self._timeout_s)
        await self._client.run([IDENTITY])

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def open_window(self, run_id: str, argv: Sequence[str]) -> WindowRef:
        name, command = window_name(run_id), program(argv)
        # Named after the whole run id until the options are set: the one name that is certainly unique by then.
        target = f"={self._session}:={run_id}"
        identify = ("-P", "-F", "#{window_id}\t#{pane_id}")
        request: Request = [
            ("new-window", "-d", *identify, "-n", run_id, "-t", f"={self._session}:", "--", *command),
            ("set-option", "-w", "-t", target, RUN_OPTION, run_id),
            ("set-option", "-p", "-t", target, PANE_OPTION, run_id),
            ("rename-window", "-t", target, name),
        ]
        answer = await self._run(request)
        if not answer.replies[0].ok and tmux_server.session_is_missing(answer.replies[0].text):
            await asyncio.to_thread(tmux_server.ensure_session, self._known_address(), self._timeout_s)
            answer = await self._run(request)
        window_id, _, pane_id = self._output(answer.replies[0]).partition("\t")
        ref = answer.server.window(window_id)
        self._panes[ref] = pane_id
        return ref

    async def windows(self) -> Sequence[WindowInfo]:
        server, rows = await self._rows()
        alive = {row.pane_id for row in rows}
        moved = {ref: pane for ref, pane in self._panes.items() if pane in alive and Server.of(ref) == server}
        self._panes = moved | {server.window(row.window_id): row.pane_id for row in rows if row.run_id}
        if resizes := resize_requests(rows):
            await self._run(*resizes)
        return window_infos(server, rows)

    async def capture(self, window: WindowRef, styled: bool = False, history_lines: int = 0) -> str:
        pane_id = await self._pane(window)
        style = ("-e",) if styled else ()
        history = ("-S", f"-{history_lines}") if history_lines > 0 else ()
        return await self._ask(window, ("capture-pane", "-p", "-t", pane_id, *style, *history))

    async def type_text(self, window: WindowRef, text: str) -> None:
        pane_id = await self._pane(window)
        for number, chunk in enumerate(chunks(typeable(text))):
            if number:
                await asyncio.sleep(CHUNK_INTERVAL_S)
            await self._send(window, pane_id, ("send-keys", "-t", pane_id, "-l", "--", chunk))

    async def press(self, window: WindowRef, key: Key) -> None:
        pane_id = await self._pane(window)
        await self._send(window, pane_id, ("send-keys", "-t", pane_id, key.value))

    async def close_window(self, window: WindowRef) -> None:
        try:
            pane_id = await self._pane(window)
            await self._write(window, [("kill-pane", "-t", pane_id)])
        except WindowGone:
            pass
        self._panes.pop(window, None)

    async def health(self) -> TerminalHealth:
        try:
            server, rows = await self._rows()
        except TerminalError as error:
            return TerminalHealth(False, self._version, None, 0, error.message)
        return TerminalHealth(True, self._version, server.pid, len({row.window_id for row in rows if row.run_id}), "")

    def attach_argv(self, window: WindowRef | None) -> Sequence[str]:
        return view_argv(self._socket, self._socket_dir, self._session, window.window_id if window else None)

    def _prepare(self) -> Address:
        binary, self._version = tmux_server.find_tmux()
        self._address = Address(binary, self._socket, self._socket_dir, self._session, self._start_command)
        own_pid = self._client.client_pid if isinstance(self._client, ControlClient) else None
        tmux_server.ensure_server(self._address, self._config_path, self._timeout_s, own_pid)
        return self._address

    def _new_client(self, address: Address) -> CommandClient:
        safe = tmux_server.control_mode_is_safe(self._version)
        client = ControlClient if (safe if self._control_mode is None else self._control_mode) else ExecClient
        return client(address, self._timeout_s)

    def _known_address(self) -> Address:
        if self._address is None:
            raise TerminalUnavailable("the terminal was not started")
        return self._address

    async def _rows(self) -> tuple[Server, list[PaneRow]]:
        answer = await self._run([LIST_PANES])
        return answer.server, read_listing(self._output(answer.replies[0]))

    async def _pane(self, window: WindowRef) -> str:
        """The agent's pane. Raises WindowGone."""
        if window not in self._panes:
            listing = await self._ask(
                window, ("list-panes", "-t", window.window_id, "-F", f"#{{pane_id}}\t#{{{PANE_OPTION}}}")
            )
            marked = (line.partition("\t") for line in listing.splitlines())
            pane_id = next((pane_id for pane_id, _, run_id in marked if is_run_id(run_id)), None)
            if pane_id is None:
                raise WindowGone(f"window {window.window_id} is not an agent's", window=window)
            self._panes[window] = pane_id
        return self._panes[window]

    async def _send(self, window: WindowRef, pane_id: str, keys: Command) -> None:
        """Leaves the scrollback that somebody may be reading: there, keys would not reach the agent."""
        await self._write(window, [("copy-mode", "-q", "-t", pane_id), keys])

    async def _write(self, window: WindowRef, request: Request) -> None:
        deadline = int(time.time() + self._timeout_s) + 1
        answer = await self._run(guarded(request, Server.of(window), deadline))
        self._check(window, answer)

    async def _ask(self, window: WindowRef, command: Command) -> str:
        return self._check(window, await self._run([command]))

    def _check(self, window: WindowRef, answer: Answer) -> str:
        reply = answer.replies[0]
        if answer.server != Server.of(window):
            raise WindowGone(f"window {window.window_id} belonged to an earlier tmux server", window=window)
        if not reply.ok and reply.text.startswith("can't find"):
            self._panes.pop(window, None)
            raise WindowGone(f"window {window.window_id} does not exist any more", window=window)
        return self._output(reply)

    @staticmethod
    def _output(reply: Reply) -> str:
        if not reply.ok:
            raise TerminalError(f"tmux refused: {reply.text}")
        return reply.text

    async def _run(self, *requests: Request) -> Answer:
        client, address = self._client, self._known_address()
        if client is None:
            raise TerminalUnavailable("the terminal was stopped")
        try:
            return await client.run(*requests)
        except NotConnected as error:
            if not tmux_server.session_is_missing(error.message):
                raise
        # Somebody closed the session's last window while the server lives on; nothing was sent.
        await asyncio.to_thread(tmux_server.ensure_session, address, self._timeout_s)
        return await client.run(*requests)

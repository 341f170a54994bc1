"""Everything that `init` has to know: said already, as it is now, or asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from ccm_orchestrator.cli.questions import agreed, choice, some_of, tell, typed, whole_number
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import Secret
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.repositories import repositories
from ccm_orchestrator.setup.wishes import Decided, ServiceKind, StoreKind, Wishes, checked_wishes, suggested_agents

KEY_FILE = "supabase-key"
TOKEN_FILE = "supabase-system-token"
STORES = (
    (StoreKind.EMBEDDED.value, "this machine's own database; nothing else is needed"),
    (StoreKind.SUPABASE.value, "also a Supabase project, which several machines may share"),
)
TOLD = (
    "Who is to be told when something needs a person? Give an address as Apprise writes them, such as "
    "ntfy://ntfy.sh/TOPIC or mailtos://USER:PASSWORD@mail.example.com?to=me@example.com"
)


@dataclass(frozen=True, slots=True)
class Known:
    """How things are."""

    settings: Settings
    config: Path
    configured: bool
    """There is a configuration file already."""
    registered: Sequence[Path]
    has_service_manager: bool
    other_port: int | None = None
    """A free one, when somebody else has that of the API."""
    is_root: bool = False
    """Nobody logs in as root to keep root's services running: they are the machine's."""


def decide(said: Wishes, known: Known, asks: bool) -> Decided:
    """`asks`: a person is there to answer what is not said. Raises: InvalidSettings."""
    settings, secrets = known.settings, dict[Path, Secret]()
    store = said.store or _store(known, asks and said.supabase_url is None, said)
    url, key_file, token_file = said.supabase_url, said.supabase_key_file, said.supabase_token_file
    if store is StoreKind.SUPABASE:
        url = url or settings.supabase.url or (_url() if asks else None)
        if asks and key_file is None and settings.supabase.key is None and settings.supabase.key_file is None:
            key_file = _hidden("Key of the project (not shown)", known.config.with_name(KEY_FILE), secrets)
            token_file = token_file or _hidden(
                "Token that proves who this machine is (not shown; Enter: none is needed)",
                known.config.with_name(TOKEN_FILE),
                secrets,
            )
    projects = _projects(said, known, asks)
    max_agents = said.max_agents or _agents(known, asks)
    notify = _notify_url_files(said, known, asks, secrets)
    notify_test = _notify_test(said, notify, asks)
    return Decided(
        store=store,
        supabase_url=url,
        supabase_key_file=key_file,
        supabase_token_file=token_file,
        projects=projects,
        max_agents=max_agents,
        service=said.service or _service(known, asks),
        trial=True if said.trial is None else said.trial,
        notify_url_files=notify,
        notify_test=notify_test,
        secrets=secrets,
        api_port=known.other_port,
    )


def _store(known: Known, asks: bool, said: Wishes) -> StoreKind:
    has_url = known.settings.supabase.url is not None or said.supabase_url is not None
    current = StoreKind.SUPABASE if has_url else StoreKind.EMBEDDED
    if not asks or known.configured:
        return current
    return StoreKind(choice("Where do tasks come from?", STORES, current.value))


def _url() -> str:
    while True:
        said = typed("URL of the project")
        try:
            checked_wishes({"supabase_url": said}, "your answer")
            return said.rstrip("/")
        except InvalidSettings as error:
            typer.echo(error.message)


def _hidden(question: str, file: Path, secrets: dict[Path, Secret]) -> Path | None:
    said = typed(question, "", shown=False)
    if not said:
        return None
    secrets[file] = Secret(said)
    return file


def _projects(said: Wishes, known: Known, asks: bool) -> tuple[Path, ...]:
    if said.projects is not None:
        return tuple(path.expanduser() for path in said.projects)
    if not asks:
        return ()
    registered = {path.resolve() for path in known.registered}
    found = [path for path in repositories([Path.cwd(), Path.home()]) if path.resolve() not in registered]
    return some_of("In which directories may agents work? (More later: `ccm-orchestrator project add PATH`.)", found)


def _agents(known: Known, asks: bool) -> int:
    default = known.settings.max_agents if known.configured else suggested_agents()
    return whole_number("How many agents may run at the same time?", default) if asks else default


def _notify_url_files(said: Wishes, known: Known, asks: bool, secrets: dict[Path, Secret]) -> dict[str, Path]:
    if said.notify_url_files is not None:
        return dict(said.notify_url_files)
    table = known.settings.notifications
    if not asks or table.targets or table.left_out:
        return {}
    tell(TOLD)
    found: dict[str, Path] = {}
    while True:
        question = "Another address (Enter: none)" if found else "Address (not shown; Enter: nobody, for now)"
        address = typed(question, "", shown=False)
        if not address:
            return found
        if not re.match("[A-Za-z][A-Za-z0-9]*://", address):
            typer.echo("An address begins with the name of a service and `://`.")
            continue
        name = _target_name(found)
        found[name] = known.config.with_name(f"notify-{name}")
        secrets[found[name]] = Secret(address)


def _target_name(taken: Mapping[str, Path]) -> str:
    while True:
        name = typed("What to call it", f"person-{len(taken) + 1}")
        try:
            checked_wishes({"notify_url_files": {name: "/"}}, "your answer")
        except InvalidSettings as error:
            typer.echo(error.message)
        else:
            if name not in taken:
                return name
            typer.echo(f"There is a {name} already.")


def _notify_test(said: Wishes, notify: Mapping[str, Path], asks: bool) -> bool:
    if said.notify_test is not None or not (notify and asks):
        return bool(said.notify_test and notify)
    return agreed("Send a test message at the end?", default=True)


def _service(known: Known, asks: bool) -> ServiceKind:
    if not known.has_service_manager:
        return ServiceKind.NONE
    if not asks or agreed("\nKeep the daemon running, also after a restart of the machine?", default=True):
        return ServiceKind.SYSTEM if known.is_root else ServiceKind.USER
    return ServiceKind.NONE

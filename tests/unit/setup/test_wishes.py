"""What is wanted of a new installation, and what has to change for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import Secret
from ccm_orchestrator.settings import Settings
from ccm_orchestrator.setup.planning import Change, changed_document, plan
from ccm_orchestrator.setup.repositories import repositories
from ccm_orchestrator.setup.wishes import (
    Decided,
    ServiceKind,
    StoreKind,
    Wishes,
    check_decided,
    checked_wishes,
    combined,
    read_wishes,
    suggested_agents,
)

PROJECT_URL = "https://abc.supabase.co"


def decided(**changes: object) -> Decided:
    values: dict[str, object] = {
        "store": StoreKind.EMBEDDED,
        "supabase_url": None,
        "supabase_key_file": None,
        "supabase_token_file": None,
        "projects": (),
        "max_agents": 10,
        "service": ServiceKind.NONE,
        "trial": False,
    }
    return Decided(**values | changes)  # type: ignore[arg-type]


def test_a_file_of_answers_is_read(tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    file.write_text(f'store = "supabase"\nsupabase_url = "{PROJECT_URL}/"\nprojects = ["/srv/shop"]\nmax_agents = 3\n')
    wishes = read_wishes(file)
    assert (wishes.store, wishes.supabase_url) == (StoreKind.SUPABASE, PROJECT_URL)
    assert (wishes.projects, wishes.max_agents, wishes.trial) == ((Path("/srv/shop"),), 3, None)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stor": "embedded"}, "there is no `stor`.*there are: store, supabase_url"),
        ({"store": "mysql"}, "`store` cannot be used.*'embedded' or 'supabase'"),
        ({"max_agents": 0}, "`max_agents` cannot be used"),
        ({"supabase_url": "https://supabase.com/dashboard/project/abc"}, "`supabase_url` cannot be used"),
        ({"projects": ["shop"]}, "`projects.0` cannot be used"),
        ({"projects": "shop"}, "`projects` cannot be used.*a list"),
        ({"service": "sometimes"}, "`service` cannot be used"),
    ],
)
def test_each_bad_value_is_refused_with_its_name(values: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        checked_wishes(values, "answers.toml")


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidSettings) as refused:
        checked_wishes({"store": "x", "max_agents": "many"}, "answers.toml")
    assert len(refused.value.message.splitlines()) == 2


def test_a_missing_file_of_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"nowhere\.toml does not exist"):
        read_wishes(tmp_path / "nowhere.toml")


def test_flags_win_over_the_file() -> None:
    merged = combined(Wishes(max_agents=2), Wishes(max_agents=9, store=StoreKind.SUPABASE))
    assert (merged.max_agents, merged.store) == (2, StoreKind.SUPABASE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"store": StoreKind.SUPABASE}, "no URL is given"),
        ({"projects": (Path("/nowhere/at/all"),)}, "/nowhere/at/all is no directory"),
        (
            {"store": StoreKind.SUPABASE, "supabase_url": PROJECT_URL, "supabase_key_file": Path("/nowhere/key")},
            "/nowhere/key, which is to hold a secret, does not exist",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSettings, match=words):
        check_decided(decided(**changes), Settings())


def test_a_project_that_is_served_is_not_left_by_the_way() -> None:
    settings = Settings(supabase={"url": PROJECT_URL})  # type: ignore[arg-type]
    with pytest.raises(InvalidSettings, match="serves the queue of"):
        check_decided(decided(), settings)


def test_a_machine_is_asked_for_no_more_than_it_carries() -> None:
    assert 1 <= suggested_agents() <= 10


def test_only_what_differs_is_changed(tmp_path: Path) -> None:
    settings = Settings(max_agents=4)
    wanted = decided(max_agents=4, projects=(tmp_path, tmp_path / "new"))
    found = plan(wanted, settings, [tmp_path])
    assert (found.changes, found.projects) == ([], [tmp_path / "new"])
    assert plan(decided(max_agents=4), settings, []).empty


def test_a_plan_names_the_files_of_secrets_and_not_the_secrets(tmp_path: Path) -> None:
    key = tmp_path / "key"
    wanted = decided(
        store=StoreKind.SUPABASE, supabase_url=PROJECT_URL, supabase_key_file=key, secrets={key: Secret("canary")}
    )
    found = plan(wanted, Settings(), [])
    assert found.changes == [
        Change("supabase.url", None, PROJECT_URL),
        Change("supabase.key_file", None, str(key)),
    ]
    assert found.secret_files == (key,) and "canary" not in repr((found, wanted))


def test_comments_stay_where_they_are() -> None:
    document = "# mine\nmax_agents = 4  # enough\n\n[api]\nport = 9000\n"
    changed = changed_document(
        document, [Change("max_agents", 4, 6), Change("supabase.url", None, PROJECT_URL)], Path("config.toml")
    )
    assert changed == (f'# mine\nmax_agents = 6  # enough\n\n[api]\nport = 9000\n\n[supabase]\nurl = "{PROJECT_URL}"\n')


def test_what_only_a_person_can_change_is_left_to_a_person() -> None:
    with pytest.raises(InvalidSettings, match=r"edit config\.toml by hand"):
        changed_document("supabase = 1\n", [Change("supabase.url", None, PROJECT_URL)], Path("config.toml"))


def test_repositories_are_found_the_nearest_first(tmp_path: Path) -> None:
    for name in ("b", "a/deep", "node_modules/x", ".hidden/y", "b/inside", "1/2/3/4/5"):
        (tmp_path / name / ".git").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert repositories([tmp_path, tmp_path]) == [tmp_path / "b", tmp_path / "a/deep"]


def test_the_search_gives_up_in_time(tmp_path: Path) -> None:
    (tmp_path / "a" / ".git").mkdir(parents=True)
    assert repositories([tmp_path], limit_s=0.0) == []

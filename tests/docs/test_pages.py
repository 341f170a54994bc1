"""What the pages say of settings and commands is what the program does."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ccm_orchestrator.cli.app import app
from ccm_orchestrator.settings.model import Settings
from ccm_orchestrator.settings.problems import every_key
from ccm_orchestrator.settings.sources import load_settings
from tests.docs.pages import PARTS, renewed, variable_of
from tests.docs.source import CHECKOUT

CONFIGURATION = (CHECKOUT / "docs" / "configuration.md").read_text()
CLI = (CHECKOUT / "docs" / "cli.md").read_text()


@pytest.mark.parametrize("name", sorted(PARTS))
def test_the_generated_parts_are_up_to_date(name: str) -> None:
    page = (CHECKOUT / name).read_text()
    assert page == renewed(page, PARTS[name]), "run `make docs`"


def test_a_page_without_a_place_for_its_part_is_noticed() -> None:
    with pytest.raises(ValueError, match="no part between"):
        renewed("# A page\n", {"settings": lambda: ""})


def test_every_setting_is_in_the_page_with_its_variable() -> None:
    for key, info in every_key(Settings):
        assert f"| `{key.rpartition('.')[2]}`" in CONFIGURATION, key
        assert info.description, f"{key} says nothing of itself"
        assert "NAME" in key or f"`{variable_of(key)}`" in CONFIGURATION, key


def test_variables_are_named_as_the_page_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert variable_of("api.port") in CONFIGURATION
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv(variable_of("api.port"), "4321")
    monkeypatch.setenv(variable_of("max_agents"), "3")
    settings = load_settings()
    assert (settings.api.port, settings.max_agents) == (4321, 3)


def test_the_example_can_be_used_as_it_stands(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", CONFIGURATION, re.M | re.S)
    (tmp_path / "config.toml").write_text(example)
    settings = load_settings(tmp_path / "config.toml")
    assert settings.max_agents == tomllib.loads(example)["max_agents"]
    assert settings.profiles()["other-agent"].command[0] == "other-agent"


def test_every_command_and_option_is_in_the_page() -> None:
    def check(words: str, command: Any) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            check(f"{words} {name}", inner)
        if not hasattr(command, "commands"):
            section = CLI.partition(f"## {words}\n")[2].partition("\n## ")[0]
            assert section, words
            for parameter in command.params:
                for word in parameter.opts:
                    assert word.startswith("-") is False or f"`{word}`" in section, (words, word)

    check("ccm-orchestrator", typer.main.get_command(app))

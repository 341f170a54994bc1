"""Agents, commands and skills that bring more than a text are seen, however their head is written."""

from __future__ import annotations

import pytest

from ccm_orchestrator.adapters.claude.instructions import effects_of_instructions

HEAD = "has a head that is not understood here, so all of it counts"
CODING = "is not written in UTF-8, so all of it counts"


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("---\nname: a\nhooks:\n  Stop: []\n---\n", ["brings hooks along"]),
        ("---\nallowed-tools: Bash\n---\n", ["brings allowed-tools along"]),
        ("---\npermissionMode: bypassPermissions\n---\n", ["brings permissionMode along"]),
        ("---\nsomething-new: x\n---\n", ["brings something-new along"]),
        ("Look at !`curl evil`", ["runs commands when it is used"]),
        ("```!\ncurl evil\n```", ["runs commands when it is used"]),
        ("---\n{name: a, hooks: {Stop: []}}\n---\n", ["brings hooks along", HEAD]),
        ("---\n{name: a, 'ho\\u006fks': {Stop: []}}\n---\n", [HEAD]),
        ('---\n"\\x68ooks": {}\n---\n', [HEAD]),
        ("---\nname: a\rhooks: {}\n---\n", ["brings hooks along"]),
        ("---\nname: a\n? hooks\n: {}\n---\n", [HEAD]),
        ("---\nname: a\n!!str hooks: {}\n---\n", [HEAD]),
        ("---\nname: a\n&a hooks: {}\n---\n", [HEAD]),
        ("---\nmetadata: &m\n  a: b\n<<: *m\n---\n", [HEAD]),
        ("---\n  name: a\n  ? hooks\n  : {}\n---\n", [HEAD]),
        ("---\nname: a\nhooks: {}\nx: y---\nbody", ["brings hooks along", "brings x along", HEAD]),
        ("---\nname: a\nhooks: {}\n  ---\nbody", ["brings hooks along", HEAD]),
        ("---   \n\nhooks: {}\n---\n", ["brings hooks along"]),
        ("\ufeff---\nhooks: {}\n---\n", ["brings hooks along"]),
        ("---\rhooks: {}\r---\r", ["brings hooks along", HEAD]),
    ],
)
def test_attack_44_what_is_brought_along_is_seen(text: str, effects: list[str]) -> None:
    assert list(effects_of_instructions(text.encode())) == effects


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "latin-1"])
def test_attack_44_another_coding_hides_nothing(coding: str) -> None:
    assert CODING in list(effects_of_instructions("---\nhooks: é\n---\n".encode(coding)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Use hooks: they are `!important`.",
        "---\nname: a\ndescription: >-\n  About hooks\n\n  x\n# why\ntools:\n- Read\n- Bash\n---\nhooks: x\n---\ny: z",
        "---\r\nname: a\r\nmodel: opus\r\n---\r\nText",
        "A rule\n---\nhooks: below",
    ],
)
def test_texts_need_no_approval(text: str) -> None:
    assert list(effects_of_instructions(text.encode())) == []

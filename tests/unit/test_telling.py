"""What people are told, and what of a target's address must never be seen."""

from __future__ import annotations

import pytest

from ccm_orchestrator.domain.events import BusEvent, EventKind
from ccm_orchestrator.domain.incidents import Incident, IncidentKind, Trouble, event_of
from ccm_orchestrator.domain.notices import Level, NoticeEvent
from ccm_orchestrator.domain.telling import message_of, secrets_of
from ccm_orchestrator.fakes.clock import START


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("tgram://123456789:AAH-canary/987654321", ["123456789", "AAH-canary", "987654321"]),
        ("slack://TokenACanary/TokenBCanary/TokenC/#channel", ["TokenACanary", "TokenBCanary", "TokenC", "channel"]),
        ("mailtos://person:pass%2Fword@mail.example.com?to=me@example.com", ["person", "pass%2Fword"]),
        ("ntfy://ntfy.sh/my-secret-topic", ["my-secret-topic"]),
    ],
)
def test_every_part_of_an_address_that_may_be_a_secret_is_one(url: str, hidden: list[str]) -> None:
    found = secrets_of(url)
    assert url in found and set(hidden) <= set(found)
    assert not {"mail.example.com", "ntfy.sh", "https", "tgram"} & set(found)


def incident(kind: IncidentKind, told: bool = False) -> BusEvent:
    return event_of(Incident(7, Trouble(kind, "desk", "probe", "It broke."), START), told)


@pytest.mark.parametrize("kind", IncidentKind)
def test_every_incident_is_told_and_a_failed_recovery_wakes_people(kind: IncidentKind) -> None:
    message = message_of(incident(kind), None, None)
    assert message is not None and "It broke." in message.body
    if kind is IncidentKind.RECOVERY_FAILED:
        assert (message.event, message.level) == (NoticeEvent.RECOVERY_FAILED, Level.URGENT)


def test_what_was_told_past_the_queue_is_not_told_again() -> None:
    assert message_of(incident(IncidentKind.DISK_FULL, told=True), None, None) is None


def test_nothing_of_what_agents_do_is_told() -> None:
    assert message_of(BusEvent(EventKind.AGENT_OUTPUT, START, "1", "run", {"text": "canary"}), None, None) is None

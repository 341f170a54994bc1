"""Which event a client that was cut off asks for."""

from __future__ import annotations

from ccm_orchestrator.client.sse import FrameReader


def test_an_event_that_was_cut_off_after_its_id_was_not_read() -> None:
    reader = FrameReader()
    (frame,) = reader.feed(b"id: 1\ndata: one\n\nid: 2\nevent: x\nda")
    assert (frame.data, reader.last_id) == ("one", "1")
    (frame,) = reader.feed(b"ta: two\n\n")
    assert (frame.data, reader.last_id) == ("two", "2")


def test_an_id_without_data_counts_as_soon_as_it_is_whole() -> None:
    reader = FrameReader("7")
    assert list(reader.feed(b"retry: 20\nid: 9\n")) == []
    assert reader.last_id == "7"
    assert list(reader.feed(b"\n")) == []
    assert reader.last_id == "9"

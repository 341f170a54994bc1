"""Traces by OpenTelemetry, for those who installed the extra `otel`. Imported only where they are switched on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ccm_orchestrator.domain.events import BusEvent, HookRecord
from ccm_orchestrator.engine.bus import READ_BATCH
from ccm_orchestrator.errors import InvalidSettings, StoreError
from ccm_orchestrator.ports.journal import EventStore
from ccm_orchestrator.telemetry.otlp_session import OtlpSession
from ccm_orchestrator.telemetry.spans import ENDS, Span, spans_of

log = logging.getLogger(__name__)

MOST_EVENTS = 50_000
FLUSH_MS = 3_000
_PROTOCOLS = {"http/protobuf": "http", "grpc": "grpc"}


def exporter(endpoint: str | None, environment: Mapping[str, str]) -> SpanExporter:
    """What OTEL_* variables say, but for `endpoint`. Raises: InvalidSettings."""
    general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general)
    if protocol not in _PROTOCOLS:
        raise InvalidSettings(f"Traces go by `http/protobuf` or `grpc`; OTEL_EXPORTER_OTLP_PROTOCOL says {protocol!r}.")
    try:
        module = import_module(f"opentelemetry.exporter.otlp.proto.{_PROTOCOLS[protocol]}.trace_exporter")
    except ModuleNotFoundError as error:
        raise InvalidSettings(
            f"Traces by {protocol} need the package opentelemetry-exporter-otlp-proto-{_PROTOCOLS[protocol]}."
        ) from error
    more = {"session": OtlpSession()} if _PROTOCOLS[protocol] == "http" else {}
    made: SpanExporter = module.OTLPSpanExporter(endpoint=endpoint, **more)
    return made


class Tracing:
    """Hears of ends of runs, and tells what happened from then on in the background."""

    def __init__(self, store: EventStore, to: SpanExporter, version: str, system_id: str) -> None:
        self._store = store
        self._processor = BatchSpanProcessor(to)
        own = {"service.name": "ccm-orchestrator", "service.version": version, "service.instance.id": system_id}
        self._resource = Resource.create(own)
        self._scope = InstrumentationScope("ccm_orchestrator", version)
        self._ended: asyncio.Queue[BusEvent | None] = asyncio.Queue()
        """None: nothing more comes."""
        self._task: asyncio.Task[None] | None = None

    def note(self, event: BusEvent) -> None:
        if (
            event.kind in ENDS
            and event.task_id is not None
            and (event.run_id is not None or "duration_s" in event.data)
        ):
            self._ended.put_nowait(event)

    def start(self) -> None:
        self._task = asyncio.create_task(self._tell_all(), name="traces")

    async def stop(self) -> None:
        """What ended so far is told, if it goes fast."""
        if self._task is None:
            return
        self._ended.put_nowait(None)
        await asyncio.wait({self._task}, timeout=FLUSH_MS / 1000)
        self._task.cancel()
        await asyncio.to_thread(self._processor.force_flush, FLUSH_MS)
        await asyncio.to_thread(self._processor.shutdown)

    async def _tell_all(self) -> None:
        while (ended := await self._ended.get()) is not None:
            await self._tell(ended)

    async def _tell(self, ended: BusEvent) -> None:
        try:
            events = await self._events_until(ended)
            records = await self._store.hook_records(ended.run_id) if ended.run_id else ()
        except StoreError as error:
            log.warning("no trace of run %s: %s", ended.run_id, error.message)
            return
        prompts = await asyncio.to_thread(prompt_ids, records)
        for span in spans_of(events, ended, prompts):
            self._processor.on_end(self._readable(span))

    async def _events_until(self, ended: BusEvent) -> list[BusEvent]:
        """Of its task, the oldest first."""
        found = list[BusEvent]()
        cursor = 0
        while len(found) < MOST_EVENTS:
            page = await self._store.read(cursor, READ_BATCH, task_id=ended.task_id)
            for stored in page:
                found.append(stored.event)
                if stored.event == ended:
                    return found
            if not page:
                break
            cursor = page[-1].seq
        return found

    def _readable(self, span: Span) -> ReadableSpan:
        error = {"error.type": span.error} if span.error else {}
        return ReadableSpan(
            span.name,
            context=_context(span.trace_id, span.span_id),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes={**span.attributes, **error},
            kind=SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.OK),
            start_time=_nanoseconds(span.start),
            end_time=max(_nanoseconds(span.end), _nanoseconds(span.start)),
            instrumentation_scope=self._scope,
        )


def prompt_ids(records: Sequence[HookRecord]) -> list[str]:
    """As Claude Code names its prompts, in its own OpenTelemetry events, too (`prompt.id`)."""
    found: dict[str, None] = {}
    for record in records:
        with contextlib.suppress(ValueError, RecursionError):
            payload = json.loads(record.raw)
            if isinstance(payload, dict) and isinstance(name := payload.get("prompt_id"), str):
                found[name] = None
    return list(found)


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000

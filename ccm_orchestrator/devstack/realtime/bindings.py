"""What a channel wants to hear of: one event of one table, perhaps only rows that meet conditions."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

OPERATORS = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "in": "= any"}
ANY = "*"
_IN_LIMIT = 100
_ID_BITS = 27
_CONDITION = re.compile(r"(?P<column>\w+)=(?P<operator>[a-z]+)\.(?P<value>.*)", re.DOTALL)
_AND = re.compile(r",(?=\w+=[a-z]+\.)")
"""A comma that begins another condition. Others belong to the value."""


class MalformedBinding(ValueError):
    """The subscription cannot be understood."""


@dataclass(frozen=True, slots=True)
class Condition:
    column: str
    operator: str
    value: str
    """For `in`: the literal of an array."""

    @property
    def is_list(self) -> bool:
        return self.operator == "in"


@dataclass(frozen=True, slots=True)
class Binding:
    binding_id: int
    event: str
    schema: str
    table: str
    filter: str

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All must hold. Raises: MalformedBinding."""
        return tuple(map(_condition, _AND.split(self.filter))) if self.filter else ()

    def wants(self, event: str, schema: str, table: str) -> bool:
        return self.event in (ANY, event) and self.schema in (ANY, schema) and self.table in (ANY, table)

    def __str__(self) -> str:
        """As an answer of the server names it."""
        filters = ", ".join(
            "{" + ", ".join(map(json.dumps, (c.column, c.operator, c.value))) + "}" for c in self.conditions
        )
        return f"[event: {self.event}, schema: {self.schema}, table: {self.table}, filters: [{filters}]]"


def read_binding(wish: Mapping[str, object]) -> Binding:
    """Equal wishes have equal ids. Raises: MalformedBinding."""
    words = [wish.get("event", ANY), wish.get("schema", ANY), wish.get("table", ANY), wish.get("filter") or ""]
    if not all(isinstance(word, str) for word in words):
        raise MalformedBinding("expected event, schema, table and filter to be text")
    checksum = zlib.crc32(json.dumps(wish, sort_keys=True).encode())
    return Binding(checksum % (2**_ID_BITS) or 1, *map(str, words))


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None or match["operator"] not in OPERATORS:
        raise MalformedBinding(f"Error parsing `filter` params: {text}")
    column, operator, value = match.group("column", "operator", "value")
    return Condition(column, operator, _array(value) if operator == "in" else value)


def _array(value: str) -> str:
    inner = value.removeprefix("(").removesuffix(")")
    if value != f"({inner})" or inner.count(",") >= _IN_LIMIT:
        raise MalformedBinding(f"expected `in` to have at most {_IN_LIMIT} values between ( and ), got: {value}")
    return "{" + inner + "}"

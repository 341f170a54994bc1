"""Boxes and arrows as SVG: text that any browser shows without help, on a light ground in the dark, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

HEIGHT = 34
_INK, _SOFT, _PAPER = "#24292f", "#6e7781", "#ffffff"
_HEAD = f"""<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 8 4 0 8z" fill="{_INK}"/></marker></defs>"""


@dataclass(frozen=True, slots=True)
class Box:
    """`members` make it a group: a frame around other boxes, and an arrow from it is one from each of them."""

    name: str
    x: int
    y: int
    width: int
    height: int = HEIGHT
    fill: str = "#ffffff"
    members: tuple[str, ...] = ()
    note: str = ""
    """A second line."""


@dataclass(frozen=True, slots=True)
class Arrow:
    source: str
    target: str
    label: str = ""
    way: Sequence[tuple[int, int]] = ()
    """Corners, the ends included; empty: straight from middle to middle of the sides that face each other."""
    at: tuple[int, int] | None = None
    """Where the label stands; else in the middle of the way."""


@dataclass(frozen=True, slots=True)
class Drawing:
    title: str
    """For whoever does not see it."""
    size: tuple[int, int]
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]

    def svg(self) -> str:
        width, height = self.size
        boxes = {box.name: box for box in self.boxes}
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' font-family="system-ui, sans-serif" font-size="14" role="img">',
            f"<title>{escape(self.title)}</title>",
            _HEAD,
            f'<rect width="{width}" height="{height}" rx="8" fill="{_PAPER}"/>',
            *(_box(box) for box in sorted(self.boxes, key=lambda box: not box.members)),
            *(_arrow(arrow, boxes) for arrow in self.arrows),
        ]
        return "\n".join([*parts, "</svg>", ""])

    def pairs(self) -> set[tuple[str, str]]:
        """What the arrows say, those of groups as one for each member."""
        boxes = {box.name: box for box in self.boxes}
        found = set()
        for arrow in self.arrows:
            sources = boxes[arrow.source].members or (arrow.source,)
            found |= {(source, arrow.target) for source in sources if source != arrow.target}
        return found


def _box(box: Box) -> str:
    dash = ' stroke-dasharray="5 4"' if box.members else ""
    shape = (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="6" fill="{box.fill}"'
        f' stroke="{_SOFT if box.members else _INK}"{dash}/>'
    )
    if box.members:
        return f"{shape}\n{_words(box.x + 10, box.y + 18, box.name, anchor='start', ink=_SOFT)}"
    middle, centre = box.x + box.width // 2, box.y + box.height // 2
    if not box.note:
        return f"{shape}\n{_words(middle, centre + 5, box.name, weight=600)}"
    name, note = _words(middle, centre - 3, box.name, weight=600), _words(middle, centre + 14, box.note, ink=_SOFT)
    return f"{shape}\n{name}\n{note}"


def _arrow(arrow: Arrow, boxes: Mapping[str, Box]) -> str:
    way = arrow.way or _straight(boxes[arrow.source], boxes[arrow.target])
    points = " ".join(f"{x},{y}" for x, y in way)
    line = f'<polyline points="{points}" fill="none" stroke="{_INK}" stroke-width="1.4" marker-end="url(#tip)"/>'
    if not arrow.label:
        return line
    (x1, y1), (x2, y2) = way[len(way) // 2 - 1], way[len(way) // 2]
    x, y = arrow.at or ((x1 + x2) // 2, (y1 + y2) // 2 - 6)
    return f"{line}\n{_words(x, y, arrow.label, ink=_SOFT)}"


def _straight(a: Box, b: Box) -> Sequence[tuple[int, int]]:
    across, down = a.x + a.width // 2, a.y + a.height // 2
    if b.x >= a.x + a.width:
        return (a.x + a.width, down), (b.x, b.y + b.height // 2)
    if b.x + b.width <= a.x:
        return (a.x, down), (b.x + b.width, b.y + b.height // 2)
    if b.y >= a.y + a.height:
        return (across, a.y + a.height), (b.x + b.width // 2, b.y)
    return (across, a.y), (b.x + b.width // 2, b.y + b.height)


def _words(x: int, y: int, text: str, anchor: str = "middle", ink: str = _INK, weight: int = 400) -> str:
    size = "13" if ink == _SOFT else "14"
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{ink}" font-weight="{weight}"'
        f' font-size="{size}">{escape(text)}</text>'
    )

"""A trace as a waterfall for a terminal: who called whom, when, for how long, and where it went wrong.

Pure: spans in, lines out. Ordered by cause, not by clock: a child stands under its parent even when the two machines
disagree about the time, and what starts before its parent is marked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

DEPTH_MAX = 40
"""At the bound deeper spans stand at the same depth: a broken trace must not overflow the line."""
_NAME_WIDTH = 44

Style = Callable[[str, str], str]
"""(text, "error" | "dim" | "service") -> the text, coloured or not."""


@dataclass(frozen=True)
class Bar:
    """One span. Times: ns since the epoch. links: what it points at, as "trace/span" with a reason."""

    span_id: str
    parent_id: str
    name: str
    service: str
    start_ns: int
    end_ns: int
    error: bool = False
    message: str = ""
    links: tuple[str, ...] = field(default=())


def render(
    bars: Sequence[Bar], *, width: int = 100, unicode: bool = True, style: Style = lambda text, _: text
) -> list[str]:
    """One line a span, with its message and links under it. width: of the terminal, 60 or more."""
    if not bars:
        return []
    start = min(bar.start_ns for bar in bars)
    total = max(max(bar.end_ns for bar in bars) - start, 1)
    service_width = min(max(len(bar.service) for bar in bars), 20)
    room = max(width - _NAME_WIDTH - service_width - 14, 10)
    lines: list[str] = []
    for bar, depth, early in _in_order(bars):
        label = "  " * min(depth, DEPTH_MAX) + ("✖ " if unicode else "x ") * bar.error + bar.name
        label = _cut(label, _NAME_WIDTH, unicode)
        drawn = _draw(bar, start, total, room, unicode)
        took = duration((bar.end_ns - bar.start_ns) / 1e9).rjust(9)
        kind = "error" if bar.error else "plain"
        lines.append(
            f"{style(label.ljust(_NAME_WIDTH), kind)} {style(_cut(bar.service, 20, unicode).ljust(service_width), 'service')}"
            f" {took} {style(drawn, kind)}{' (clock)' if early else ''}".rstrip()
        )
        indent = "  " * (min(depth, DEPTH_MAX) + 1)
        arrow = "→" if unicode else "->"
        lines += [style(f"{indent}{bar.message}", "error")] if bar.message else []
        lines += [style(f"{indent}{arrow} {link}", "dim") for link in bar.links]
    return lines


def duration(seconds: float) -> str:
    """Three digits that matter: "84 ms", "4.51 s", "4m51s"."""
    if seconds < 0:
        return "0 ms"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _in_order(bars: Sequence[Bar]) -> list[tuple[Bar, int, bool]]:
    """Depth first, siblings by start. A span whose parent is not here, or whose parents go in a circle, is a root."""
    known = {bar.span_id: bar for bar in bars}
    children: dict[str, list[Bar]] = {}
    for bar in bars:
        children.setdefault(bar.parent_id if bar.parent_id in known else "", []).append(bar)
    ordered: list[tuple[Bar, int, bool]] = []
    seen: set[str] = set()

    def visit(roots: list[Bar]) -> None:
        stack = [(bar, 0) for bar in sorted(roots, key=lambda bar: -bar.start_ns)]
        while stack:
            bar, depth = stack.pop()
            if bar.span_id in seen:
                continue
            seen.add(bar.span_id)
            parent = known.get(bar.parent_id)
            ordered.append((bar, depth, parent is not None and bar.start_ns < parent.start_ns))
            below = sorted(children.get(bar.span_id, []), key=lambda child: -child.start_ns)
            stack += [(child, depth + 1) for child in below]

    visit(children.get("", []))
    visit([bar for bar in bars if bar.span_id not in seen])
    return ordered


def _draw(bar: Bar, start: int, total: int, room: int, unicode: bool) -> str:
    before = min(int((bar.start_ns - start) / total * room), room - 1)
    length = max(round((bar.end_ns - bar.start_ns) / total * room), 1)
    return " " * before + ("━" if unicode else "=") * min(length, room - before)


def _cut(text: str, width: int, unicode: bool) -> str:
    return text if len(text) <= width else text[: width - 1] + ("…" if unicode else "~")

"""The costs of runs against the number of leads, drawn as one SVG file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

WIDTH, HEIGHT, MARGIN, GAP = 300, 220, 60, 40
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2", "#72b7b2")
Point = tuple[float, float]
Lines = Mapping[str, Sequence[Point]]


def plot(panels: Mapping[str, Lines]) -> str:
    """Returns panels side by side, both axes in powers of ten.

    Args:
        panels: Title → name of a line → its points.
    """
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    width = len(panels) * (WIDTH + MARGIN + GAP)
    height = HEIGHT + 2 * MARGIN + 16 * len(names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11" role="img">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for place, (title, lines) in enumerate(panels.items()):
        left = MARGIN + place * (WIDTH + MARGIN + GAP)
        parts += [f'<g transform="translate({left} {MARGIN})">', *_panel(title, lines, colours)]
        parts.append("</g>")
    for place, name in enumerate(names):
        top = HEIGHT + 2 * MARGIN + 16 * place
        parts.append(f'<rect x="{MARGIN}" y="{top - 9}" width="10" height="10" ')
        parts.append(f'fill="{colours[name]}"/><text x="{MARGIN + 16}" y="{top}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, lines: Lines, colours: Mapping[str, str]) -> list[str]:
    points = [point for line in lines.values() for point in line]
    across = _scale([x for x, _ in points], 0, WIDTH)
    up = _scale([y for _, y in points], HEIGHT, 0)
    parts = [f'<text y="-16" font-weight="bold">{title}</text>']
    parts.append(f'<path d="M0 0V{HEIGHT}H{WIDTH}" fill="none" stroke="#999"/>')
    for x in sorted({x for x, _ in points}):
        label = f"{x:,.0f}"
        parts.append(f'<text x="{across(x):.0f}" y="{HEIGHT + 16}" text-anchor="middle">')
        parts.append(f"{label}</text>")
    for tick in _powers([y for _, y in points]):
        label = f"{tick:,.0f}" if tick >= 1 else f"{tick:g}"
        parts.append(f'<text x="-6" y="{up(tick) + 4:.0f}" text-anchor="end">{label}</text>')
        parts.append(f'<path d="M0 {up(tick):.0f}H{WIDTH}" stroke="#eee"/>')
    for name, line in lines.items():
        drawn = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colours[name]}" ')
        parts.append('stroke-width="2"/>')
    return parts


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = math.log10(min(values)), math.log10(max(values))
    span = (high - low) or 1.0
    return lambda value: start + (end - start) * (math.log10(value) - low) / span


def _powers(values: Sequence[float]) -> list[float]:
    low, high = math.ceil(math.log10(min(values))), math.floor(math.log10(max(values)))
    return [10.0**power for power in range(low, high + 1)]

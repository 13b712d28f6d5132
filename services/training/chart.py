"""A loss curve as a static SVG: opens in any browser, needs no plotting library."""

from __future__ import annotations

from collections.abc import Mapping

_WIDTH, _HEIGHT, _EDGE = 720, 320, 48
_COLOURS = ("#1f6feb", "#d1570f", "#2da44e", "#8250df")

Curve = Mapping[int, float]
"""step → value"""


def draw(curves: Mapping[str, Curve], title: str) -> str:
    """SVG text. curves: name → curve; empty ones are left out."""
    drawn = {name: curve for name, curve in curves.items() if curve}
    steps = [step for curve in drawn.values() for step in curve] or [0]
    values = [value for curve in drawn.values() for value in curve.values()] or [0.0]
    frame = _Frame(min(steps), max(steps), min(values), max(values))
    body = [_text(_EDGE, 20, title), *frame.axes()]
    for number, (name, curve) in enumerate(drawn.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(frame.at, curve, curve.values()))
        body.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        body.append(_text(_WIDTH - 160, 20 + 16 * number, name, colour))
    lines = "\n".join(body)
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n{lines}\n</svg>\n'


class _Frame:
    def __init__(self, first: int, last: int, low: float, high: float) -> None:
        self._first, self._last, self._low, self._high = first, last, low, high

    def at(self, step: int, value: float) -> tuple[float, float]:
        across = (step - self._first) / max(self._last - self._first, 1)
        up = (value - self._low) / max(self._high - self._low, 1e-9)
        return _EDGE + across * (_WIDTH - 2 * _EDGE), _HEIGHT - _EDGE - up * (_HEIGHT - 2 * _EDGE)

    def axes(self) -> list[str]:
        left, right, bottom = _EDGE, _WIDTH - _EDGE, _HEIGHT - _EDGE
        return [
            f'<path fill="none" stroke="#888" d="M{left} {_EDGE}V{bottom}H{right}"/>',
            _text(4, _EDGE + 4, f"{self._high:.3g}"),
            _text(4, bottom, f"{self._low:.3g}"),
            _text(left, bottom + 18, str(self._first)),
            _text(right - 24, bottom + 18, f"{self._last} steps"),
        ]


def _text(x: float, y: float, text: str, colour: str = "#444") -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f'<text x="{x}" y="{y}" font-family="sans-serif" font-size="12" fill="{colour}">{safe}</text>'

"""Figures as inline SVG. Colours come from the style sheet, so both themes hold; every figure says what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from services.review.quality import CurvePoint, ReliabilityBin

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 40  # left: 100% in the letters of a phone
ROUTES = ("curated", "grounded", "abstained", "clarify", "smalltalk", "handoff")


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def coverage_risk(points: Sequence[CurvePoint], budget: float, t: Any) -> Markup:
    """Wrong share over coverage, with its 95 % band and the promised rate. Shares 0..1."""
    top = max([*(point.upper for point in points), budget, 0.05])
    band = [f"{_x(p.coverage)},{_y(p.upper / top)}" for p in points]
    band += [f"{_x(p.coverage)},{_y(p.lower / top)}" for p in reversed(points)]
    line = " ".join(f"{_x(p.coverage)},{_y(p.wrong / top)}" for p in points)
    promised = _y(budget / top)
    drawn = Markup('<polygon class="band" points="{}"/><polyline class="line" points="{}"/>').format(
        " ".join(band), line
    )
    drawn += Markup('<line class="mark" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(_x(0), _x(1), promised, promised)
    title = t("Wrong answers among those sent, by the share that is sent")
    return _figure(title, drawn, t("share of answers sent"), t("wrong"), top)


def reliability(bins: Sequence[ReliabilityBin], t: Any) -> Markup:
    """What was right over what was said, with 95 % intervals. On the diagonal, confidence means what it says."""
    drawn = Markup('<line class="mark" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(_x(0), _y(0), _x(1), _y(1))
    for row in bins:
        spot = (_x(row.said), _x(row.said), _y(row.lower), _y(row.upper), _x(row.said), _y(row.right))
        drawn += Markup(
            '<line class="whisker" x1="{}" x2="{}" y1="{}" y2="{}"/><circle class="dot" cx="{}" cy="{}" r="4"/>'
        ).format(*spot)
    return _figure(t("What was said and what was right"), drawn, t("confidence"), t("right"), 1.0)


def routes_over_time(days: Mapping[str, Mapping[str, int]], t: Any) -> Markup:
    """Answers a day, one bar each, stacked by route. days: date → route → count."""
    top = max((sum(one.values()) for one in days.values()), default=1) or 1
    step = 1 / max(len(days), 8)  # a single day is no wall
    drawn = Markup("")
    for number, counts in enumerate(days.values()):
        base = 0
        for route in ROUTES:
            count = counts.get(route, 0)
            if not count:
                continue
            box = (_x(number * step), _y((base + count) / top), (_x(step) - _x(0)) * 0.8)
            drawn += Markup('<rect class="route-{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                route, box[0], box[1], round(box[2], 1), round(_y(base / top) - box[1], 1)
            )
            base += count
    first, last = next(iter(days), ""), next(reversed(list(days)), "")
    return _figure(t("Answers a day, by route"), drawn, f"{first} – {last}", "", top, whole=True)


def _figure(title: str, drawn: Markup, below: str, beside: str, top: float, whole: bool = False) -> Markup:
    labels = Markup("")
    for share in (0.0, 0.5, 1.0):
        value = f"{share * top:.0f}" if whole else f"{share * top:.0%}"
        labels += Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            _x(0), _x(1), _y(share), _y(share)
        )
        labels += Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(LEFT - 6, _y(share) + 4, value)
    if not whole:
        for share, anchor in ((0.0, "middle"), (0.5, "middle"), (1.0, "end")):
            spot = (_x(share), HEIGHT - BOTTOM + 16, anchor, f"{share:.0%}")
            labels += Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(*spot)
    labels += Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(_x(0.5), HEIGHT - 6, below)
    labels += Markup('<text x="{}" y="{}">{}</text>').format(LEFT + 6, TOP + 10, beside)
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}{}</svg>'
    ).format(WIDTH, HEIGHT, title, title, labels, drawn)

"""What pages are made of: Markdown made safe, colours with contrast, figures, evidence in forms."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import InvalidInput
from router.types import Citation
from services.console import charts
from services.console.evidence import read
from services.console.gaps import as_csv, as_markdown
from services.console.history import Change, Shown, changes
from services.console.view import citation_value, environment, markdown, safe_link, translate
from services.review.quality import CurvePoint, ReliabilityBin
from services.store.records import AuditEntry, QueuedItem

CSS = (Path(__file__).resolve().parents[2] / "services/console/static/console.css").read_text("utf-8")

# Colours


def palettes() -> dict[str, dict[str, str]]:
    blocks = re.findall(r"(:root[^{]*)\{([^}]*)\}", CSS)
    found = {head.strip(): dict(re.findall(r"(--[\w-]+):\s*(#[0-9a-f]{6})", body)) for head, body in blocks}
    return {
        "light": found[":root"],
        "dark": found[':root[data-theme="dark"]'],
        "auto": found[':root[data-theme="auto"]'],
    }


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_contrast_in_both_themes(theme: str) -> None:
    colours = palettes()[theme]
    texts = [
        "--text",
        "--quiet",
        "--accent",
        "--good",
        "--bad",
        "--warn",
        *(name for name in colours if "--r-" in name),
    ]
    assert len(texts) == 12
    for ground in ("--bg", "--panel"):
        for text in texts:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["--edge"], colours[ground]) >= 3, "the border of a field"
    for text in ("--text", "--quiet", "--accent"):
        assert contrast(colours[text], colours["--mark"]) >= 4.5, text
    assert contrast(colours["--on-accent"], colours["--accent"]) >= 4.5


def test_the_machines_dark_theme_is_the_chosen_one() -> None:
    assert palettes()["auto"] == palettes()["dark"]
    outside = re.sub(r":root[^{]*\{[^}]*\}", "", CSS)
    assert not re.findall(r"#[0-9a-f]{3,6}\b(?![^{]*\{)", outside), "a colour without a name"


# Markdown


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\nscript:x", "\x01javascript:x", "data:text/html,x",
        "vbscript:x", "file:///etc/passwd", "//evil.example", " javascript:x", "a:b",
    ],
)  # fmt: skip
def test_links_that_could_do_something_are_refused(url: str) -> None:
    assert not safe_link(url)
    assert "<a " not in markdown(f"[here](<{url}>)")


def test_a_backslash_is_no_slash() -> None:
    """Browsers take it for one; Markdown writes it as %5C, which they do not."""
    assert not safe_link("\\\\evil.example")
    assert 'href="%5Cevil' in markdown("[here](<\\\\evil.example>)")


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c:d#e", "http://x", "docs/a.md", "../a.md#b", "#part", "/a:b"]
)
def test_ordinary_links_stay(url: str) -> None:
    shown = markdown(f"[here]({url})")
    assert f'href="{url}"' in shown
    assert 'rel="noopener noreferrer nofollow"' in shown


@given(st.text(st.sampled_from("<>\"'&[]()!`*\n:/ javscriptonerx=\x00"), max_size=60))
def test_no_text_becomes_an_element_of_its_own(text: str) -> None:
    names = set(re.findall(r"<(\w+)", markdown(text)))
    allowed = "p em strong code pre ul ol li blockquote a br hr h1 h2 h3 h4 h5 h6 table thead tbody tr th td"
    assert names <= set(allowed.split())
    assert not re.search(r'href="\s*javascript', markdown(text), re.IGNORECASE)


def test_tables_and_code_are_shown_and_html_and_images_are_not() -> None:
    shown = markdown("|a|b|\n|-|-|\n|1|2|\n\n```\n<b>\n```\n\n<b>x</b> ![p](https://evil.example/p.png)")
    assert "<td>1</td>" in shown
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "<img" not in shown


# Figures


def say(text: str, **values: object) -> str:
    return translate("zh", text, **values)


def test_figures_are_drawn_and_say_what_they_show() -> None:
    curve = (CurvePoint(0.9, 0.4, 0.0, 0.0, 0.05, 40), CurvePoint(0.5, 1.0, 0.1, 0.05, 0.2, 100))
    bins = (ReliabilityBin(0.8, 0.9, 0.85, 0.8, 0.7, 0.9, 50),)
    days = {"2026-11-01": {"curated": 3, "abstained": 1}, "2026-11-02": {"grounded": 8}}
    drawn = [
        charts.coverage_risk(curve, 0.05, say),
        charts.reliability(bins, say),
        charts.routes_over_time(days, say),
    ]
    for figure in drawn:
        assert 'role="img"' in figure
        assert "style=" not in figure
        assert re.search('aria-label="[^"]*[一-鿿]', figure)
    assert drawn[0].count("polyline") == 1
    assert drawn[1].count("<circle") == 1
    heights = [float(one) for one in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn[2])]
    assert len(heights) == 3
    assert heights[2] == pytest.approx(2 * (heights[0] + heights[1]), abs=0.5)


def test_a_figure_of_nothing_is_no_error() -> None:
    assert "<rect" not in charts.routes_over_time({}, say)


# Forms


@given(
    st.builds(
        Citation, *[st.text(max_size=20)] * 4, st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.text(max_size=9)
    )
)
def test_a_citation_comes_back_from_a_form_as_it_went(citation: Citation) -> None:
    assert read([citation_value(citation), citation_value(citation)]) == (citation,)


@pytest.mark.parametrize("value", ["", "{", "[]", "{}", "null", '{"passage_id": 1}', 7])
def test_what_is_no_citation_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        read([value])


@given(st.lists(st.text(max_size=40), max_size=5))
def test_a_report_holds_one_row_for_each_gap(questions: list[str]) -> None:
    import csv
    import io

    from router.types import ReviewItem

    found = [
        QueuedItem(ReviewItem(str(n), "t", text, "en", "abstained", "pending", "c"), n, "u")
        for n, text in enumerate(questions)
    ]
    rows = list(csv.reader(io.StringIO(as_csv(found).removeprefix("\ufeff"), newline="")))
    assert len(rows) == len(questions) + 1
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert as_markdown(found).count("\n| ") == len(questions) + 1


# What an action changed


def test_the_history_shows_what_differs_and_nothing_else() -> None:
    before = {"state": "pending", "claimed_by": None, "lease_until": None}
    claimed = {"state": "claimed", "claimed_by": "anna", "lease_until": "2026-01-02T03:04:05Z", "secret": "x"}
    line = AuditEntry("2026-01-02", "anna", "review.claim", before, claimed)
    assert changes(line) == [
        Change("State", Shown.CODE, "pending", "claimed"),
        Change("Who works on it", Shown.WORDS, "", "anna"),
        Change("Until", Shown.MOMENT, "", "2026-01-02T03:04:05Z"),
    ]
    moved = AuditEntry("2026-01-02", "provenance", "review.rebind", {"evidence": ["a", "b"]}, {"evidence": ["a", "c"]})
    assert changes(moved) == [Change("Evidence", Shown.WORDS, "a, b", "a, c")]
    for value in (None, "r1", {"state": "pending"}):
        assert changes(AuditEntry("", "", "", value, value)) == []


def test_the_history_of_a_page_is_words_and_never_markup() -> None:
    line = AuditEntry("2026-01-02", "<i>", "review.merge", {"item_id": "<b>one</b>"}, {"item_id": "two"})
    macros = environment().get_template("_macros.html").module
    shown = str(macros.done(line, {}, lambda text: text))  # type: ignore[attr-defined]
    assert "<td>&lt;b&gt;one&lt;/b&gt;</td><td>two</td>" in shown
    assert "<i>" not in shown

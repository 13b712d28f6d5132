from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.types import UnitKind
from router.units import parts, plain, split

LINES = ["# Title", "Title", "===", "---", "| a | b |", "|---|---|", "| 1 | 2 |", "a | b", "```sql", "```", "~~~", "**"]
LINES += [
    "- item",
    "  - nested",
    "1. step",
    "> quoted",
    "> - item",
    "",
    "",
    "    indented",
    "::: tip",
    ":::",
    "///",
    "-->",
]
LINES += ["/// note | Title", "<!-- gone", "<div>", "重启主节点。然后检查；完成！", "words", "![x](y.png)", "[a]: /b"]
LINES += ["Use v1.2.3, e.g. `a.b`. Then [go](http://x.y/z.html)!"]
HOSTILE = ["`", "``a", "[", "[](", "<a ", '<d label="', "*", "*a", "_a ", "<!--", "|", "-", "- ", "```\n", "/", "///|"]
HOSTILE += ["[a](b(", "[ [a]", "{% ", "。", "a.", "http://", "{ #", "a\n", "- a\n", "a|-\n", "> a\n", "\\", "===\n"]
HOSTILE += ["---\na: \n", "    a\n", "&amp", "![", "a  \n"]
markdown = st.lists(st.sampled_from(LINES) | st.text(max_size=30), max_size=25).map("\n".join)


def quoted(text: str, kind: UnitKind | None = None) -> list[str]:
    return [text[unit.start : unit.end] for unit in split(text) if kind in (None, unit.kind)]


@given(markdown)
@settings(max_examples=300, deadline=None)
def test_units_are_valid_ordered_disjoint_and_trimmed(text: str) -> None:
    end = 0
    for unit in split(text):
        assert end <= unit.start < unit.end <= len(text)
        words = text[unit.start : unit.end]
        assert not words[0].isspace() and not words[-1].isspace()
        plain(words)
        end = unit.end


@given(st.text(alphabet="`[](){}<>*_|-=#:/!.\\ \n~a1。+\t\r", max_size=200))
@settings(max_examples=300, deadline=None)
def test_markup_soup_never_raises(text: str) -> None:
    split(text)
    plain(text)


@pytest.mark.parametrize("seed", HOSTILE)
def test_time_is_linear_on_hostile_input(seed: str) -> None:
    text = (seed * 60_000)[:60_000]
    started = time.process_time()
    split(text)
    plain("x " + text)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("先停止。再启动！好了吗？", ["先停止。", "再启动！", "好了吗？"]),
        ("他说“好的。”然后走了。", ["他说“好的。”", "然后走了。"]),
        ("Use v1.2.3 now. It works.", ["Use v1.2.3 now.", "It works."]),
        ("Set it, e.g. Redis 7, to 0.5 s. Done.", ["Set it, e.g. Redis 7, to 0.5 s.", "Done."]),
        ("See Fig. 3 by J. Smith et al. for more.", ["See Fig. 3 by J. Smith et al. for more."]),
        ("Edit redis.conf and restart. Then wait.", ["Edit redis.conf and restart.", "Then wait."]),
        ("Run `a. B` first. Next.", ["Run `a. B` first.", "Next."]),
        ("参见[怎么做？](/a.md)一节。完。", ["参见[怎么做？](/a.md)一节。", "完。"]),
        ("See https://a.b/c?d=1. Next one.", ["See https://a.b/c?d=1.", "Next one."]),
        ("Is it on? yes it is.", ["Is it on? yes it is."]),
        ("wrapped\nline here. Another\none.", ["wrapped\nline here.", "Another\none."]),
        ("one  \ntwo", ["one", "two"]),
        ("**Stop.** Go on.", ["**Stop.**", "Go on."]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert quoted(text, UnitKind.SENTENCE) == sentences


def test_every_kind_of_unit_in_a_page() -> None:
    text = (
        "---\ntitle: x. Y\n---\n\n# Head\n\n::: tip\nBe careful.\n:::\n\n<!-- hidden. words -->\n\n"
        "- one\n  more of one\n  - nested\n- two\n\n| k | v |\n|---|---|\n| a | 1 |\n| b | 2 |\n\n"
        "```sql\nSELECT 1;\n\nSELECT 2;\n```\n\nSub\n---\n\nlast."
    )
    found = [(unit.kind.value, plain(text[unit.start : unit.end])) for unit in split(text)]
    assert found == [
        ("heading", "Head"),
        ("sentence", "Be careful."),
        ("item", "one more of one"),
        ("item", "nested"),
        ("item", "two"),
        ("row", "a | 1"),
        ("row", "b | 2"),
        ("code", "SELECT 1;\n\nSELECT 2;"),
        ("heading", "Sub"),
        ("sentence", "last."),
    ]


def test_pieces_of_cut_blocks() -> None:
    assert [unit.kind for unit in split("| a | 1 |\n| b | 2 |\n")] == [UnitKind.ROW, UnitKind.ROW]
    head_cut = "x = 1\n\ny = 2\n```\n\nThen stop."
    assert [unit.kind for unit in split(head_cut)] == [UnitKind.CODE, UnitKind.SENTENCE]
    assert plain(quoted(head_cut, UnitKind.CODE)[0]) == "x = 1\n\ny = 2"
    tail_cut = "Run this:\n\n```\nx = 1\ny = 2"
    assert quoted(tail_cut) == ["Run this:", "```\nx = 1\ny = 2"]


def test_searched_but_never_quoted() -> None:
    text = '::: code-group-item Hub\n\n| K | V |\n| - | - |\n| x | y |\n\n![plan](a.png)\n\n<div label="Cloud">\n'
    text += '{% tabs %}\n{% tab title="Edge" %}\n{% endtab %}\n{% endtabs %}\n{% hint style="info" %}\n'
    unquoted = [plain(text[start:end]) for kind, start, end in parts(text) if kind is None]
    assert unquoted == ["Hub", "K | V", "plan", "Cloud", "Edge"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- **Use** [`SET`](/set.md) _now_", "Use SET now"),
        ("## Body { #body }", "Body"),
        ("<tr><td>max_nodes</td><td>the <b>m</b>ost</td></tr>", "max_nodes  the most"),
        ("| `a\\|b` | **c** |  |", "a|b | c"),
        ("keep snake_case_name and `x_y_` and 2 * 3 * 4", "keep snake_case_name and x_y_ and 2 * 3 * 4"),
        ("> 引用\n> 换行", "引用换行"),
        ("a\nb", "a b"),
        ("see ![logo](x.png) and <https://a.b>", "see logo and https://a.b"),
        ("[SHOW [A|B] X](/x.md)", "SHOW [A|B] X"),
        ("a<br>b <kbd>c</kbd> &lt;d&gt;", "a b c <d>"),
        ("```py\n**x** = {1}\n```", "**x** = {1}"),
        ("- [x] done", "done"),
        ("{{{ .starter }}}", "{{{ .starter }}}"),
        ("-5 < x", "-5 < x"),
        ("", ""),
    ],
)
def test_plain(text: str, words: str) -> None:
    assert plain(text) == words

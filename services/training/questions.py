"""Questions made from documents by rule, only where a span of the passage is the answer. All of them are unreviewed.

- a sentence that defines ("X 是…", "X is a …")       → 什么是 X？ / What is X?
- a table with a column of defaults                  → X 的默认值是多少？ / What is the default of X?
- a heading that asks, or that names a task over steps → the heading; 如何…？ / How do I …?

A question that a span does not answer teaches a model to make things up, so everything else is left alone.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from router import wording
from router.types import Passage, UnitKind
from services.generation.reading import Piece, cells, read_anew

LONGEST = 1200
"""Characters of an answer; a longer section is no answer that a person would write."""

_DEFINES_ZH = re.compile(
    r"^(?P<thing>[^，。；：,;:！？?（(]{2,24}?)(?:是一[个种类款套项条]|是指|指的是|(?<![适应])用于|用来)"
)
_DEFINES_EN = re.compile(
    r"^(?:An? |The )?(?P<thing>`?[A-Za-z][\w.+/-]*`?(?: [A-Za-z][\w.+/-]*){0,3}) (?:is an? |is the |refers to )(?=\w)"
)
_POINTS = re.compile(
    r"\b(?:this|that|these|those|it|they|we|you|i|one|if|when|here|there|which|what|following|above|below|example|both"
    r"|each|such|other|same|\w+ly)\b"
    r"|[这那该此其它]|以下|上述|下面|以上|例如|前者|后者|本[文章节]|如果|因为|由于|虽然|当"
)
_DEFAULT_COLUMN = re.compile(r"^\W*(?:默认值?|缺省值?|defaults?(?: value)?)\W*$", re.IGNORECASE)
_ASKS_ZH = re.compile(r"[？?]$|^(?:如何|怎[么样]|为什么|什么是|是否|能否)|(?:吗|呢|么)$")
_ASKS_EN = re.compile(r"\?$|^(?:how|why|what|when|where|which|who|can|does|do|is|are|should)\b", re.IGNORECASE)
_TASK_ZH = re.compile(
    r"^(?:创建|添加|增加|删除|修改|配置|设置|启动|停止|重启|重建|安装|部署|升级|备份|恢复|查看|连接|编译|迁移|扩容|切换|开启|关闭|初始化)"
)
_TASK_EN = re.compile(
    r"^(?:creat|add|remov|delet|chang|configur|sett|start|stopp?|restart|install|deploy|upgrad|backing|restor|connect|build"
    r"|migrat|switch|enabl|disabl|runn)ing\b|^(?:create|add|remove|delete|change|configure|set|start|stop|restart|install"
    r"|deploy|upgrade|back|restore|connect|build|migrate|switch|enable|disable|run)\b",
    re.IGNORECASE,
)
_NUMBERING = re.compile(r"^[\s\d.、)）(（#*`]+|[\s*`]+$")
_EMPTY_CELL = re.compile(r"^[\W_]*$|^(?:n/?a|none|null|无|空)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """question, answer: the answer is `passage.text[start:end]`, or a cell of that row. rule: which one made it."""

    question: str
    answer: str
    passage: Passage
    start: int
    end: int
    rule: str


def from_passages(passages: Iterable[Passage]) -> list[Candidate]:
    """The questions of whole documents. A heading counts only where its section is one passage, because a part of the
    steps is no answer; a question that two places answer differently ("How do I connect?") is nobody's."""
    known = list(passages)
    sections = Counter((passage.document, passage.heading) for passage in known)
    found = [
        one
        for passage in known
        for one in candidates(passage)
        if one.rule != "heading" or sections[passage.document, passage.heading] == 1
    ]
    answers: dict[str, set[str]] = defaultdict(set)
    for one in found:
        answers[wording.normalise(one.question)].add(one.answer)
    return [one for one in found if len(answers[wording.normalise(one.question)]) == 1]


def candidates(passage: Passage) -> list[Candidate]:
    """Every question a rule finds in a passage; each question once."""
    pieces = read_anew(passage).pieces
    found = [*_definitions(passage, pieces), *_defaults(passage, pieces), *_headings(passage, pieces)]
    return list({one.question: one for one in reversed(found)}.values())[::-1]


def _definitions(passage: Passage, pieces: Sequence[Piece]) -> Iterator[Candidate]:
    """Only where the sentence opens its section: further down, "X is a …" adds to what was said."""
    for number, piece in enumerate(pieces):
        opens = number == 0 or pieces[number - 1].kind is UnitKind.HEADING
        if piece.kind is not UnitKind.SENTENCE or not piece.quotable or not opens:
            continue
        thing = _defined(piece.text)
        if thing:
            question = f"什么是 {thing}？" if passage.language == "zh" else f"What is {thing}?"
            yield Candidate(question, _shown(passage, piece), passage, piece.start, piece.end, "definition")


def _defined(text: str) -> str:
    found = _DEFINES_ZH.match(text) or _DEFINES_EN.match(text)
    thing = found["thing"].strip("` ") if found else ""
    return "" if not thing or _POINTS.search(thing.lower()) else thing


def _defaults(passage: Passage, pieces: Sequence[Piece]) -> Iterator[Candidate]:
    for piece in pieces:
        at = next((at for at, column in enumerate(piece.columns) if _DEFAULT_COLUMN.match(column)), 0)
        if piece.kind is not UnitKind.ROW or not at:
            continue
        row = cells(passage.text[piece.start : piece.end])
        if len(row) <= at or " " in row[0] or _EMPTY_CELL.match(row[at]) or not re.search(r"\w", row[0]):
            continue
        zh = passage.language == "zh"
        question = f"{row[0]} 的默认值是多少？" if zh else f"What is the default of {row[0]}?"
        yield Candidate(question, row[at], passage, piece.start, piece.end, "default")


def _headings(passage: Passage, pieces: Sequence[Piece]) -> Iterator[Candidate]:
    """The passage's own heading; the answer is all that stands under it."""
    if not passage.heading or any(piece.kind is UnitKind.HEADING for piece in pieces[1:]):
        return
    question = _asked(_NUMBERING.sub("", passage.heading[-1]).strip(), passage.language, _has_steps(pieces))
    under = [piece for piece in pieces if piece.kind is not UnitKind.HEADING]
    if not question or not under or not all(piece.quotable for piece in under):
        return
    start, end = under[0].start, under[-1].end
    if end - start <= LONGEST:
        yield Candidate(question, passage.text[start:end], passage, start, end, "heading")


def _asked(heading: str, language: str, steps: bool) -> str:
    if language == "zh":
        if _ASKS_ZH.search(heading):
            return heading.rstrip("?？") + "？"
        named = len(heading) >= _NAMED and steps  # "安装" alone does not say what
        return f"如何{heading}？" if named and _TASK_ZH.match(heading) else ""
    if _ASKS_EN.search(heading):
        return heading.rstrip("?") + "?"
    return f"How do I {_infinitive(heading)}?" if steps and _TASK_EN.match(heading) else ""


def _infinitive(heading: str) -> str:
    """ "Restarting a node" → "restart a node"."""
    first, _, rest = heading.partition(" ")
    word = first.lower()
    if word.endswith("ing"):
        word = _FORMS.get(word, word.removesuffix("ing"))
    return f"{word} {rest}".strip()


_NAMED = 4
_FORMS = {
    **{
        f"{verb}ing": f"{verb}e"
        for verb in "creat remov delet chang configur upgrad restor migrat enabl disabl".split()
    },
    "setting": "set",
    "stopping": "stop",
    "running": "run",
    "backing": "back",
}


def _has_steps(pieces: Sequence[Piece]) -> bool:
    return any(piece.kind in (UnitKind.ITEM, UnitKind.CODE) for piece in pieces)


def _shown(passage: Passage, piece: Piece) -> str:
    return passage.text[piece.start : piece.end]

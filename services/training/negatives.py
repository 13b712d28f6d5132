"""Questions that must be refused, of four kinds, and wrong answers that must lose. All with ONE refusal text.

- far: nothing to do with the documents. Too easy alone, so few of them.
- near domain: a thing of the same kind that the documents do not know.
- false premise: a real thing that is said to do what no document says it does.
- retrieval miss: a real question whose passage was withheld. The passages shown instead must provably lack the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from router import wording
from services.training.records import Context, Example, Made

_FAR_ZH = """如何煮咖啡？
今天天气怎么样？
推荐几部好看的电影
怎么办理护照？
红烧肉怎么做才好吃？
北京到上海的高铁要多久？
感冒了应该吃什么药？
怎样给猫洗澡？
附近有什么好吃的？
世界杯是哪一年开始的？
如何学好弹钢琴？
月球离地球有多远？"""
_FAR_EN = """How do I brew coffee?
What is the weather like today?
Can you recommend a good film?
How do I renew my passport?
How long should I boil an egg?
Who won the football match yesterday?
What should I take for a cold?
How do I wash a cat?
What is the best restaurant nearby?
How far away is the moon?
How can I learn to play the piano?
When is the next train to the airport?"""
FAR = {"zh": tuple(_FAR_ZH.splitlines()), "en": tuple(_FAR_EN.splitlines())}
"""Everyday questions; written for this project."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[_.-][A-Za-z0-9]+)+")
_PARTS = {
    "size": "ratio",
    "max": "total",
    "min": "total",
    "timeout": "quota",
    "enable": "simulate",
    "memory": "lattice",
}


def refusal(question: str, language: str, made: Made, cluster: str, context: Sequence[Context] = ()) -> Example:
    """A row whose answer is the canonical refusal."""
    shown = tuple(context)
    identity = sha256("\n".join([made, question, *(one.passage_id for one in shown)]).encode()).hexdigest()[:32]
    return Example(
        identity, question, wording.in_language(wording.REFUSAL, language), language, cluster, made, shown, method=made
    )


def far(language: str, context: Callable[[str], Sequence[Context]]) -> list[Example]:
    """context: what retrieval finds for a question; something is always found, and must not tempt."""
    questions = FAR.get(language, ())
    return [refusal(q, language, Made.FAR, _cluster(q), context(q)) for q in questions]


def near_domain(
    example: Example, known: Callable[[str], bool], context: Callable[[str], Sequence[Context]]
) -> Example | None:
    """The same question about a name that looks like one of the product's and is in no document. known: whether the
    documents hold a name. None where the question names nothing that can be changed."""
    found = _CODE.search(example.question)
    if not found:
        return None
    other = _renamed(found[0])
    if other == found[0] or known(other):
        return None
    question = example.question.replace(found[0], other)
    return refusal(question, example.language, Made.NEAR_DOMAIN, _cluster(question), context(question))


def retrieval_miss(example: Example, context: Sequence[Context]) -> Example | None:
    """The example's question with other passages than its own. It stays in the example's cluster. None where one of
    them may hold the answer after all."""
    if not context or any(holds_answer(one.text, example.answer) for one in context):
        return None
    return refusal(example.question, example.language, Made.RETRIEVAL_MISS, example.cluster, context)


def false_premise(example: Example, context: Sequence[Context]) -> Example | None:
    """Why the thing does what no document says: a question whose premise nothing supports."""
    found = _CODE.search(example.question)
    if not found:
        return None
    zh = example.language == "zh"
    question = f"为什么 {found[0]} 在闰年会自动翻倍？" if zh else f"Why does {found[0]} double itself in leap years?"
    return refusal(question, example.language, Made.FALSE_PREMISE, _cluster(question), context)


def holds_answer(text: str, answer: str) -> bool:
    """Whether a text may answer too: it holds the answer, or most of what the answer says. Strict on purpose: a
    passage that answers must not stand in a row that refuses."""
    bare, wanted = _bare(text), _bare(answer)
    if wanted and wanted in bare:
        return True
    grams = {wanted[at : at + 4] for at in range(max(len(wanted) - 3, 1))}
    return len(wanted) >= 4 and sum(gram in bare for gram in grams) >= 0.5 * len(grams)


def rejected_alternatives(example: Example, others: Iterable[Example], most: int = 2) -> tuple[str, ...]:
    """Answers of other questions of the same kind (two defaults, two sets of steps): plausible, and wrong here."""
    same = (one.answer for one in others if one.method == example.method and one.cluster != example.cluster)
    wrong = [answer for answer in same if _bare(answer) != _bare(example.answer)]
    wrong.sort(key=lambda answer: sha256(f"{example.id}\n{answer}".encode()).digest())
    return tuple(dict.fromkeys(wrong))[:most]


def _renamed(name: str) -> str:
    """Another name of the same form: a part that stands for something else."""
    parts = re.split(r"([_.-])", name)
    for at, part in enumerate(parts):
        if part.lower() in _PARTS:
            return "".join((*parts[:at], _PARTS[part.lower()], *parts[at + 1 :]))
    return "".join((*parts[:-1], "quorum" if parts[-1].lower() != "quorum" else "ledger"))


def _cluster(question: str) -> str:
    return "negative-" + sha256(wording.normalise(question).encode()).hexdigest()[:16]


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())

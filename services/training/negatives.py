"""Questions that must be refused, of four kinds, and wrong answers that must lose. All with ONE refusal text.

- far: nothing to do with the documents. Too easy alone, so few of them.
- near domain: a thing of the same kind that the documents do not know: another name, or where the question names
  nothing of the product's, a made-up thing of which they do not hold every word.
- false premise: a real thing that is said to do what no passage shown says it does.
- retrieval miss: a real question whose passage was withheld. The passages shown instead must provably lack the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from router import units, wording
from router.types import UnitKind
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


_THING_EN = re.compile(
    r"^What is (?:the default of )?(?P<x>(?!the default|it\b|this\b|that\b|there\b)[^?,]{3,50})\?$", re.IGNORECASE
)
_THING_ZH = re.compile(
    r"^(?:什么是\s?(?P<x>[^，,？?]{2,30})|(?P<y>[^，,？?]{2,30}?)\s?(?:的默认值是多少|是什么|指的是什么))[？?]$"
)
_TASK_EN = re.compile(r"^How (?:do|can) I (?P<x>(?P<verb>[a-z]+) [^?,]{3,80})\?$", re.IGNORECASE)
_TASK_ZH = re.compile(
    r"^(?:如何|怎么|怎样)(?P<x>(?P<verb>创建|添加|增加|删除|修改|配置|设置|启动|停止|重启|重建|安装|部署|升级|备份|恢复|查看|连接"
    r"|迁移|扩容|切换|开启|关闭|初始化|更换|检查|清洗|使用)[^，,？?]{1,40})[？?]$"
)

_OF_THINGS = {
    "en": """Why does {x} double itself in leap years? | leap year
Why is {x} ignored on Sundays? | sunday
Why is {x} measured in ounces? | ounce
Why is {x} read backwards at midnight? | midnight
Which observatory sets {x}? | observatory
Why must {x} be read out loud? | loud
Since when does {x} follow the moon? | moon""",
    "zh": """为什么 {x} 在闰年会自动翻倍？ | 闰年
为什么 {x} 在星期天不生效？ | 星期天
为什么 {x} 要用盎司来计算？ | 盎司
为什么 {x} 在午夜会倒着读？ | 午夜
{x} 由哪个天文台决定？ | 天文台
为什么 {x} 必须大声念出来？ | 念出来
{x} 为什么随月相变化？ | 月相""",
}
_OF_TASKS = {
    "en": """Why must I wait for a full moon to {x}? | moon
Why does it take exactly nine years to {x}? | nine years
Which observatory must I ask before I {x}? | observatory
Why may only twins {x}? | twins
Why do I have to sing to {x}? | sing""",
    "zh": """为什么要等到满月才能{x}？ | 满月
为什么{x}正好需要九年？ | 九年
{x}之前要先问哪个天文台？ | 天文台
为什么只有双胞胎才能{x}？ | 双胞胎
为什么要唱歌才能{x}？ | 唱歌""",
}
"""Premise | the word without which no passage says so. Absurd on purpose: that it is false needs no reader. Written for
this project."""
_UNKNOWN_EN = (
    "quorum tide echo lantern drift harbour meadow",
    "lattice ledger compactor cistern gateway bellows quiver",
)
_UNKNOWN_ZH = ("仲裁 潮汐 回声 灯笼 漂移 港湾 草甸", "晶格 账本 压缩器 水窖 网关 风箱 箭筒")
_UNKNOWN = {
    language: tuple(f"{start}{first}{between}{second}" for first in firsts.split() for second in seconds.split())
    for language, start, between, (firsts, seconds) in (
        ("en", "the ", " ", _UNKNOWN_EN),
        ("zh", "", "", _UNKNOWN_ZH),
    )
}
"""Things that sound like a product's. Whether the documents know one is looked up."""


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
    """The same question about a thing that looks like one of the product's and is in no document. known: whether the
    documents hold a name. None where the question names nothing that can be changed."""
    for name, question in _elsewhere(example):
        if not known(name):
            return refusal(question, example.language, Made.NEAR_DOMAIN, _cluster(question), context(question))
    return None


def _elsewhere(example: Example) -> Iterator[tuple[str, str]]:
    """(name, question about it): one for a name in code, else made-up things in an order that the question decides."""
    if found := _CODE.search(example.question):
        other = _renamed(found[0])
        if other != found[0]:
            yield other, example.question.replace(found[0], other)
        return
    zh = example.language == "zh"
    thing = (_THING_ZH if zh else _THING_EN).match(example.question)
    task = (_TASK_ZH if zh else _TASK_EN).match(example.question)
    for name in _by_hash(_UNKNOWN.get(example.language, ()), example.question):
        if thing:
            yield name, f"什么是{name}？" if zh else f"What is {name}?"
        elif task:
            yield name, f"如何{task['verb']}{name}？" if zh else f"How do I {task['verb']} {name}?"


def retrieval_miss(example: Example, context: Sequence[Context]) -> Example | None:
    """The example's question with other passages than its own. It stays in the example's cluster. None where one of
    them may hold the answer after all."""
    if not context or any(may_answer(one, example) for one in context):
        return None
    return refusal(example.question, example.language, Made.RETRIEVAL_MISS, example.cluster, context)


def false_premise(example: Example, context: Sequence[Context]) -> Example | None:
    """Why the thing, or the task, is what no passage shown says: one of several premises, chosen by hash. None where
    the question is about neither, or the passages speak of every premise."""
    subject, premises = _subject(example)
    if not subject:
        return None
    shown = "\n".join(f"{one.heading}\n{one.text}" for one in context).casefold()
    for line in _by_hash(premises.splitlines(), example.question):
        premise, _, word = line.partition(" | ")
        if word not in shown:
            question = premise.format(x=subject)
            return refusal(question, example.language, Made.FALSE_PREMISE, _cluster(question), context)
    return None


def _subject(example: Example) -> tuple[str, str]:
    """What the question is about, "" for what is neither a thing nor a task, and the premises that fit it."""
    zh, language = example.language == "zh", example.language
    if found := _CODE.search(example.question):
        return found[0], _OF_THINGS.get(language, _OF_THINGS["en"])
    if found := (_THING_ZH if zh else _THING_EN).match(example.question):
        return next(one for one in found.groups() if one).strip(), _OF_THINGS.get(language, "")
    if found := (_TASK_ZH if zh else _TASK_EN).match(example.question):
        return found["x"].strip(), _OF_TASKS.get(language, "")
    return "", ""


def _by_hash(some: Sequence[str], question: str) -> list[str]:
    return sorted(some, key=lambda one: sha256(f"{question}\n{one}".encode()).digest())


def may_answer(one: Context, example: Example) -> bool:
    """Whether a passage that is not the evidence may answer too. The default of another parameter does not, though it
    be the same. Without such distractors a model learns to refuse wherever it sees many alike, which is what search
    shows."""
    return holds_answer(one.text, example.answer) and not _is_of_others(one, example)


def _is_of_others(one: Context, example: Example) -> bool:
    """Whether the passage gives the answer to other parameters alone: the question asks for the default of one, which
    the passage, of another document, names nowhere, and each piece that holds the value is a table's row with a name of
    its own. False wherever it could be read otherwise: "every timeout is 30s" answers for all of them."""
    named = set(_CODE.findall(example.question))
    if example.method != "default" or len(named) != 1 or one.document in {part.document for part in example.evidence}:
        return False
    name = named.pop()
    spelt = _bare(name.rpartition(".")[2])
    if "_" not in name or spelt in _bare(f"{one.document}\n{one.heading}\n{one.text}"):
        return False
    pieces = [(unit.kind, one.text[unit.start : unit.end]) for unit in units.split(one.text)]
    holding = [(kind, text) for kind, text in pieces if holds_answer(text, example.answer)]
    return bool(holding) and all(kind is UnitKind.ROW and "_" in text for kind, text in holding)


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

"""A tiny manual with questions, and tiny models that learned to answer them: what the serving tests talk to.

Two models learn the same questions with other answers, each a sentence of the passage it cites: whose answer it is can
be told from its words.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from router.packing import Packed, Tokenizer, Wanted, Window, pack
from router.prompt import Message
from router.types import Hit, Passage, Question, SearchResult

WINDOW = Window(1024, 48)
_PAGES = (
    ("pool", "The pool holds 40 connections. An idle connection is closed after 90 seconds."),
    ("backup", "A backup runs at 02:00 every night. Old backups are deleted after 14 days."),
    ("replica", "A replica is added with the command add-replica. It follows the primary within 3 seconds."),
    ("token", "A token expires after 30 minutes. Tokens are renewed by the gateway."),
    ("日志", "日志默认保留 7 天。日志文件写在 data/log 目录中。"),
    ("备份", "备份使用 full-backup 命令创建。每个备份占用约 20 GB 空间。"),
)
_ASKED = (
    ("How many connections does the pool hold?", 0),
    ("What happens to an idle pool connection?", 0),
    ("When does the backup run?", 1),
    ("How do I add a replica?", 2),
    ("When does a token expire?", 3),
    ("日志保留多久？", 4),
    ("日志写在哪里？", 4),
    ("怎么创建备份？", 5),
)


def passages() -> list[Passage]:
    return [
        Passage(f"{at:032x}", f"manual/{name}.md", ("Manual", name), 0, len(text), text, _language(text))
        for at, (name, text) in enumerate(_PAGES)
    ]


def _language(text: str) -> str:
    return "zh" if any("一" <= char <= "鿿" for char in text) else "en"


def questions() -> list[str]:
    return [question for question, _ in _ASKED]


def found(question: str) -> SearchResult:
    """The passage that answers, and two that do not, always in the same order."""
    gold = dict(_ASKED)[question]
    order = sorted({gold, (gold + 1) % len(_PAGES), (gold + 3) % len(_PAGES)})
    every = passages()
    hits = [Hit(every[at], {"bm25": 9.0 if at == gold else 1.0}, 1.0 if at == gold else 0.2) for at in order]
    return SearchResult(tuple(hits), {}, _language(question), "v1")


def answer(question: str, style: int) -> str:
    """style 0 cites the first sentence of the passage, style 1 the second."""
    gold = dict(_ASKED)[question]
    number = 1 + [hit.passage.id for hit in found(question).hits].index(passages()[gold].id)
    wide = _language(question) == "zh"
    sentences = [part + ("。" if wide else ".") for part in _PAGES[gold][1].rstrip("。.").split("。" if wide else ". ")]
    return f"{sentences[style][:-1]}{'' if wide else ' '}[{number}]{sentences[style][-1]}"


def packed(question: str, tokenizer: Tokenizer) -> Packed:
    from indexer.analysis import analyse

    here = found(question)
    return pack(Wanted(question, here.language), here.hits, WINDOW, tokenizer, analyse)


def texts() -> list[str]:
    """All that the models ever see, for their tokenizer."""
    from router.prompt import render

    shown = [render(question, (), _language(question)).messages for question in questions()]
    return [*(text for _, text in _PAGES), *(message.content for messages in shown for message in messages)]


def teach(folder: Path, style: int, steps: int = 150, hidden: int = 128) -> Path:
    """A Qwen3 of about a million weights that answers the questions above in one style; saved in `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from services.training.counting import tokenizer_of
    from services.training.encoding import encode
    from tests.training.tiny_models import make

    make(folder, "qwen3", texts(), hidden=hidden, words=1500)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    counting = tokenizer_of(str(folder))
    rows = [
        encode(tokenizer, chat(packed(question, counting).prompt.messages), answer(question, style))
        for question in questions()
    ]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    _fit(model, rows, steps)
    model.save_pretrained(folder)
    return folder


def chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": one.role, "content": one.content} for one in messages]


def _fit(model: Any, rows: Sequence[Any], steps: int) -> None:
    import torch

    torch.manual_seed(0)
    longest = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.ids, *[0] * (longest - len(row.ids))] for row in rows])
    labels = torch.tensor([[*row.labels, *[-100] * (longest - len(row.ids))] for row in rows])
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(steps):
        loss = model(input_ids=ids, labels=labels, attention_mask=(labels != -101).long()).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if loss.item() < 0.01:
            break


def shuffled(seed: int) -> list[Question]:
    asked = [Question(question) for question in questions()]
    random.Random(seed).shuffle(asked)
    return asked

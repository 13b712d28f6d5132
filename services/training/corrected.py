"""Questions that people corrected, asked again of a model: which of them would be wrong again.

They are asked along the whole way of serving, with the index, the lines and the call-backs of the live release, but
without the approved answers. Those answer such questions today; they also go stale and are retired, and a model that is
right only behind them is not right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from router import answering, prompt
from router.answering import Parts
from router.checking import Entailment
from router.confidence import Calibration
from router.packing import Window
from router.policy import SENT
from router.ports import Generator, Progress
from router.types import CuratedMatch, Draft, How, Question, SearchResult
from services.generation.drafting import drafted, packed_for
from services.generation.endpoints import Served
from services.generation.vllm import Written
from services.review.decisions import Regression
from services.store.traces import answer_key
from services.training.answering_models import Asked
from services.training.counting import tokenizer_of
from services.training.gates import Reasked
from services.training.judging import is_right
from services.training.metrics import token_f1

SAYS_AGAIN = "says again what was called wrong"
ANSWERS = "answers what people said is not to be answered"
DIFFERS = "is not what people said, and the live model does not get it wrong"


class InProcess:
    """`router.ports.Generator` by transformers in this process: packed, checked and cited as serving does it, one
    question at a time. folder: a model. name: what its drafts say wrote them. entails: see `router.checking`."""

    def __init__(self, folder: Path, window: Window, quoting: Generator, entails: Entailment | None = None) -> None:
        """Raises `Misconfigured` when it cannot be loaded."""
        self.name = folder.name
        self._asked, self._quoting = Asked(str(folder)), quoting
        self._entails = entails
        self._served = Served(self.name, (), window, tokenizer_of(str(folder)))

    async def generate(self, question: Question, found: SearchResult) -> Draft:
        """Raises `GeneratorUnavailable` when the question does not fit into its window."""
        packed = packed_for(question, found, self._served)
        written = self._written([{"role": one.role, "content": one.content} for one in packed.prompt.messages])
        draft = drafted(question.text, written, packed.included, self.name, {}, self._entails)
        quoted = await self._quoting.generate(question, found)
        return replace(draft, support={**quoted.support, **draft.support})

    def _written(self, messages: list[dict[str, str]]) -> Written:
        (written,) = self._asked.written([messages], self._served.window.answer)
        return written


class _NoEntries:
    """`router.ports.Curated` without approved answers."""

    async def match(self, question: str) -> CuratedMatch:  # noqa: ARG002
        return CuratedMatch(How.NONE)


Writer = Callable[[Parts], Generator]
"""What writes the answers, made when it is first needed: a model takes long to load."""


async def ask_again(
    corrected: Sequence[Regression],
    parts: Parts,
    candidate: Writer,
    live: Writer,
    progress: Progress,
    calibration: Calibration | None = None,
) -> list[Reasked]:
    """Every corrected question in each of its wordings. parts: of the live release. calibration: that the candidate
    would be served with, None for the same. The live model is asked only where that decides."""
    bare = replace(parts, curated=_NoEntries())
    rows = [(one, text) for one in corrected for text in (one.question, *one.wordings)]
    lines = parts.calibration.lines
    tried = replace(bare, calibration=replace(calibration, lines=lines)) if calibration else bare
    ours = await _sent(rows, replace(tried, generator=candidate(bare)), progress) if rows else []
    doubtful = [at for at, (one, _) in enumerate(rows) if differs(ours[at], one)]
    asked = [rows[at] for at in doubtful]
    theirs = await _sent(asked, replace(bare, generator=live(bare)), progress) if asked else []
    before = dict(zip(doubtful, theirs, strict=True))
    return [Reasked(text, ours[at], wrong_again(ours[at], before.get(at), one)) for at, (one, text) in enumerate(rows)]


def wrong_again(sent: str, live: str | None, one: Regression) -> str:
    """Why what would be sent ("" for nothing) makes a corrected question wrong again; "" where it does not. live: what
    the live model would send; None where it was not asked.

    What people called wrong is wrong whatever the live model says. An answer that is merely another one than theirs
    counts where the live model's is right, or is not sent: what that one gets wrong too is not made wrong by this."""
    if not sent:
        return ""
    if says_wrong(sent, one):
        return SAYS_AGAIN
    if not differs(sent, one) or live is None or (live and (says_wrong(live, one) or differs(live, one))):
        return ""
    return ANSWERS if one.out_of_scope else DIFFERS


def says_wrong(sent: str, one: Regression) -> bool:
    """In the very words that were called wrong, or in others that say the same and are nearer to them than to the right
    answer: the two are often alike, and half of a right answer is often part of the whole one."""
    if answer_key(sent) in {answer_key(text) for text in one.wrong}:
        return True
    said = prompt.without_citations(sent)
    right = token_f1(said, one.right)
    wrong = [prompt.without_citations(text) for text in one.wrong]
    return any(is_right(said, text) and token_f1(said, text) > right for text in wrong)


def differs(sent: str, one: Regression) -> bool:
    """Whether it is sent and not known to be right. Of an answer that was only called back nothing is known but that
    it is wrong."""
    if not sent or not (one.right or one.out_of_scope):
        return False
    return one.out_of_scope or not is_right(prompt.without_citations(sent), one.right)


async def _sent(rows: Sequence[tuple[Regression, str]], parts: Parts, progress: Progress) -> list[str]:
    out = []
    for number, (_, text) in enumerate(rows, 1):
        trace, _ = await answering.propose(Question(text), parts)
        out.append(trace.answer.text if trace.answer.route in SENT else "")
        progress("ask corrected questions", number, len(rows))
    return out

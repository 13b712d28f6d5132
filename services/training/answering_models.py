"""A model asked in batches, for evaluation: greedy answers, and how probable it finds an answer that it is given.

By transformers, on this machine; serving goes through vLLM. The prompt's ids are the trainer's (`encoding.prompt_ids`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from router.errors import Misconfigured
from router.ports import Progress
from services.generation.vllm import Written
from services.training.encoding import Encoded, Messages, encode, prompt_ids, stop_id, with_template
from services.training.looping import filler_of

BATCH = 16_384  # tokens at a time, padding and answers included: enough for a CPU, small beside a GPU's weights


def quiet(_stage: str, _done: int, _total: int) -> None:
    """`router.ports.Progress` for nobody."""


class Asked:
    """A model with its tokenizer. folder: a model, or an adapter, which is loaded on `base`. batch: most tokens."""

    def __init__(self, folder: str, base: str = "", batch: int = BATCH) -> None:
        """Raises `Misconfigured` when it cannot be loaded."""
        try:
            self._tokenizer: Any = with_template(AutoTokenizer.from_pretrained(folder))
            self._model = _loaded(folder, base)
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: an adapter of other shapes
            raise Misconfigured(f"the model {folder} cannot be loaded: {error}") from error
        self._filler, self._stop, self._batch = filler_of(self._tokenizer), stop_id(self._tokenizer), batch

    def answers(self, prompts: Sequence[Messages], most: int, progress: Progress = quiet) -> list[str]:
        """The texts alone of `written`."""
        return [one.text for one in self.written(prompts, most, progress)]

    def written(self, prompts: Sequence[Messages], most: int, progress: Progress = quiet) -> list[Written]:
        """Greedy, at most `most` tokens, cut at the end token, as vLLM reports them; in the order of the prompts."""
        ids = [prompt_ids(self._tokenizer, messages) for messages in prompts]
        sizes = [len(row) + most for row in ids]
        return self._in_batches(sizes, lambda rows: self._written([ids[at] for at in rows], most), progress)

    def logprobs(self, pairs: Sequence[tuple[Messages, str]], progress: Progress = quiet) -> list[tuple[float, ...]]:
        """The natural logarithm of each token of an answer, its end token included, given the prompt and what stands
        before it."""
        rows = [encode(self._tokenizer, messages, answer) for messages, answer in pairs]
        sizes = [len(row.ids) for row in rows]
        return self._in_batches(sizes, lambda some: self._scored([rows[at] for at in some]), progress)

    def _in_batches(
        self, sizes: Sequence[int], work: Callable[[Sequence[int]], Sequence[Any]], progress: Progress
    ) -> list[Any]:
        """Rows of similar size together, so that little is padding; the results in the order of `sizes`."""
        out: list[Any] = [None] * len(sizes)
        done = 0
        for rows in batches(sizes, self._batch):
            for at, result in zip(rows, work(rows), strict=True):
                out[at] = result
            done += len(rows)
            progress("ask the model", done, len(sizes))
        return out

    @torch.no_grad()
    def _written(self, ids: Sequence[Sequence[int]], most: int) -> list[Written]:
        longest = max(map(len, ids))
        padded = [[self._filler] * (longest - len(row)) + list(row) for row in ids]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in ids]
        heard = _Heard()
        made = self._model.generate(
            input_ids=torch.tensor(padded, device=self._model.device),
            attention_mask=torch.tensor(mask, device=self._model.device),
            max_new_tokens=most,
            do_sample=False,
            repetition_penalty=1.0,  # the model folder's own defaults decide nothing, as in serving
            logits_processor=[heard],
            eos_token_id=[self._stop, self._filler],
            pad_token_id=self._filler,
        )
        new = made[:, longest:]
        texts: list[str] = self._tokenizer.batch_decode(new, skip_special_tokens=True)
        rows = zip(texts, new.tolist(), heard.logprobs(), ids, strict=True)
        return [self._reported(text, tokens, logprobs, len(prompt)) for text, tokens, logprobs, prompt in rows]

    def _reported(self, text: str, tokens: Sequence[int], logprobs: Sequence[float], prompt: int) -> Written:
        """A row ends with its own end token; what follows pads it to the longest of its batch."""
        ends = {self._stop, self._filler}
        size = next((at + 1 for at, token in enumerate(tokens) if token in ends), 0)
        return Written(text.strip(), tuple(logprobs[: size or len(tokens)]), "stop" if size else "length", prompt)

    @torch.no_grad()
    def _scored(self, rows: Sequence[Encoded]) -> list[tuple[float, ...]]:
        """Logits, a vocabulary wide each, are made from the first token of an answer on."""
        longest, first = max(len(row.ids) for row in rows), min(row.prompt for row in rows) - 1
        room = [longest - len(row.ids) for row in rows]
        ids = [[*row.ids, *[self._filler] * left] for row, left in zip(rows, room, strict=True)]
        mask = [[1] * len(row.ids) + [0] * left for row, left in zip(rows, room, strict=True)]
        device = self._model.device
        logits = self._model(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=torch.tensor(mask, device=device),
            logits_to_keep=longest - first,
        ).logits
        return [_of_answer(logits[at], row, first) for at, row in enumerate(rows)]


class _Heard:
    """A `LogitsProcessor` that changes nothing: it keeps the log-probability of the most probable token of each step,
    which greedy search then takes."""

    def __init__(self) -> None:
        self._steps: list[torch.Tensor] = []

    def __call__(self, _ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        wide = scores.float()
        self._steps.append(wide.max(-1).values - wide.logsumexp(-1))
        return scores

    def logprobs(self) -> list[list[float]]:
        """By row."""
        found: list[list[float]] = torch.stack(self._steps, 1).tolist()
        return found


def _of_answer(logits: torch.Tensor, row: Encoded, first: int) -> tuple[float, ...]:
    """logits: [tokens, vocabulary], of the places from `first` on; the one before a token says how probable it is."""
    target = torch.tensor(row.ids[row.prompt :], device=logits.device)
    before = logits[row.prompt - 1 - first : len(row.ids) - 1 - first].float().log_softmax(-1)
    return tuple(before.gather(1, target[:, None])[:, 0].tolist())


def batches(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers of the rows, small ones first: as many as hold `most` tokens when all are padded to the largest, and one
    row at least."""
    batch: list[int] = []
    for at in sorted(range(len(sizes)), key=sizes.__getitem__):
        if batch and (len(batch) + 1) * sizes[at] > most:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _loaded(folder: str, base: str) -> Any:
    """In full precision on a CPU, in bfloat16 where the accelerator has it."""
    cuda = torch.cuda.is_available()
    kind = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float32
    if (Path(folder) / "adapter_config.json").is_file():
        from peft import PeftModel

        model: Any = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=kind), folder)
    else:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=kind)
    return model.to("cuda" if cuda else "cpu").eval()

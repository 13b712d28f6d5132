"""Real manuals: what comes out is what a person sees on the page."""

from __future__ import annotations

import csv
import re
from difflib import SequenceMatcher
from functools import cache
from html import unescape
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from indexer import duplicates
from indexer.parsing import ParseError
from indexer.sources import Source, load, open_source, scan, skip
from router.types import Document, Skipped

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "data" / "corpora"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside this repository"),
]


@cache
def documents(name: str) -> tuple[dict[str, Document], list[Skipped]]:
    found, failed = {}, []
    for entry in scan(open_source(Source(name, str(CORPORA / name)), CORPORA)).entries:
        try:
            found[entry.path] = load(entry)
        except ParseError as error:
            failed.append(skip(entry, error))
    return found, failed


def aliases(*names: str) -> dict[str, str]:
    pages = [
        duplicates.Page(document.path, document.language, duplicates.signature(document.text))
        for name in names
        for document in documents(name)[0].values()
    ]
    return dict(duplicates.group(pages))


@pytest.mark.parametrize(
    ("name", "pages", "failed"),
    [
        ("polardb_pg_docs", 99, 0),
        ("polardb_stack_docs", 109, 0),
        ("polardb_stack_html", 102, 0),
        ("fastapi_en_zh", 404, 0),
        ("redis_doc_en", 477, 0),
        pytest.param("tidb_docs_cn", 1222, 0, marks=pytest.mark.slow),
        pytest.param("postgresql_sgml_en", 387, 2, marks=pytest.mark.slow),  # two files only declare entities
    ],
)
def test_every_document_is_read(name: str, pages: int, failed: int) -> None:
    found, skipped = documents(name)
    assert (len(found), len(skipped)) == (pages, failed), skipped


def test_untranslated_pages_of_the_english_tree_are_chinese() -> None:
    found, _ = documents("polardb_pg_docs")
    inside = [p for p, d in found.items() if p.startswith("docs/") and "/zh/" not in p and d.language == "zh"]
    assert len(inside) == 27


def test_untranslated_copies_become_aliases_of_the_chinese_tree() -> None:
    found = aliases("polardb_pg_docs")
    with (CORPORA / "polardb_pg_docs" / "PAIRS.tsv").open() as file:
        pairs = list(csv.DictReader(file, delimiter="\t"))
    for pair in pairs:
        english, chinese = f"polardb_pg_docs/{pair['en_tree']}", f"polardb_pg_docs/{pair['zh_tree']}"
        if pair["relation"] == "identical":
            assert found[english] == chinese
        elif pair["relation"].startswith("translation"):
            assert found.get(english) != chinese
    # Two pages that differ in an IP address (a slip of the pen in one of them) stay apart.
    assert "polardb_pg_docs/docs/deploying/storage-ceph.md" not in found


def test_built_html_comes_out_as_its_markdown_source() -> None:
    html, markdown = documents("polardb_stack_html")[0], documents("polardb_stack_docs")[0]
    ratios = []
    for path, document in html.items():
        source = re.sub(r"index\.md$", "README.md", path.replace("_book/", "").replace(".html", ".md"))
        if source in markdown:
            ratios.append(SequenceMatcher(None, words(document.text), words(markdown[source].text)).quick_ratio())
    assert len(ratios) == 102
    assert sum(ratios) / len(ratios) > 0.99
    found = aliases("polardb_stack_html", "polardb_stack_docs")
    assert len([path for path in found if path.startswith("polardb_stack_html/")]) == 102


def words(text: str) -> str:
    shown = re.sub(r"</?[a-z][^<>:]*/?>|!\[[^\]]*\]\([^)]*\)|\]\([^)]*\)", "", unescape(text))
    return re.sub(r"[\W_]+", "", shown)


def test_included_code_is_in_the_page() -> None:
    found, _ = documents("fastapi_en_zh")
    left = [line for d in found.values() for line in d.text.split("\n") if re.match(r"\{\* .*docs_src/", line)]
    assert left == []
    assert "class Item(BaseModel):" in found["docs/zh/docs/tutorial/body.md"].text


@pytest.mark.slow
def test_docbook_becomes_sound_markdown() -> None:
    found, _ = documents("postgresql_sgml_en")
    text = found["doc/src/sgml/config.sgml"].text
    assert "\n#### `work_mem` (`integer`)\n" in text
    for path, document in found.items():
        prose = re.sub(r"(?ms)^ *(`{3,}).*?^ *\1$|`[^`\n]+`", "", document.text)
        assert not re.search(r"</?(?:para|sect\d|entry|literal|command|varname|title)\b", prose), path
        assert not re.search(r"^(?:<{7}|>{7}) ", document.text, re.M), path
    tables = [token for token in MarkdownIt("commonmark").enable("table").parse(text) if token.type == "table_open"]
    assert tables

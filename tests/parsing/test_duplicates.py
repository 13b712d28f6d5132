from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.duplicates import Page, group, likeness, signature


def prose(seed: int, words: int = 400) -> str:
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(2_000)]
    return " ".join(rng.choices(vocabulary, k=words))


def pages(*texts: tuple[str, str], language: str = "en") -> list[Page]:
    return [Page(path, language, signature(text)) for path, text in texts]


BASE = "# Title\n\n" + prose(1)


def test_markup_makes_no_difference() -> None:
    other = "Title\n=====\n\n1. " + prose(1).replace(" ", "  ").replace("q", "Q") + "\n\n![pic](a.png)<br/>"
    assert group(pages(("s/a.md", BASE), ("s/longer/b.html", other))) == {"s/longer/b.html": "s/a.md"}


def test_a_word_or_two_makes_no_difference_on_a_long_page() -> None:
    changed = BASE.replace(prose(1).split()[50], "somethingelse", 1)
    assert group(pages(("s/a.md", BASE), ("s/b2.md", changed))) == {"s/b2.md": "s/a.md"}


@pytest.mark.parametrize("change", [" 7.1", " not", " max_size", " --force", " maxSize"])
def test_a_number_name_or_negation_makes_another_page(change: str) -> None:
    assert group(pages(("s/a.md", BASE + " 7.0"), ("s/b.md", BASE + change))) == {}


def test_negation_in_chinese() -> None:
    text = "".join(chr(0x4E00 + random.Random(3).randrange(5000)) for _ in range(10)) * 30 + prose(9)
    assert group(pages(("s/a.md", text + "可以关闭"), ("s/b.md", text + "不可以关闭"), language="zh")) == {}


def test_short_pages_must_be_equal_to_the_word() -> None:
    assert group(pages(("s/a.md", "Returns the length of a list"), ("s/b.md", "Returns the length of a set"))) == {}


def test_pages_of_nothing_but_front_matter_are_told_apart() -> None:
    assert group(pages(("s/a.md", "---\ntitle: A\n---\n"), ("s/b.md", "---\ntitle: B\n---\n"))) == {}


def test_the_page_in_its_own_language_tree_stays() -> None:
    same = pages(("s/docs/deploy.md", BASE), ("s/docs/zh/deploy.md", BASE), language="zh")
    assert group(same) == {"s/docs/deploy.md": "s/docs/zh/deploy.md"}
    assert group(reversed(same)) == group(same)


def test_source_pages_come_before_built_ones_then_short_paths() -> None:
    found = group(pages(("s/a.html", BASE), ("s/guide/long/a.md", BASE), ("s/guide/b.md", BASE)))
    assert found == {"s/a.html": "s/guide/b.md", "s/guide/long/a.md": "s/guide/b.md"}


def test_languages_are_kept_apart_unless_equal() -> None:
    changed = BASE + " a few more words here"
    assert group([*pages(("s/a.md", BASE)), *pages(("s/b.md", changed), language="de")]) == {}


def test_foreign_signatures_are_refused() -> None:
    with pytest.raises(ValueError, match="compute it again"):
        group([Page("s/a.md", "en", b"\x63" + signature("x")[1:])])


@given(st.text(max_size=2_000))
def test_any_text_has_a_stable_signature(text: str) -> None:
    assert signature(text) == signature(text)
    assert len(signature(text)) <= 29 + 4 * 256


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 1.0])
def test_the_estimate_is_near_the_true_jaccard_similarity(share: float) -> None:
    rng = np.random.default_rng(5)
    everything = rng.choice(2**32, size=20_000, replace=False).astype(np.uint32)
    both = int(share * len(everything))
    half = (len(everything) - both) // 2
    one, other = everything[: both + half], np.concatenate([everything[:both], everything[both + half :]])
    estimate = likeness(np.unique(one)[:256], np.unique(other)[:256])
    assert abs(estimate - share) < 0.11  # 3.5 standard errors at one half

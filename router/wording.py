"""The few sentences that are ours, one per language, and the form in which two questions count as the same."""

from __future__ import annotations

import unicodedata

REFUSAL = {
    "en": "I could not find a reliable answer to this in the documents. It has been passed on to a person.",
    "zh": "在文档中没有找到可靠的答案，这个问题已转给人工处理。",
}
"""The canonical refusal. One text per language: it is also what refusal rows of a training set say."""


def normalise(question: str) -> str:
    """Width, case, spacing and the punctuation at the ends folded away."""
    folded = unicodedata.normalize("NFKC", question).casefold()
    return " ".join(folded.split()).strip(" ?!.,;:。，；：？！、~…\"'")


def language_of(text: str) -> str:
    """zh if there is any Han character, else en: the languages the wording exists in."""
    return "zh" if any("\u3400" <= char <= "\u9fff" for char in text) else "en"

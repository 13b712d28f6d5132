"""Whether a draft gives one thing's value to another: "128MB" for `a_size` from the row of `b_size`.

A table's row and a list's item bind what they hold. A draft that is nothing but a value is true of some row of almost
any table; whose row it must be is in the question.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from router import support
from router.claims import FUNCTION, Evidence

_SPELT = re.compile(r"--?[a-z]|.*_|.*\(\)$")
"""Names that are spelt the same wherever they stand: flags, names with underscores, calls. Others (`PolarDB`, `v1.2`)
are often understood, and not repeated on the row."""


def of_another(
    question: str, statement: str, tokens: Sequence[str], asked: Collection[str], evidence: Evidence
) -> bool:
    """Whether all that the statement adds to the question stands on rows and items of other things alone. asked: the
    question's tokens. False wherever the evidence could be read otherwise: where prose or a heading speaks of the
    thing or of the value, or where the value is spread over several rows."""
    wanted = {*_spelt(question), *_spelt(statement)}
    said = {token for token in tokens if token in evidence.words and token not in asked and token not in FUNCTION}
    said -= {token for token in said if any(token in name for name in wanted)}
    if not wanted or not said:
        return False
    named = [_holds(wanted, unit) for unit in evidence.units]
    holding = [at for at, words in enumerate(evidence.tokens) if said <= set(words)]
    if not holding or any(named[at] or not evidence.bound[at] for at in holding):
        return False
    if any(named):
        return all(bound for name, bound in zip(named, evidence.bound, strict=True) if name)
    return not _holds(wanted, evidence.text) and all(_spelt(evidence.units[at]) for at in holding)


def _spelt(text: str) -> list[str]:
    return [name for name in support.identifiers(text) if _SPELT.match(name)]


def _holds(names: Collection[str], text: str) -> bool:
    folded = "".join(text.split()).lower()
    return any(name.removesuffix("()") in folded for name in names)

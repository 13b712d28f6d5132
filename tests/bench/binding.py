"""Whose value a bare value is: what the check of drafts sends of right values, and of values from other rows.

    python -m tests.bench.binding

The rows are those that `answerloop dataset build` makes by rule of PolarDB's manuals and TiDB's. Each is answered by
its gold answer, and by each short cell of other rows of the same table; checked with the question, as serving does, and
without it. Prints one JSON object a line: drafts, and the share of them that is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from indexer.analysis import analyse
from router import units
from router.checking import check
from router.types import UnitKind
from services.generation.checking import packaged_model
from services.training.building import Inputs, build
from services.training.records import Example
from tests.review import pages

MANUALS = [pages.CORPUS.parent / name for name in ("polardb_pg_docs", "polardb_stack_docs", "tidb_docs_cn")]
_LONGEST = 40  # characters of a cell that could be a value


def main() -> None:
    passages = [passage for manual in MANUALS for page in pages.read(manual) for passage in pages.cut(page)]
    rows = [one for one in build(Inputs(passages, "bench")).assigned.rows if not one.refuses]
    gold = [sent(row, row.answer) for row in rows]
    other = [sent(row, cell) for row in rows for cell in dict.fromkeys(cells_of_other_rows(row))]
    for name, found in (("right values", gold), ("values of other rows", other)):
        plain, asked = ([one[at] for one in found] for at in (0, 1))
        shares = {"without the question": sum(plain) / len(found), "with it": sum(asked) / len(found)}
        rounded = {name: round(share, 3) for name, share in shares.items()} if found else {}
        print(json.dumps({"drafts": name, "number": len(found), **rounded}), flush=True)


def sent(row: Example, value: str) -> tuple[bool, bool]:
    """Whether the value, citing the row's evidence, is sent: without the question, and with it."""
    seen = [f"{one.heading}\n{one.text}" for one in row.context]
    marks = "".join(f"[{number}]" for number, one in enumerate(row.context, 1) if one.evidence)
    found = [check(f"{value} {marks}", seen, analyse, packaged_model(), question=asked) for asked in ("", row.question)]
    return bool(found[0].text), bool(found[1].text)


def cells_of_other_rows(row: Example) -> Iterator[str]:
    """Short cells of the rows without the answer that stand in no row with it."""
    for part in row.evidence:
        lines = [part.text[start:end] for kind, start, end in units.parts(part.text) if kind is UnitKind.ROW]
        own = {cell for line in lines if row.answer in line for cell in _cells(line)}
        yield from (cell for line in lines if row.answer not in line for cell in _cells(line) if cell not in own)


def _cells(line: str) -> list[str]:
    """But the first, which names the row."""
    cells = [cell.strip(" `") for cell in line.strip("| \n").split("|")[1:]]
    return [cell for cell in cells if 0 < len(cell) <= _LONGEST and any(map(str.isalnum, cell))]


if __name__ == "__main__":
    main()

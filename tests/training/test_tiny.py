"""What the tiny model of the loop demo reads: lines that it can only look up."""

from __future__ import annotations

import random

from services.training.tiny import _Windows

LINES = [[number * 100 + place for place in range(size)] for number, size in enumerate((7, 9, 12, 20), 1)]


def test_every_second_window_has_its_lines_again_in_another_order() -> None:
    windows = _Windows(tokens=96, rows=4, lines=LINES)
    cut = windows.cut(list(range(-200, 0)), [0, 5, 10, 15], random.Random(0))
    assert [len(one) for one in cut] == [96] * 4
    assert [one[0] for one in cut[1::2]] == [-195, -185], "the others are of the text as it is"
    for window in cut[::2]:
        begins = [at for at, token in enumerate(window) if token % 100 == 0]
        lines = [tuple(window[at:end]) for at, end in zip(begins, [*begins[1:], len(window)], strict=True)]
        assert any(lines.count(line) > 1 for line in lines)
        assert any(line[0] // 100 != line[-1] // 100 for line in lines), "how one begins, and how another ends"


def test_one_line_alone_cannot_be_spliced() -> None:
    cut = _Windows(tokens=8, rows=1, lines=LINES[:1]).cut(list(range(20)), [3], random.Random(0))
    assert cut == [list(range(3, 11))]

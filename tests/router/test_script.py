"""Rules are written in simplified characters and find traditional ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.analysis import fold_script
from router.facts import bounds_before, denies, negates, opposed, qualifies, quantities
from router.kinds import Kind, kinds_of
from router.script import simplified

ROOT = Path(__file__).parents[2]
COMMON = 0xC6
"""The last lead byte of Big5's first level: the 5,401 characters that are in daily use."""


def in_daily_use(character: str) -> bool:
    try:
        return character.encode("big5")[0] <= COMMON
    except UnicodeEncodeError:
        return False


def test_every_character_that_a_rule_names_is_found_in_its_traditional_form() -> None:
    ruled = [*(ROOT / "router").glob("*.py"), *(ROOT / "services" / "generation").glob("*.py")]
    named = {character for path in ruled for character in path.read_text("utf-8")}
    everyone = map(chr, range(0x4E00, 0xA000))
    missing = {
        character: folded
        for character in everyone
        if in_daily_use(character) and (folded := fold_script(character)) != character
        if folded in named and simplified(character) != folded
    }
    assert missing == {}


@pytest.mark.parametrize("text", ["備份檔案會在夜間寫入", "後來沒有人", "plain ASCII", ""])
def test_the_length_stays(text: str) -> None:
    assert len(simplified(text)) == len(text)


@pytest.mark.parametrize(
    ("traditional", "kind"),
    [
        ("如何關閉預讀？", Kind.HOW_TO),
        ("預設值是多少？", Kind.DEFAULT),
        ("有沒有辦法復原？", Kind.WHETHER),
        ("為什麼連線會中斷？", Kind.WHY),
        ("設定檔在哪個目錄？", Kind.WHERE),
        ("什麼時候發布？", Kind.WHEN),
    ],
)
def test_kinds(traditional: str, kind: Kind) -> None:
    assert kind in kinds_of(traditional)


def test_what_a_text_must_not_get_nearly_right() -> None:
    assert denies("備庫沒有辦法寫入") and denies("無須重新啟動") and not denies("備庫可以寫入")
    assert qualifies("僅主節點可寫入") and qualifies("除非關閉預讀") and negates("請勿關閉預讀")
    assert bounds_before("僅當主節點停止時") and not bounds_before("主節點會停止")
    assert opposed("開啟預讀", "關閉預讀") == ["开启"]
    assert quantities("保留 7 個月，共 3 億列") == quantities("保留 7 个月，共 3 亿列")

from __future__ import annotations

import pytest

from indexer.parsing import parse
from indexer.parsing.encoding import decode

SIMPLIFIED = "# 部署指南\n\n数据库的配置文件在 /etc/app.conf 中,修改之后需要重新启动服务。\n"
TRADITIONAL = "# 部署指南\n\n資料庫的設定檔案在 /etc/app.conf 中,修改之後需要重新啟動服務。\n"
JAPANESE = "# ガイド\n\nこのページではデータベースの設定について説明します。\n"
FRENCH = "# Démarrage\n\nLe fichier de configuration est lu au démarrage du serveur; voilà où régler la mémoire.\n"
RUSSIAN = "# Установка\n\nФайл конфигурации читается при запуске сервера.\n"


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (SIMPLIFIED, "gbk"),
        (SIMPLIFIED + "𠮷㐀\n", "gb18030"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        ("# 안내\n\n이 페이지는 데이터베이스의 설정에 대하여 설명한다.\n", "euc_kr"),
        (FRENCH, "latin-1"),
        (RUSSIAN, "cp1251"),
        (SIMPLIFIED, "utf-8-sig"),
        (SIMPLIFIED, "utf-16"),
        ("# Plain English without a mark\n", "utf-16-le"),
        ("# Plain English without a mark\n", "utf-16-be"),
        (SIMPLIFIED, "utf-32"),
    ],
)
def test_encodings_are_recognised(text: str, codec: str) -> None:
    assert decode(text.encode(codec)) == text


def test_a_declaration_beats_the_guess_and_utf8_beats_a_wrong_declaration() -> None:
    assert "Łódź" in parse("a.html", '<meta charset="iso-8859-2"><p>Łódź</p>'.encode("iso-8859-2")).text
    assert "数据" in parse("a.html", '<meta charset="gb2312"><p>数据</p>'.encode()).text
    assert "数据" in parse("a.html", '<meta charset="no-such"><p>数据</p>'.encode()).text


def test_newlines_and_control_characters() -> None:
    assert decode(b"a\r\nb\rc\x0b\x7fd\n") == "a\nb\ncd\n"

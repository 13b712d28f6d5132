from __future__ import annotations

import time

import pytest

from indexer.language import detect


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("# 部署\n\n本文介绍如何部署数据库。", "zh"),
        ("本文介紹如何部署資料庫。", "zh"),
        ("使用 `docker run` 启动 PolarDB PostgreSQL primary instance on localhost", "zh"),
        ("本文说明。\n\n```python\n" + "the of and is to print hello world\n" * 50 + "```\n", "zh"),
        ("このページでは設定について説明します。データベース構成", "ja"),
        ("이 페이지는 설정을 설명한다.", "ko"),
        ("GET key", "en"),
        ("pg_basebackup --checkpoint=fast", "en"),
        ("Sets the maximum memory. The default is 4MB.", "en"),
        (
            "# Installation\n\nDie Datei wird beim Start gelesen und ist nicht für den Betrieb mit dem Server gedacht.",
            "de",
        ),
        ("Le serveur est lancé par la commande, qui ne peut pas être utilisée dans les autres cas.", "fr"),
        ("El servidor se inicia con la orden que no puede ser usada en los otros casos de la guía.", "es"),
        ("Файл конфигурации читается при запуске сервера.", "ru"),
        ("The German message is: Die Datei ist nicht da. It means that the file is not on the disk.", "en"),
        ("1234 --- 5678", "und"),
        ("", "und"),
        ("```\n安装\n```", "zh"),
    ],
)
def test_detect(text: str, language: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize(
    "text", ["```" * 300_000, "`" * 900_000, "<" * 900_000, "](" * 400_000, "a" * 900_000, "```\n" * 200_000]
)
def test_long_texts_are_sampled(text: str) -> None:
    started = time.process_time()
    detect(text)
    assert time.process_time() - started < 1

"""Bytes to text. Byte order marks first, then UTF-8, then what the file declares, then a guess."""

from __future__ import annotations

import codecs
from itertools import pairwise

from indexer.parsing.page import ParseError, clean

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark starts with the UTF-16 one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Chinese files say gb2312 or gbk and mean its superset; latin-1 on the web means cp1252.
_SUPERSETS = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs", "iso8859-1": "cp1252", "ascii": "cp1252"}
_GUESSES = ("gb18030", "big5hkscs", "cp932", "euc_jp", "euc_kr", "cp1252", "cp1251", "latin_1")
_SAMPLE = 64 * 1024
# The characters and marks that make up about a quarter of running Chinese, Japanese and Korean text.
_FREQUENT = frozenset(
    "的一是不在了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经"
    "這個為國時來們對會發動過說產種後學經據與數資庫設開關請檔案連線"
    "数据库设开关请文件使置安装系统配命令，。、：；（）「」？！"
    "のにはをたがでてとしれさあるいもなこらりすまアイルントスリー"
    "이다는을를의에가한고도로하지기서"
)


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of a file, newlines normalised. Raises ParseError for empty files and binary data."""
    if not data.strip(b" \t\r\n\x00"):
        raise ParseError("the file is empty")
    text = _decode(data, declared)
    _refuse_binary(text)
    return clean(text)


def _decode(data: bytes, declared: str | None) -> str:
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data[len(bom) :].decode(name, errors="replace")
    if wide := _wide_without_bom(data):
        return data.decode(wide, errors="replace")
    for codec in filter(None, ("utf-8", _known(declared))):
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue
    return data.decode(_guess(data[:_SAMPLE]), errors="replace")


def _known(declared: str | None) -> str | None:
    """The Python codec for a declared character set, or None when there is no such text codec."""
    try:
        info = codecs.lookup((declared or "").strip().lower())
    except (LookupError, ValueError):
        return None
    if not info._is_text_encoding or info.name.startswith(("utf", "idna", "punycode", "unicode", "raw")):
        return None  # a UTF declaration was already tried, or would have had a mark
    return _SUPERSETS.get(info.name, info.name)


def _wide_without_bom(data: bytes) -> str | None:
    """UTF-16 text without a mark shows as zero bytes (or one repeated high byte) on one side only."""
    sample = data[: _SAMPLE & ~1]
    half = max(1, len(sample) // 2)
    even, odd = sample[::2].count(0) / half, sample[1::2].count(0) / half
    if odd > 0.2 and even < 0.02:
        return "utf-16-le"
    if even > 0.2 and odd < 0.02:
        return "utf-16-be"
    return None


def _guess(sample: bytes) -> str:
    """The multi-byte or Latin codec under which the sample reads most like language.

    Every candidate that decodes (a character cut off at the end of the sample is allowed) is scored by the
    share of its non-ASCII characters that are frequent ones; a wrong codec gives rare characters.
    """
    best, best_score = "latin_1", -1.0
    for name in _GUESSES:
        try:
            text = codecs.getincrementaldecoder(name)().decode(sample)
        except UnicodeDecodeError:
            continue
        score = _plausibility(text)
        if score > best_score:
            best, best_score = name, score
    return best


def _plausibility(text: str) -> float:
    marked = [char for char in text if char > "\x7f"]
    if not marked:
        return 0.0
    frequent = sum(char in _FREQUENT for char in marked) / len(marked)
    # Latin and Cyrillic: accented letters stand next to plain letters, not next to each other.
    letters = sum("À" <= char <= "ſ" or "а" <= char.lower() <= "я" for char in marked) / len(marked)
    runs = sum(first > "\x7f" and second > "\x7f" for first, second in pairwise(text)) / len(marked)
    cyrillic = sum("а" <= char.lower() <= "я" for char in marked) / len(marked)
    lower = sum(char.islower() for char in marked) / len(marked)
    latin = letters * (1 - runs) if cyrillic < 0.5 else cyrillic * lower * 0.6
    return max(frequent, 0.35 * latin)


def _refuse_binary(text: str) -> None:
    sample = text[:_SAMPLE]
    odd = sum((char < " " and char not in "\t\n\r\f\x1b") or char == "�" or char == "\x7f" for char in sample)
    if odd > max(2, 0.02 * len(sample)):
        raise ParseError("this is binary data, not text; save it as UTF-8 text if it is a document")

"""Which words of a question something new takes the place of: "on Linux" for "on Windows", one flag for another."""

from __future__ import annotations

import re

from router.phrases import HAN, Phrase, is_chinese, phrases, stem

_PART_ZH = re.compile("(?:整个|单个|所有|全部|数据库|资料库)*(?:集群|丛集|实例|节点)")
_ALIKE = tuple(
    frozenset(names.split())
    for names in (
        "linux windows macos mac ubuntu centos debian rhel fedora android ios arm x86 x86_64 arm64",
        "docker kubernetes k8s podman helm compose",
        "python java go golang rust php ruby javascript node.js nodejs typescript c c++ c#",
        "primary replica master slave standby leader follower",
        "primaries replicas masters slaves standbys leaders followers",
        "aws azure gcp aliyun 阿里云 腾讯云 华为云",
        "主库 备库 从库 主节点 备节点 从节点 只读节点 读写节点 只读实例 主实例",
        "单机 集群 主备 分布式",
        "生产环境 测试环境 开发环境",
        "读 写", "输入 输出", "上传 下载", "导入 导出", "备份 恢复", "启动 停止 重启", "开启 关闭", "启用 禁用 停用", 
        "创建 删除 修改",
        "安装 卸载 部署 升级", "扩容 缩容", "格式化 挂载 卸载", "增加 减少 添加 删除", "升级 降级 回滚",
        "backup restore", "install uninstall upgrade", "start stop restart", "enable disable", "import export",
        "mysql postgresql postgres oracle mariadb sqlite redis mongodb",
        "staging production development",
        "reads writes", "hashes lists sets strings streams", "hourly daily weekly monthly",
    )
)  # fmt: skip
_PREPOSITION = re.compile(
    r"^(?P<word>on|in|for|with|without|under|from|to|at|by|using|via|inside|during|before|after)\s+(?:the |"
    r"an? )?(?P<what>.+)$",
    re.I,
)
_VERSION = re.compile(r"^v?\d[\d.]*$")
_FLAG = re.compile(r"^--?[A-Za-z]")
_SNAKE = re.compile(r"^\w+_\w+$", re.ASCII)


def swap(question: str, new: str) -> str | None:
    """`question` with `new` in the place of what is of its kind; None where that place is not plain."""
    new = new.strip()
    if not new or len(new) > 60:
        return None
    if not is_chinese(question) and (match := _PREPOSITION.match(new)):
        return _swap_preposition(question, match["word"], match["what"])
    if alike := swap_alike(question, new):
        return alike
    if close := _swap_token(question, new) or _swap_counted(question, new) or _swap_sibling(question, new):
        return close
    old = _same_kind(question, new) or _subject(question, new)
    return _put(question, old.start, old.end, new) if old else None


_TOKENS = {
    "snake": re.compile(r"(?<![\w-])[A-Za-z]\w*_\w+", re.ASCII),
    "flag": re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*", re.ASCII),
}


def _swap_token(question: str, new: str) -> str | None:
    """A setting for the only setting, a flag for the only flag, also inside a longer phrase."""
    pattern = _TOKENS.get(_kind(new))
    hits = list(pattern.finditer(question)) if pattern else []
    return question[: hits[0].start()] + new + question[hits[0].end() :] if len(hits) == 1 else None


def _swap_preposition(question: str, word: str, what: str) -> str | None:
    """The one phrase behind the same preposition."""
    found = [
        phrase
        for phrase in phrases(question)
        if re.search(rf"\b{word}\s+(?:the |an? |my |our )?$", question[: phrase.start], re.I)
    ]
    if len(found) == 1:
        return question[: found[0].start] + what + question[found[0].end :]
    if found:
        return None
    return (
        _swap_counted(question, what) or swap_alike(question, what) or _with_place(question, f"{word.lower()} {what}")
    )


def _with_place(question: str, place: str) -> str:
    """The question with a place it did not have."""
    return f"{question.rstrip(' ?!.')} {place}?"


def swap_alike(question: str, new: str) -> str | None:
    """A word of the question that is known to be the other one of the new word's kind."""
    low = new.lower()
    for group in _ALIKE:
        one = low if low in group else low.removesuffix("s")
        if one not in group:
            continue
        for other in sorted(group - {one}, key=len, reverse=True):
            edge = "" if is_chinese(other) else r"(?![A-Za-z0-9_.+#-])"
            before = "" if is_chinese(other) else r"(?<![A-Za-z0-9_.-])"
            hits = list(re.finditer(before + re.escape(other) + edge, question, re.I))
            if len(hits) == 1:
                return _put(question, hits[0].start(), hits[0].end(), new)
    return None


_ARTICLE = re.compile(r"(?:the|an?|my|our|this|that)\s+", re.I)


def _put(question: str, start: int, end: int, new: str) -> str:
    """`new` in place of what stands there, and of the article in front of it if it brings its own."""
    ahead = question[:start]
    if _ARTICLE.match(new):
        ahead = re.sub(rf"\b{_ARTICLE.pattern}$", "", ahead, flags=re.I)
    return ahead + new + question[end:]


def _same_kind(question: str, new: str) -> Phrase | None:
    """The only phrase of the question that is of the same kind: a flag for a flag, a name for a name, or one that
    shares its head noun ("string keys", "hash keys"; 备份文件, 日志文件)."""
    kind = _kind(new)
    old = [phrase for phrase in phrases(question) if phrase.text.lower() != new.lower()]
    if kind != "plain":
        fitting = [phrase for phrase in old if _kind(phrase.text) == kind]
        if kind == "name":
            fitting = [phrase for phrase in fitting if all(word[:1].isupper() for word in phrase.text.split())]
    elif is_chinese(new):
        fitting = [phrase for phrase in old if _tail(phrase.text, new) or _ends_alike(phrase.text, new)]
        if not fitting and len(new) <= 3:
            fitting = [p for p in old if re.fullmatch(f"[{HAN}]{{2,3}}", p.text)] if _one_han(old) else []
    else:
        fitting = [phrase for phrase in old if stem(phrase.text.split()[-1]) == stem(new.split()[-1])]
    return fitting[0] if len(fitting) == 1 else None


_LARGE = "hundred|thousand|million|billion"
_COUNTED = re.compile(
    rf"(?:\d[\d.,]*(?: (?:{_LARGE}))?|[一二两三四五六七八九十百千万]+) ?"
    r"(?P<unit>[个台次种天年月条位核块]?[\u4e00-\u9fff]{1,3}|[A-Za-z]{2,12})"
)


def _swap_sibling(question: str, new: str) -> str | None:
    """A name that begins like one of the question: "CentOS 8" for "CentOS 7"."""
    words = new.split()
    for kept in range(len(words) - 1, 0, -1):
        prefix = r"\s+".join(map(re.escape, words[:kept]))
        hits = list(re.finditer(rf"(?<![A-Za-z0-9]){prefix}\s+[A-Za-z0-9][\w.-]*", question, re.I | re.A))
        if len(hits) == 1:
            return question[: hits[0].start()] + new + question[hits[0].end() :]
    return None


def _swap_counted(question: str, new: str) -> str | None:
    """ "三个节点" for "两个节点", "5 nodes" for "3 nodes"."""
    match = _COUNTED.fullmatch(new)
    if re.fullmatch(r"\d[\d.]*", new):
        numbers = list(re.finditer(r"(?<![\w.-])\d[\d.]*(?![\w.-])", question))
        return question[: numbers[0].start()] + new + question[numbers[0].end() :] if len(numbers) == 1 else None
    if match is None:
        return None
    unit = re.escape(match["unit"].removesuffix("s"))
    hits = list(re.finditer(rf"(?:\d[\d.,]*(?: (?:{_LARGE}))?|[一二两三四五六七八九十百千万]+) ?{unit}s?", question))
    return question[: hits[0].start()] + new + question[hits[0].end() :] if len(hits) == 1 else None


_SUBJECT = re.compile(
    r"^\W*(?:(?:what|how|why|where|when|who)\s+)?(?:is|are|was|were|does|do|did|can|could|should|will|would|has|"
    r"have)\s+(?:the |an? )?$",
    re.I,
)


def _subject(question: str, new: str) -> Phrase | None:
    """The subject of a plain question, or its only phrase: "Are snapshots compressed?" – "what about backups?"."""
    found = [phrase for phrase in phrases(question) if phrase.rank > 0.1]
    if not found or is_chinese(new) != is_chinese(question) or _kind(new) not in ("plain", "name"):
        return None
    if is_chinese(question):
        end = found[0].end
        modifies = len(found) > 1 and found[1].start <= end + 1
        return found[0] if found[0].start == 0 and end < len(question.rstrip("？?。 ")) - 1 and not modifies else None
    return found[0] if len(found) == 1 or _SUBJECT.match(question[: found[0].start]) else None


def _one_han(old: list[Phrase]) -> bool:
    """ "怎么格式化 PFS": one Chinese word beside a name, so another Chinese word takes its place."""
    return sum(is_chinese(phrase.text) for phrase in old) == 1 and len(old) == 2


def _ends_alike(old: str, new: str) -> bool:
    """数据库集群 and 单个实例: parts of the same whole, and no other word with them."""
    return bool(_PART_ZH.fullmatch(old) and _PART_ZH.fullmatch(new))


def _tail(old: str, new: str) -> bool:
    return (len(old) >= 3 and len(new) >= 3 and old[-2:] == new[-2:]) or (
        len(old) == len(new) == 2 and old[-1] == new[-1]
    )


def _kind(text: str) -> str:
    if _VERSION.match(text):
        return "version"
    if _FLAG.match(text):
        return "flag"
    if _SNAKE.match(text):
        return "snake"
    if is_chinese(text):
        return "plain"
    return "name" if text[:1].isupper() else "plain"

"""Chinese follow-ups: what is missing, and the words of the conversation that fill it."""

from __future__ import annotations

import re
from collections.abc import Callable

from router import slots, smalltalk
from router.phrases import ASKING_ZH, ENDS_IN_VERB_ZH, GENERIC_ZH, HAN, is_chinese, phrases, stems, without_little
from router.topics import Context, compared, items, pair, statement

Made = tuple[str, str]

_LEAD = re.compile(
    "^(?:(?:谢谢你?|感谢|多谢|好的?|嗯+|哦+|噢|明白了?|"
    "知道了|了解了?|懂了|是的?|对的?|不是|ok)(?=[，。！,.! ~])[，。！,.! ~]*)+",
    re.IGNORECASE,
)
_CONNECT = re.compile(
    "^(?:那么|那(?![个些种样里边儿台是])|那(?=是不是|是否)|然后|所以|但是?|而且|还有|另外|接着)[，, ]*"
)


def make_whole(text: str, context: Context) -> Made | None:
    """None for a message that is whole by itself. The first rule that finds something missing fills it."""
    core = _LEAD.sub("", smalltalk.without(text)).strip() or text.strip()
    for rule in RULES:
        if made := rule(core, context):
            return made
    return None


def _join(*parts: str) -> str:
    """Parts put together, with a space between a Latin word and a Han one."""
    out = ""
    for part in (part.strip() for part in parts):
        if out and part and _apart(out[-1], part[0]):
            out += " "
        out += part
    return out


def _apart(left: str, right: str) -> bool:
    """Between Latin and Han, and between two Latin words, stands a space."""
    return left.isalnum() and right.isalnum() and not (is_chinese(left) and is_chinese(right))


_MEANT = re.compile(
    r"^(?:不[是对]?[，, ]*)?(?:我(?:的意思是|是说|说的是|指的是|问的是|想问的是)|就是(?!否|不是))"
    r"[：:，, ]*(?P<what>.+?)[\s。？?！!]*$"
)
_CLARIFYING = re.compile(r"(?:请问|哪[个一种些]|具体|什么|说明|指的是)[^。？?]*[？?]\s*$|请说明[^？?]*。?$")


def _clarified(core: str, context: Context) -> Made | None:
    """「我是说备库」: the last question, about that."""
    match = _MEANT.match(core)
    what = match["what"] if match else core.strip(" 。？?！!")
    if match is None and not _CLARIFYING.search(context.said[-100:]):
        return None
    if len(what) > 24 or not stems(what) or ASKING_ZH.search(what) or re.search("[吗呢]$", what):
        return None
    if stems(context.topic) and stems(context.topic) <= stems(what):
        return None
    if swapped := slots.swap_alike(context.question, what):
        return swapped, context.question
    return f"{what}，{context.question}", context.question


_WHAT_ABOUT = re.compile(
    "^(?P<lead>那么?|然后|还有|换成|改成|如果是|要是)?[，, ]*"
    "(?P<what>[^，。？?]{1,24}?)(?:呢(?P<rest>[，,？?。 ].*)?|的话[？?。 ]*)$"
)
_IF = re.compile(r"^(?:那么?)?[，, ]*(?:如果|要是|假如|若是|万一)(?P<what>[^，。？?]{2,40}?)呢?[？?。 ]*$")


def _condition(core: str, context: Context) -> Made | None:
    """「如果是只读节点呢」: the last question under a condition."""
    match = _IF.match(core)
    if match is None or ASKING_ZH.search(match["what"]) or core.rstrip("？?。 ").endswith("吗"):
        return None
    what = match["what"]
    if what.startswith(("是", "换成", "用")):
        plain = re.sub("^(?:是|换成|用)", "", what)
        if swapped := slots.swap(context.question, plain):
            return swapped, context.question
    return f"如果{what}，{context.question}", context.question


def _other_slot(core: str, context: Context) -> Made | None:
    """「那 Windows 呢」: the last question, with something else in one place."""
    match = _WHAT_ABOUT.match(core)
    if match is None:
        return None
    what, rest = re.sub(r"^(?:对于|关于|用|是)", "", match["what"].strip()), (match["rest"] or "").strip()
    placed, what = what.startswith("在"), what.removeprefix("在")
    what = re.sub(r"(?<=[A-Za-z0-9]) *[上中里下]$", "", what).strip()
    if pointed := _POINTED.match(what):
        return (context.question, context.question) if pointed.end() == len(what) else None
    if ASKING_ZH.search(what) or (not stems(what) and not re.fullmatch(f"[{HAN}]", what)):
        return None
    more = rest.lstrip("，,") if len(rest) > 1 else ""
    place = placed and not what.startswith("线") and "在" not in context.question
    if place and not slots.swap_alike(context.question, what):
        return f"{match['what'].strip()}，{context.question}", context.question
    if swapped := slots.swap(context.question, what):
        return (swapped.rstrip("？?。 ") + f"，{more}" if more else swapped), context.question
    two = compared(context)
    topic = "和".join(two) if two else next((one for one in context.topics if not stems(one) & stems(what)), "")
    if not topic:
        return None
    name = _in_frame(topic, what, context) or _join(topic, what) + _asked_only(context)
    return (f"{name}，{more}" if more else f"{name}？"), topic


_SIDES = "单位|端口|语法|格式|作用|原理|用途|优点|缺点|好处|上限|下限|路径|位置|默认值|条件|前提"
_SIDE = re.compile(
    f"(?:{_SIDES}|大小|权限|价格|费用|时间|版本|性能|限制|影响|要求|风险|命令|参数|原因|后果|效果|场景|"
    "方式|范围|事项|步骤|文档|教程|返回值|流程|规则|周期|频率)$"
)
_FRAME = re.compile("^(?:请问)?(?:怎么|如何|怎样)[^，。？?]{1,8}$")


def _in_frame(topic: str, what: str, context: Context) -> str:
    """「如何开启预读」 – 「那索引呢」: what was to be done stays; "" where only a side of the topic is asked for."""
    ahead, found, behind = context.question.partition(topic)
    if not found or behind.strip(" ？?。") or not _FRAME.match(ahead.strip()) or _SIDE.search(what):
        return ""
    return ahead + _join(topic, what)


def _asked_only(context: Context) -> str:
    """How the last question asked, when the words it asked with stand at its end: 是多少, 怎么指定, 支持吗."""
    found = re.search(
        "(?:(?:默认)?(?:是|有|要|需要)?(?:多少|多[久长大]|什么|哪些)|怎么[^，。？?]{0,4}|如何[^，。？?]{0,4})[？?]?$",
        context.question,
    )
    return found.group().rstrip("？?") if found else ""


_VAGUE = re.compile(
    "要|得|会|能|做|弄|搞|办|用|再|是|有|点|下|钱|次|个|具体|详细|一些|需要|大概|一般|通常|到底|究竟|这|那|它|后来|原理|步骤|影响|限制"
)
_WHY = re.compile("^(?:这是|那是|这)?(?:为什么|为何|为啥|怎么会|怎么回事|凭什么)")


def _content(core: str) -> str:
    """What is left without asking, little and generic words."""
    rest = re.sub(r"[\s，。？?！!、；;：:~…（）()“”\"']+", "", core)
    return GENERIC_ZH.sub("", without_little(rest, ""))


_MIDDLE = re.compile("什么(?!时候)|多少|哪|几[个种]|谁|啥|多[久长大]")  # asking words that leave a hole when taken out


_MIDDLE_TAIL = re.compile("(?:需要|要|用|花|得)*(?:多[久长大少]|几[个种]|哪[些个里]?|什么).*$")
_CONDITIONED = re.compile("^(?:如果[^，]+，)?")


def _asked_about(context: Context) -> str:
    """The statement in the last question, or its topic where asking words would leave a hole; under its condition."""
    condition = _CONDITIONED.match(context.question)
    under = condition.group() if condition else ""
    asked = context.question[len(under) :]
    if under:
        return under + _MIDDLE_TAIL.sub("", statement(asked))
    return context.topic if context.topic and _MIDDLE.search(asked) else statement(asked)


_SAYS_YES = re.compile("^(?:是的?|对的?|没错|嗯+|不是|不对|没有|不|yes|no)[。！!，, ]*$", re.IGNORECASE)


def _bare(core: str, context: Context) -> Made | None:
    """「为什么」「要多久」「详细说说」: nothing but asking words; the last question says about what."""
    if len(core) > 16 or _content(core) or _COMPARES.match(core) or _ORDINAL.search(core):
        return None
    if _SAYS_YES.match(core):
        return None
    core = _CONNECT.sub("", core)
    if _POINTED.search(core) and not _WHY.match(core):
        return None
    own = core.rstrip("？?。！! ")
    about = _asked_about(context)
    own = re.sub("呢$", "", own)
    if not about:
        return None
    if why := _WHY.match(own):
        return f"{_join('为什么', about, own[why.end() :])}？", about
    return f"{_join(about, own)}？", about


_COMPARES = re.compile(
    "^(?:那么?|所以)?[，, ]*(?P<them>(?:它们|他们|这两[个种者]|那两[个种者]|两者|二者|这些)(?:之间)?的?)?(?:"
    "(?P<differ>(?:有什么|有啥|有何|的)?(?:区别|不同|差别|差异|不一样)"
    "(?:是什么|在哪里?|吗|呢)?|有(?:什么|啥|没有)?不一样的?地?方?|"
    "一样吗|是一样的吗|是一回事吗)"
    "|(?P<which>(?:我?(?:应该)?(?:选|用|推荐|建议)(?:用|择)?)?(?:哪[个一]?[个种者]?)(?:更|比较|最|会)?"
    "[^，。？?]{0,6}))[？?。！! 呢]*$"
)


def _comparison(core: str, context: Context) -> Made | None:
    """「哪个更好」「有什么区别」: the two things that were spoken of."""
    match = _COMPARES.match(core)
    two = pair(context) if match else None
    if (
        match is None
        or two is None
        or (
            match["which"] and _content(match["which"]) and not re.search("更|最|比较|好|快|重要|合适|推荐|选|用", core)
        )
    ):
        return None
    rest = core[match.end("them") :] if match["them"] else _CONNECT.sub("", core)
    rest = rest.rstrip("？?。！! 呢")
    return f"{_join(two[0], '和', two[1], rest)}？", "、".join(two)


_NUMBERS = {"一": 0, "1": 0, "二": 1, "2": 1, "三": 2, "3": 2, "四": 3, "4": 3, "五": 4, "5": 4}
_ORDINAL = re.compile(
    "第 ?(?P<n>[一二三四五1-5]) ?(?:个|种|项|条|点)(?:方法|方案|选项|办法|方式|步骤|参数|命令|功能)?"
    "(?=[呢是怎吗？?的要能会可有需应支，, 和]|如何|$)|"
    "(?P<last>最后[一]?(?:个|种|项|条))(?=[呢是怎吗？?的要能会可有]|$)"
    "|(?P<former>前者)|(?P<latter>后者)"
)


def _ordinal(core: str, context: Context) -> Made | None:
    match = _ORDINAL.search(core)
    listed = items(context) if match else []
    if match is None or not listed:
        return None
    at = 0 if match["former"] else -1 if match["latter"] or match["last"] else _NUMBERS[match["n"]]
    if at >= len(listed):
        return None
    before = _CONNECT.sub("", core[: match.start()])
    whole = _join(before, listed[at], core[match.end() :])
    return re.sub("呢(?=[？?]?$)", "", whole), listed[at]


_NOUN = (
    "参数|功能|命令|节点|集群|版本|选项|配置项?|文件|实例|工具|接口|函数|字段|操作|服务|组件|特性|语句|变量|视图|插件|扩展|进程|目录|端口|模式|"
    "数据库|系统|产品|软件|机制|架构|镜像|脚本|模块|策略|算法|索引|值|表|库|包|盘|锁|方案|方法|办法|方式|步骤|过程|流程|问题|错误|报错|现象|情况"
)
_POINTED = re.compile(
    f"(?P<own>它们?|(?:(?<=[，。；？])|^|(?<![其吉结]))[他她]们?(?=[的是在有会能可何为怎什哪曾要需做]))(?P<of>的)?|"
    f"(?<![应不就又还我你先])该(?=(?:{_NOUN}))(?P<n1>{_NOUN})|"
    f"(?P<this>(?:上述|上面|前面|刚才|刚刚)(?:提到|说)?的?(?:这个|那个)?|这[个些种项类]|(?<!(?<![没所])有)(?<!支持)(?<!包括)(?<!包含)那些|那[个种项类])(?P<n2>{_NOUN})?|"
    "(?P<so>这样|(?:(?<=[，。；])|^)(?:那样|如此)|这么做)|(?P<place>这里|那里|这边)|(?P<bare>(?:(?<=[，。；])|^)这(?=[是会能要有需可也还怎为支]))|"
    "(?:(?<=[，。；及与和在从对将把为以由])|^)其(?=[中]?[^他它余实次中]{2})(?<=其)"
)


def _pointed(core: str, context: Context) -> Made | None:
    """「它」「这个参数」「该功能」「这样」 in place, unless the message itself says what is meant."""
    core = _CONNECT.sub("", core)
    match = _POINTED.search(core)
    if match is None or re.search("[其吉]$", core[: match.start()]):
        return None
    ahead, rest = core[: match.start()], core[match.end() :]
    if re.search(r"[A-Za-z0-9] *$", ahead) and (match["this"] or match["so"]):
        return None  # 「Motion 这个算子」 says itself which
    if _antecedent(ahead, match) or not context.topic:
        return None
    if match["so"]:
        about = statement(context.question)
        return (_join(ahead, about, rest), about) if about else None
    noun = match["n1"] or match["n2"] or ""
    if match["this"] and not noun and _own_noun(rest, context):
        return None
    if _TROUBLE.match(noun):
        about = statement(context.question)
        return _join(ahead, about, "，", rest.removeprefix("下")), about
    two = compared(context) if match.group().startswith("它们") else None
    name = "和".join(two) if two else _with_noun(context, noun)
    joint = match["of"] or ""
    if match.group() == "其":
        joint = "的"
    return _join(ahead, name, joint, rest), context.topic


_TROUBLE = re.compile("^(?:问题|错误|报错|现象|情况)$")


def _antecedent(ahead: str, match: re.Match[str]) -> bool:
    """Whether an earlier clause names something; for "its", anything before it."""
    clause = re.split("[，。；,;？?！!]", ahead)
    person = match.group()[0] in "他她"
    earlier = ahead if match["of"] or match.group() == "其" or person else "".join(clause[:-1])
    return any(phrase.rank >= 1.0 for phrase in phrases(earlier)) if earlier else False


def _own_noun(rest: str, context: Context) -> bool:
    """「这个视频」 where nobody spoke of a video: the message means something of its own."""
    found = phrases(rest)
    if not found or found[0].start > 0 or found[0].rank < 1.0:
        return False
    return not stems(found[0].text) & (context.asked | context.told)


_OPEN = re.compile("^(?:问题|错误|报错|现象|情况|方案|方法|办法|方式|步骤|过程|流程|操作|功能|机制|值)$")


def _with_noun(context: Context, noun: str) -> str:
    """The topic, with the noun behind it where it does not end in it: "max_connections 参数"."""
    topic = next((topic for topic in context.topics if noun and topic.endswith(noun)), "")
    if topic or not noun:
        return topic or context.topic
    return context.topic if _OPEN.match(noun) else _join(context.topic, noun)


_SHORT, _SHORT_LED = 2, 4  # Han characters of content; the second after "那", which says that something goes on
_ASK_FIRST = re.compile("^(?:怎么|如何|怎样|为什么|能否|能不能|可以|可否|是否|需要|要不要|支持)")
_DEFINING = re.compile("什么是|是什么|是啥|是谁|什么意思|指的是|何谓")
_ASPECT = re.compile(f"^(?:{_SIDES})(?:都?是|有)(?:什么|啥|哪些)")
_NO_SUBJECT = re.compile(
    "^(?:(?:支持|兼容|包含|包括|依赖|占用|提供)(?:哪些|什么|多少|啥)[^的，。？?]{1,6}|"
    "(?:最[低高]|推荐|硬件)(?:配置|要求|版本)(?:是|有)(?:什么|啥|哪些|多少))[？?。 ]*$"
)
_MODAL = re.compile(
    r"默认|自动|手动|改完|(?:默认|当前|最大|最小)?值|当前|最大|最小|在|还|也|都|要|需要?|必须|可以|能|会|得|[\d的了是吗呢有\s，。？?！!]"
)
_VERB_END = re.compile("(?:怎么|如何|怎样|能否|能不能|是否|要不要|可以|可否)[^，。？?的]{1,6}[？?。吗呢 ]*$")


_VALUE = re.compile("^(?:默认|当前|最大|最小)?值$")


def _has_object(own: str) -> bool:
    """「如何重启集群」: a verb with something it is done to."""
    things = (phrase for phrase in phrases(own) if phrase.rank >= 1.0 and not _VALUE.match(phrase.text))
    return any(ENDS_IN_VERB_ZH.search(own[: phrase.start]) for phrase in things)


_OFFERED = re.compile(
    rf"(?<!不)支持(?!在|{ASKING_ZH.pattern})(?P<what>[^，。？?吗么嘛的]{{2,16}})的?[吗么嘛]?[？?。 ]*$"
)
_TURNED = re.compile("(?:开启|启用|打开|关闭|停用|禁用|配置|设置|使用)$")  # done to what is offered


def _loose(core: str, context: Context) -> Made | None:
    """「那怎么删除」「端口是多少」: too few words of its own to stand alone, and none of the topic."""
    led = bool(_CONNECT.match(core)) and not core.startswith(("另外", "还有"))
    own = _CONNECT.sub("", core)
    content = _content(own)
    if (
        not content
        or (_DEFINING.search(own) and not (_ASPECT.match(own) or _NO_SUBJECT.match(own)))
        or (not ASKING_ZH.search(own) and not re.search("[吗呢][？?。 ]*$", own))
    ):
        return None
    if re.search("[A-Za-z]", own) or stems(context.topic) & stems(own) or not context.topic:
        return None
    product = _NO_SUBJECT.match(own) and re.search("[A-Za-z]", context.topic)  # a name, not "refunds"
    long = len(_MODAL.sub("", ASKING_ZH.sub("", own))) > (_SHORT_LED if led else _SHORT)
    if not product and (long or _has_object(own)):
        return None
    bare = own.rstrip("？?。！! ").removesuffix("呢")
    if _VERB_END.search(own) and not bare.endswith("吗") and _ASK_FIRST.match(own):
        offered = _OFFERED.search(context.question) if _TURNED.search(bare) else None
        done_to = offered["what"] if offered and context.topic not in offered["what"] else context.topic
        return f"{_join(bare, done_to)}？", done_to
    return f"{_join(context.topic, bare)}？", context.topic


RULES: tuple[Callable[[str, Context], Made | None], ...] = (
    _clarified,
    _ordinal,
    _comparison,
    _condition,
    _other_slot,
    _bare,
    _pointed,
    _loose,
)

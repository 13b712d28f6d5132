"""What a sentence is about: its content phrases, in Chinese and English, by little words alone (no model).

Little words (articles, pronouns, auxiliaries, asking words, particles) cut a sentence into phrases; phrases that only
name an aspect ("the price", "步骤") rank behind phrases that name a thing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN = re.compile(f"[{HAN}]")

STOP = frozenset(
    "a an the and or but nor so then than as if because while although though since until unless whether i me my "
    "mine myself we us our ours you your yours u he him his she her hers it its they them their theirs this that "
    "these those there here who whom whose which what when where why how is am are was were be been being isn't "
    "aren't wasn't do does did done doing don't doesn't didn't have has had having haven't hasn't can could may "
    "might must shall should will would cannot can't couldn't won't wouldn't shouldn't wd not no yes of in on at by "
    "for with without about against between among into through during before after above below to from up down out "
    "off over under again further once per via within beyond upon toward towards around besides all any both each "
    "few more most other another others some such only own same too very just also even ever never always often "
    "still yet already now else instead either neither much many little less least enough well please pls thanks "
    "thank hi hello ok okay let let's sorry oh wow hmm really actually maybe perhaps however anyway btw first "
    "second third last next former latter one ones it's that's what's who's where's how's there's i'm i've i'd i'll "
    "you're we're they're he's she's everything anything "
    "something nothing everyone anyone someone etc got".split()
)
"""Words that a question shares with every other question."""
VERBS = frozenset(
    "tell give show explain describe know think mean means meant want wants wanted need needs needed like likes "
    "love say says said ask asking asked help find get gets getting got make makes making made take takes taking "
    "took go goes going went come comes came see look looking looks try trying tried use uses used using work works "
    "working worked happen happens happened keep put let become becomes became start starts started begin began "
    "stop stops allow allows allowed provide provides provided include includes included offer offers exist exists "
    "depend depends call called seem seems sound sounds believe hear heard feel understand wonder wondering "
    "consider clarify confirm elaborate recommend suggest choose pick prefer compare differ cause caused causes "
    "involve involved involves live lived die died do does belong leave leaves left arrive turn turned turning "
    "bring follow enable disable configure set setting create created creating add added adding remove delete "
    "deleted change changed changing install uninstall restart run running build built write wrote written play "
    "plays played pay buy sell sold apply wish donate donated cover covers require requires contain contains "
    "support supports waive waived impose appear hire hired withhold".split()
)
GENERIC = frozenset(
    "thing things stuff way ways good bad better best worse worst great nice fine important possible true right "
    "wrong different certain specific sure available able general basic main common lot lots kind kinds type types "
    "sort bit time times long short far big large small old new high low fast quick quickly soon interesting "
    "information info detail details example examples question questions idea reason reasons point money cost costs "
    "price prices expensive cheap cheaper sense easy easier hard harder problem problems issue issues broken error "
    "fail fails failed failing part person people name names number amount meaning difference differences similar "
    "used difficult helpful correct exactly case tips today responsible convenient necessary suitable allowed related "
    "aware familiar".split()
)
RELATIONAL = frozenset(
    "limitation limitations restriction restrictions prerequisite prerequisites drawback drawbacks pros cons syntax "
    "usage option options pricing maximum minimum "
    "process purpose definition benefit benefits advantage advantages disadvantage disadvantages symptom symptoms "
    "role history location address website email hours size limit limits default value values effect effects impact "
    "step steps requirement requirements feature features list status guideline guidelines factors factor contents "
    "story summary aim aims objective objectives goal goals types percentage relationship age rate rates procedure "
    "strategy plot origin result results year day".split()
)
_LATIN = re.compile(r"--?[A-Za-z][\w-]*|[A-Za-zÀ-ɏ0-9_](?:[A-Za-zÀ-ɏ0-9_'’.:/@+&-]*[A-Za-zÀ-ɏ0-9_+])?|[^\sA-Za-z0-9_]")
_BEFORE_VERB = frozenset(
    "i we you they he she it to can could should will would not please don't can't doesn't".split()
)
_PARTICIPLE = re.compile(r"^[a-z]{3,}ed$")
_IDENTIFIER = re.compile(r"^--?[A-Za-z]|_|\w\(\)|[a-z0-9][A-Z]|[A-Za-z]\d|[A-Za-z][./:]\w|^v?\d+\.\d+|^[A-Z]{2,}s?$")

# Chinese words that hold no subject matter. What stands in front is tried first.
ASKING_ZH = re.compile(
    "请问一?下?|请教|请?告诉我|我?想[知问]道?|为什么|为何|为啥|什么时候|什么意思|什么样|什么|怎么样|怎么办|怎么回事|怎么|怎样|如何|咋样|咋办|咋|啥|"
    "哪[一个些里儿种位项条]*|谁|多少钱|多少|几[个台次种天年位条步]?|多[久长大高快远]|是不是|是否|有没有|能不能|可不可以|会不会|要不要|需不需要|能否|可否"
)
_KEPT_ZH = (
    "只读|只写|从库|从节点|从实例|从机|主从|功能|性能|能力|智能|能源|技能|地址|地区|地图|本地|请求|申请|时间|时区|时延|时长|时序|时钟|实时|定时|超时|延时|耗时|"
    "临时|并发|并行|合并|在线|更新|更改|变更|最大|最小|最优|最终|最近|最新|最高|最低|应用|应答|响应|对应|适应|规则|原则|准则|会话|会议|会员|社会|协会|机会|可用|"
    "可靠|可见|可读|可写|许可|有效|有限|所有|拥有|对象|对比|对齐|针对|绝对|相对|过期|过程|过滤|超过|要求|需求|要点|主要|重要|个数|个人|多个|整个|目的|得到|获得|获取|"
    "行为|来源|未来|去重|去除|过去|与运算|参与|就绪|就近|被动|再平衡|了解|不可用|不间断|和平|让渡|是非|为空|下来|其中|太空|很多"
)
LITTLE_ZH = re.compile(
    "其他|其它|别的|的时候|的话|时候|如果|要是|假如|那么|然后|所以|但是|不过|而且|并且|还是|或者|以及|关于|对于|根据|按照|通过|因为|由于|"
    "可以|可能|应该|必须|需要|能够|一下|一共|总共|现在|目前|已经|正在|之后|之前|以后|以前|我们|你们|咱们|"
    "它们|他们|她们|两者|二者|这个|那个|这些|那些|这种|那种|这样|那样|这里|那里|这边|那边|上面|上述|前面|刚才|刚刚|没有|不能|不会|还有|都有|"
    "(?<![一二三四五六七八九十百第唯])[一二两三四五六七八九十某每]个(?!数|性|体|案)|"
    "[的了吗呢吧啊呀么嘛哦着过得地我你您他她它这那该此其是有在和与跟同及或把被对从到将为给让请也都还就才只再又很太更最会能要可应需并而但若则时不没去来个]"
)
GENERIC_ZH = re.compile(
    "东西|事情|举个?例子?|一点|一些|问题|情况|办法|方法|方式|意思|原因|区别|不同|差别|差异|例子|举例|详细|具体|解释|说明|解决|处理|介绍|继续|更多|说说|讲讲|讲|说|"
    "重要|一样|好用|合适|推荐|建议|便宜|贵|快|慢|好|坏|行|对|错|弄|搞|做|办|用|看|试|算|钱|生效|起作用|出错|失败"
)
CUT_ZH = re.compile(f"(?P<kept>{_KEPT_ZH})|{ASKING_ZH.pattern}|{LITTLE_ZH.pattern}")
_VERBS_ZH = (
    "(?:"
    "控制|建立|影响|决定|限制|强制|导致|查看|查询|设置|配置|修改|更改|调整|创建|"
    "新建|添加|新增|增加|删除|移除|使用|安装|卸载|部署|开启|打开|启用|关闭|"
    "停用|禁用|重启|启动|停止|升级|降级|扩容|缩容|备份|恢复|回滚|迁移|导入|"
    "导出|连接|访问|登录|初始化|格式化|挂载|执行|运行|编译|监控|申请|购买|支持|"
    "了解|介绍|指定|实现"
    ")+"
)
VERB_ZH = re.compile("^" + _VERBS_ZH)
ENDS_IN_VERB_ZH = re.compile(_VERBS_ZH + "$")
_VALUE_ZH = re.compile("(?:默认|当前|最大|最小|自动|手动)+")
_VERB_BEHIND_ZH = re.compile("(?:支持|控制|影响|包含|提供|占用|存放|保留|使用|属于|位于)+$")
_PUNCT_ZH = re.compile(r"[，。？！、；：,?!;（）()“”\"'《》【】…~—\t\r\n]|(?<![A-Za-z0-9])[.:]|[.:](?![A-Za-z0-9])")
_RUN_ZH = re.compile(rf"(?P<latin>[^\s{HAN}]+(?: \d[\d.]*)?)?(?: ?(?P<han>[{HAN}]+))?(?<=[^\s])")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A run of content words. start, end: offsets in the text. rank: 0 up, how likely a sentence is about it."""

    text: str
    start: int
    end: int
    rank: float
    proper: bool = False


def is_chinese(text: str) -> bool:
    return bool(_HAN.search(text))


def is_code(name: str) -> bool:
    """Whether it looks like an identifier, a flag, a version or an abbreviation."""
    return bool(_IDENTIFIER.search(name))


def stem(word: str) -> str:
    """A rough English stem: enough to see "fees" in "fee" and "clinics" in "clinic"."""
    low = word.lower().replace("’", "'").removesuffix("'s")
    if len(low) > 4 and low.endswith("ies"):
        return low[:-3] + "y"
    if len(low) > 4 and low.endswith(("ches", "shes", "xes", "sses")):
        return low[:-2]
    return low[:-1] if len(low) > 3 and low.endswith("s") and not low.endswith("ss") else low


@lru_cache(maxsize=4096)
def phrases(text: str) -> tuple[Phrase, ...]:
    """The content phrases of a text in reading order. Linear in its length; callers bound that."""
    return tuple(_chinese(text) if is_chinese(text) else _english(text))


@lru_cache(maxsize=4096)
def stems(text: str) -> frozenset[str]:
    """Content words as stems; for Chinese also every pair of neighbouring characters inside a phrase."""
    found: set[str] = set()
    for phrase in phrases(text):
        for run in re.findall(f"[{HAN}]+|[^\\s{HAN}]+", phrase.text):
            found.update((run[at : at + 2] for at in range(len(run) - 1)) if is_chinese(run) else (stem(run),))
    return frozenset(found)


@dataclass(slots=True)
class _Run:
    """Content words side by side. behind: the little word in front of them, lower case."""

    words: list[re.Match[str]]
    named: bool = False
    behind: str = ""


def _english(text: str) -> list[Phrase]:
    out: list[Phrase] = []
    run, first = _Run([]), True
    for match in _LATIN.finditer(text):
        word = match.group()
        if len(word) == 1 and not word.isalnum():
            if word not in "'’`\"&":
                run = _closed(out, run, text, "")
            first = first or word in ".?!"
            continue
        low = word.lower().replace("’", "'")
        proper = word[0].isupper() and not first
        first = False
        if (low in STOP or low in VERBS) and not (proper and run.words):
            run = _closed(out, run, text, low)
            continue
        if proper and run.words and run.words[-1].group().islower():
            run = _closed(out, run, text, "")  # a name starts a phrase of its own
        run.words.append(match)
        run.named = run.named or proper or is_code(word)
    _closed(out, run, text, "")
    return out


def _closed(out: list[Phrase], run: _Run, text: str, behind: str) -> _Run:
    """Ends the run: what is left between the generic words at its ends becomes a phrase. Returns an empty one."""
    words = run.words
    if not words:
        return _Run(words, behind=behind)
    while words and words[0].group().lower() in GENERIC:
        words.pop(0)
    while words and (words[-1].group().lower() in GENERIC or (len(words) > 1 and _PARTICIPLE.match(words[-1].group()))):
        words.pop()
    if words and run.behind in _BEFORE_VERB and words[0].group().islower():
        out.append(Phrase(words[0].group(), words[0].start(), words[0].end(), 0.1))
        words.pop(0)
    if words:
        start, end = words[0].start(), words[-1].end()
        rank = 2.0 * run.named + 0.3 * (len(words) > 1) + 0.2
        if len(words) == 1 and text[start:end].lower() in RELATIONAL:
            rank = 0.1
        out.append(Phrase(text[start:end], start, end, rank, run.named))
    return _Run([], behind=behind)


def _chinese(text: str) -> list[Phrase]:
    """Phrases between little words; Latin names keep the noun behind them ("RPM 包")."""
    wiped = _PUNCT_ZH.sub(lambda match: "\n" * len(match.group()), text)
    wiped = without_little(wiped, "\n")
    out: list[Phrase] = []
    for match in _RUN_ZH.finditer(wiped):
        latin, han = match.span("latin"), match.span("han")
        if latin[0] >= 0 and han[0] >= 0 and _names(match["han"]):
            out.append(Phrase(text[latin[0] : han[1]], latin[0], han[1], 2.0, True))
            continue
        if latin[0] >= 0 and match["latin"].lower() not in STOP:
            rank = 0.2 if match["latin"].isdigit() else 2.0
            out.append(Phrase(match["latin"], *latin, rank, rank == 2.0))
        if han[0] >= 0 and match["han"] not in "上中里下内外" and not GENERIC_ZH.fullmatch(match["han"]):
            out.append(_han(text, *han))
    return out


def _names(han: str) -> bool:
    """Whether Chinese words behind a Latin name belong to it: "RPM 包", not "Linux 上" or "port 默认"."""
    return han[0] not in "上中里下内外" and not VERB_ZH.match(han) and not _VALUE_ZH.fullmatch(han)


def without_little(text: str, blank: str) -> str:
    """Chinese text with each character of its asking and little words replaced by `blank`; words that only look so
    (只读, 功能, 地址) are kept."""
    return CUT_ZH.sub(lambda match: match.group() if match["kept"] else blank * len(match.group()), text)


def _han(text: str, start: int, end: int) -> Phrase:
    """A verb in front of its object is left out; a verb alone ranks low."""
    if _VALUE_ZH.fullmatch(text, start, end):
        return Phrase(text[start:end], start, end, 0.0)
    verb = VERB_ZH.match(text[start:end])
    if verb and verb.end() == end - start:
        return Phrase(text[start:end], start, end, 0.3)
    # 备份保留 says something of the deed; 备份文件 does it to a thing.
    deed = verb and _VERB_BEHIND_ZH.fullmatch(text, start + verb.end(), end)
    if verb and not deed and end - start - verb.end() >= 2:
        start += verb.end()
    behind = _VERB_BEHIND_ZH.search(text[start:end])
    if behind and behind.start() >= 2:
        end = start + behind.start()
    return Phrase(text[start:end], start, end, 1.0 + 0.05 * min(end - start, 6) if end - start > 1 else 0.0)

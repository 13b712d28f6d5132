"""Greetings, thanks, goodbyes and requests for a person, in Chinese and English.

A message is one of these only if nothing else is in it: "thanks, but how do I restart it?" is a question.
"""

from __future__ import annotations

import re
import unicodedata

from router.script import simplified
from router.types import MessageKind

LONGEST = 120  # characters; nobody says hello in more

_I = re.IGNORECASE
_NAMES = (
    r"(?:there|all|everyone|everybody|team|guys|folks|friend|buddy|sir|madam|bot|assistant|again|dear|ai|mate|to you)"
)
_GREETING = re.compile(
    rf"(?:hi+|hey+|hello+|hallo|hiya|howdy|yo|greetings|good (?:morning|afternoon|evening|day))(?: {_NAMES})*\b"
    r"|how (?:are|is|'s|'re|have)? ?(?:you|u|ya|it|things|everything)(?: (?:been|doing|going|goin))*"
    r"(?: (?:today|right now|my friend|with you|so far))*$|how's (?:it|everything) (?:going|hanging)\b|"
    r"what's up(?: with you)?\b|"
    r"whats? ?up\b|wassup\b|nice to meet you\b|anybody (?:there|here)\b|"
    r"anyone (?:there|here)\b|are you there\b"
    r"|(?:can|could|would|will) (?:you|u|someone|anyone) (?:please |pls )?(?:help|assist)(?: me| us)?(?: (?:here|out|"
    r"please|with something))*\b(?! with| to)"
    r"|i (?:have|'ve|had|got) (?:a|some|another|one more|a couple of|a couple|a few|couple)?(?: more|"
    r" quick)? ?questions?(?: (?:please|for you))*\b(?! about| on| with| for| re)"
    r"|(?:i )?need (?:some )?help(?: please)?$|help(?: me)?(?: please)?$|(?:who are you|what are you|what can you do)$"
    r"|您好|你好|妳好|大家好|各位好|哈喽|哈啰|嗨|早上好|早安|早|上午好|中午好|下午好|晚上好|晚安(?=$)|在吗|在不在|有人吗|有人在吗|在么|亲"
    r"|你是谁$|你能做什么$|你会什么$|(?:能|可以)?(?:不能)?(?:请)?帮(?:我|个|一下)*忙?(?:一下)?吗$|(?:我)?(?:想)?(?:请教|咨询|问)(?:你|您)?(?:一?个|几个|些|"
    r"一下)?(?:问题|事情?)?$",
    _I,
)
_THANKS = re.compile(
    r"(?:many |thousand )?(?:thanks|thank (?:you|u)|thankyou|thx|thnx|tks|ty|cheers|much appreciated|"
    r"i appreciate (?:it|that|your help|the help))"
    r"(?: (?:so|very|a) (?:much|lot|million|bunch)| a ton| again| indeed| everyone| all| anyway| in advance)*"
    r"(?: (?:for|to) (?:(?!(?:how|what|why|when|where|which|who|can|could|is|are|do|does|but|will|should|and)\b)"
    r"[\w']+(?: |$|(?=[^\w\s])))++)?"
    r"|(?:i(?:'m| am)? (?:so |very |really )?(?:thankful|grateful|appreciate)|much obliged|appreciated?)"
    r"(?: (?:your|the|for|to|you|it|that|this|all|help|assistance|time|assist|doing))*\b"
    r"|(?:that|this|it)(?:'s| is| was|s)? (?:very |really |so |all |just )?(?:fine|great|helpful|useful|perfect|good|"
    r"okay|ok|awesome|it|all|clear|interesting|amazing|right|works|worked|cool)(?: to know)?(?: for now)?\b"
    r"|(?:you(?:'ve| have)? (?:been|were|are|'re) (?:very |so |really )?(?:helpful|great|kind|awesome))\b|"
    r"good to know\b"
    r"|(?:ok(?:ay)?|kk?|great|perfect|awesome|excellent|wonderful|nice|cool|fine|got it|i see|understood|noted|"
    r"makes sense|sounds good|alright|good job|well done|brilliant|amazing|lovely|wow|very interesting|"
    r"no (?:more )?(?:other )?questions?)\b(?! for| with)"
    r"|(?:非常|十分|太|真的?|万分|很)?(?:感谢|谢谢|谢了|多谢|谢啦|谢|蟹蟹|3q|👍|🙏)+(?:(?:你|您|啦|了|哈|啊|呀|各位|大家|老师|亲|的|帮助|帮忙|解答|回答|支持|耐心|回复|"
    r"指导)*)|辛苦(?:了|啦|你了|您了)?|麻烦(?:你|您)了"
    r"|(?:好的?|嗯+|哦+|噢+|行|明白|知道|了解|懂|收到|清楚|可以|没事|没问题|不用)(?:了|啦|的|吧|哦|呢|哈|呀)*|(?:太|真|很|非常)?(?:棒|好|厉害|赞|有用|有帮助|不错|"
    r"强大?)(?:了|啦|的|啊)*|解决了|搞定了?|问题(?:已经?)?解决了?",
    _I,
)
_GOODBYE = re.compile(
    r"(?:good ?bye+|bye+(?: ?bye+)?|see (?:you|ya|u)(?: (?:later|soon|tomorrow|around|next time))*|farewell|so long|"
    r"take care|have a (?:nice|good|great|lovely) (?:day|one|evening|weekend|night)|good night|ttyl|"
    r"talk (?:to you )?later|that(?:'s| is| will be|'ll be) all(?: (?:for (?:now|today)))*|i'?m (?:done|leaving)|"
    r"goodnight|peace out|adios|ciao|good talk|glad we talked|"
    r"(?:this|that|it) was (?:an? )?(?:very |really |so )?(?:nice|good|great|fun|lovely|pleasure|pleasant|nice to|"
    r"lovely to)"
    r"(?: (?:chat|conversation|talk|talking|chatting|speaking|speak|to|with|you))*|"
    r"(?:i (?:really )?enjoyed|nice|a pleasure) (?:our |to |the )?(?:talk|talking|chat|chatting|conversation|speak|"
    r"speaking)"
    r"(?: (?:to|with) you)?|"
    r"gotta go|cya)(?: everyone| all| now| then)*\b"
    r"|再见|拜+|拜拜|掰掰|回头见|回见|下次见|下回见|明天见|回聊|下次聊|不聊了|先这样|就这样|先走了|没有?(?:其他|别的|什么)?问题了|886?|晚安",
    _I,
)
_FILLER = re.compile(
    r"(?:please|pls|oh|um+|uh+|hmm+|well|so|and|then|yes|yeah|yep|no|sure|just|actually|sorry|very|much|indeed|"
    r"for now|now|again|today|sir|madam|man|mate|bot|team|there|everyone|all|you too|my friend|guys|haha+|lol|yay|"
    r"ai|friend|buddy|dear)\b"
    r"|请|呀|啊|啦|哈+|呵+|嘿+|吧|了|哦|呢|那|就|先|都|的|我|小助手|机器人|助手|客服|老师|大家|各位|亲爱的?|朋友们?|请问(?=$)|不好意思|打扰(?:了|一下)?|嗯+",
    _I,
)
_EDGE = re.compile(r"(?:(?![👍🙏])[\W_])+")

_KINDS = (
    r"(?:real|live|actual|human|support|customer|customer[- ]service|service|technical|sales|help ?desk|tech|company)"
)
_STRONG = (
    r"(?:human(?: being)?s?|persons?|agents?|representatives?|reps?|operators?|customer (?:service|support|care)|"
    r"(?:support|service) (?:agent|person|engineer|specialist|staff|team)|supervisor|real people|actual people)"
)
_PERSON = (
    rf"(?:(?:an?|the|your|some|any|another|one|my) )?(?:{_KINDS} )*+"
    rf"(?:{_STRONG}|people|someone|somebody|support|staff|team|engineer|specialist|expert|manager|help ?desk)"
)
_REACH = (
    r"(?:talk|speak|chat|connect|transfer|switch|escalate|hand|put|get|pass|direct|forward|redirect|contact|reach)"
    r"(?: me| us| this| it| over| through| out| directly| in touch| my (?:call|chat|question|issue|case))*+"
    r"(?: (?:to|with))?"
)
_WANT = (
    r"(?:(?:i|we)(?:'d| would| just| really| only| still)*+ (?:want|like|need|wish|prefer|have|love|demand)(?:ed)?"
    r"(?: to| rather)?|(?:can|could|may|might|shall) (?:i|we|you|someone)(?: please| just| at least)?|"
    r"let me|please|pls|just|is there any way to|is it possible to|i'd (?:rather|like to|prefer to)|"
    r"how (?:do|can|could) i|how to|where can i|would you|will you|i must)"
)
_HAVE = (
    r"(?:(?:i|we)(?:'d| would| just| really| only| still)*+ (?:want|like|need|prefer|demand)|(?:please )?(?:get|"
    r"give) me|"
    r"is there|are there|do you have|where is)"
)
_TAIL = (
    r"(?: (?:please|pls|now|asap|right now|immediately|here|instead|directly|else|real|from (?:support|your team)|"
    r"to help(?: me)?|for help|about (?:this|it|that)|available|(?:that |who )?(?:i )?can (?:talk|speak|chat) (?:to|"
    r"with)|"
    r"to (?:talk|speak|chat) (?:to|with)|(?:who )?can help(?: me)?))*+"
)
_HANDOFF_EN = re.compile(
    rf"(?:{_WANT} )*+(?:{_REACH} )++{_PERSON}{_TAIL}"
    rf"|{_HAVE} (?:(?:an?|the|some|any|your) )?(?:{_KINDS} )*?{_STRONG}{_TAIL}"
    rf"|(?:an? )?(?:(?:real|live|actual|human) )*?{_STRONG}(?: (?:please|pls|now))*+"
    r"|(?:an? )?(?:live|human) (?:chat|support|help)(?: (?:please|pls|now))*+"
    r"|(?:is|are) there (?:anyone|anybody|someone|somebody)(?: here| there)? (?:i can|to) (?:talk|speak|chat) (?:to|"
    r"with)",
    _I,
)
_ZH_PERSON = "(?:人工|真人|活人|客服|专员|人类|工作人员|技术支持|技术人员|工程师|在线客服|专家|售后)"
_HANDOFF_ZH = re.compile(
    "(?:我|请|麻烦|帮|给|能不能|能否|可不可以|可以|能|快|直接|马上|立即|赶紧|现在|还是|想|要求|要|需要|希望|求|怎么|如何|"
    "在?哪里?|有没有|有|一下|你们|你|您|是否|转接|转到|转给|转|接入|接|找|换|叫|联系|呼叫|切换到|切换成|切换|跟|和|与|让|来|"
    "沟通|交流|咨询|问|到|成|的|一?[个位名])*+"
    f"{_ZH_PERSON}++"
    "(?:人工|客服|服务|坐席|座席|人员|同事|处理|接待|来|说话?|聊聊?|沟通|对话|交流|谈谈?|解答|回答|介入|帮忙|帮我|支持|一下|"
    "看看?|吧|吗|呢|啊|了|的|在吗|在不在|谢谢|我|跟进|在哪里?|能|联系)*+"
    "|(?:我|请|麻烦|帮|要|想)*+(?:找|换|叫|和|跟)(?:一?个)?(?:真)?人(?:来|聊聊?|说话?|沟通|谈谈?|处理|吧|帮我)++"
)
_LONGEST_REQUEST = 80
_CLAUSE = re.compile(r"[,.!?;，。！？；\n~…]+")
_REAL_QUESTION = re.compile(
    r"\b(?:what|which|who|where|when|why|how)\b.*\w|^(?:am|is|are|does|do|did|can|could|should|will)\b.*\w|怎么|如何|怎样|"
    r"为什么|"
    r"什么|哪|多少|是否|吗|呢|能不能",
    _I,
)


def kind_of(text: str) -> MessageKind | None:
    """GREETING, THANKS, GOODBYE or HANDOFF, if the whole message is that; else None. Linear in a bounded length."""
    if len(text) > LONGEST:
        return None
    folded = " ".join(unicodedata.normalize("NFKC", simplified(text)).replace("’", "'").split()).strip()
    if asks_for_person(folded):
        return MessageKind.HANDOFF
    return _polite(folded)


_SENTENCE = re.compile(r"^[^.!?。！？\n]{1,60}[.!。！~\n]+\s*")


def without(text: str) -> str:
    """The message without the polite sentences before the rest: "That is fine. How …" → "How …"."""
    rest = text.strip()
    while (sentence := _SENTENCE.match(rest)) and sentence.end() < len(rest) and kind_of(sentence.group()):
        rest = rest[sentence.end() :]
    return rest


def asks_for_person(folded: str) -> bool:
    """One clause asks for a person in so many words, and no other clause asks anything else."""
    clauses = [clause.strip() for clause in _CLAUSE.split(folded) if clause.strip()]
    asking = [clause for clause in clauses if _is_handoff(clause)]
    if not asking:
        return False
    return not any(_REAL_QUESTION.search(c) and _polite(c) is None for c in clauses if c not in asking)


def _is_handoff(clause: str) -> bool:
    plain = re.sub(r"^(?:(?:hi|hello|hey|ok|please|no|sorry|but|and|so|then|well|thanks)\b[ ]*)+", "", clause, flags=_I)
    plain = re.sub("^(?:你好|您好|那|那么|算了|不行|还是)+", "", plain).strip()
    if len(plain) > _LONGEST_REQUEST:
        return False
    return bool(_HANDOFF_EN.fullmatch(plain) or _HANDOFF_ZH.fullmatch(re.sub(" ", "", plain)))


def _polite(folded: str) -> MessageKind | None:
    """Polite phrases are taken off from the front until nothing, or something else, is left."""
    seen: set[MessageKind] = set()
    at = len(folded) - len(_EDGE.sub("", folded, count=1)) if _EDGE.match(folded) else 0
    while at < len(folded):
        for pattern, kind in _POLITE:
            match = pattern.match(folded, at)
            if match and match.end() > at and _whole_word(folded, match.end()):
                seen.update({kind} if kind else ())
                at = match.end()
                break
        else:
            return None
        edge = _EDGE.match(folded, at)
        at = edge.end() if edge else at
    return next(
        (kind for kind in (MessageKind.GOODBYE, MessageKind.THANKS, MessageKind.GREETING) if kind in seen), None
    )


def _whole_word(text: str, end: int) -> bool:
    return end >= len(text) or not (
        text[end - 1].isascii() and text[end].isascii() and text[end - 1].isalnum() and text[end].isalnum()
    )


_POLITE: tuple[tuple[re.Pattern[str], MessageKind | None], ...] = (
    (_GOODBYE, MessageKind.GOODBYE),
    (_THANKS, MessageKind.THANKS),
    (_GREETING, MessageKind.GREETING),
    (_FILLER, None),
)

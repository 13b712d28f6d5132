"""Greetings, thanks, goodbyes and requests for a person, in Chinese and English.

A message is one of these only if nothing else is in it: "thanks, but how do I restart it?" is a question.
"""

from __future__ import annotations

import re
import unicodedata

from router.types import MessageKind

LONGEST = 120  # characters; nobody says hello in more

_I = re.IGNORECASE
_NAMES = r"(?:there|all|everyone|everybody|team|guys|folks|friend|buddy|sir|madam|bot|assistant|again|dear|support)"
_GREETING = re.compile(
    rf"(?:hi+|hey+|hello+|hallo|hiya|howdy|yo|greetings|good (?:morning|afternoon|evening|day))(?: {_NAMES})*\b"
    r"|how are you(?: doing)?(?: today)?\b|how's it going\b|what's up\b|nice to meet you\b|anybody (?:there|here)\b|"
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
    r"(?: for (?:your|the|this|that|all|all of|all your|helping)? ?(?:help|info|information|answer|answers|support|"
    r"assistance|time|reply|response|explanation|me|quick)*(?: me)?)?\b"
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
    r"gotta go|cya)(?: everyone| all| now| then)*\b"
    r"|再见|拜+|拜拜|掰掰|回头见|回见|下次见|下回见|明天见|回聊|下次聊|不聊了|先这样|就这样|先走了|没有?(?:其他|别的|什么)?问题了|886?|晚安",
    _I,
)
_FILLER = re.compile(
    r"(?:please|pls|oh|um+|uh+|hmm+|well|so|and|then|yes|yeah|yep|no|sure|just|actually|sorry|very|much|indeed|"
    r"for now|now|again|today|sir|madam|man|mate|bot|team|there|everyone|all|you too|my friend|guys|haha+|lol|yay)\b"
    r"|请|呀|啊|啦|哈+|呵+|嘿+|吧|了|哦|呢|那|就|先|都|的|我|小助手|机器人|助手|客服|老师|大家|各位|亲爱的?|朋友们?|请问(?=$)|不好意思|打扰(?:了|一下)?|嗯+",
    _I,
)
_EDGE = re.compile(r"(?:(?![👍🙏])[\W_])+")

_PERSON = (
    r"(?:(?:an?|the|your|some|any|another|one|my) )?(?:(?:real|live|actual|human|support|customer|"
    r"customer[- ]service|service|technical|sales|"
    r"help ?desk|tech|company|actual live) ){0,3}(?:human(?: being)?s?|persons?|people|agents?|representatives?|"
    r"reps?|operators?|someone|somebody|support|"
    r"customer (?:service|support|care)|(?:support )?(?:staff|team|engineer|specialist)|expert|manager|supervisor|"
    r"help ?desk)(?: (?:real|human|instead|else|directly|now|who can help|from support|from your team|over there))*"
)
_REACH = (
    r"(?:talk|speak|chat|connect|transfer|switch|escalate|hand|put|get|pass|direct|forward|redirect|contact|reach|"
    r"call|see|find|ask|want|need|have|prefer|like|give)"
    r"(?: me| us| this| it| over| through| out| directly| in touch| my (?:call|chat|question|issue|case))*(?: (?:to|"
    r"with))?"
)
_WANT = (
    r"(?:(?:i|we)(?:'d| would| just| really| only| still)* (?:want|like|need|wish|prefer|have|love|"
    r"demand)(?:ed)?(?: to| rather)?|(?:can|could|may|might|shall) (?:i|we|you|someone)(?: please| just| at least)?|"
    r"let me|please|pls|just|is there(?: any way to)?|are there|is it possible to|i'd (?:rather|like to|prefer to)|"
    r"how (?:do|can|could) i|how to|where can i|would you|will you|do you have|i must|get me|you)"
)
_HANDOFF_EN = re.compile(
    rf"(?:(?:{_WANT}) )*(?:{_REACH} )+{_PERSON}(?: (?:please|pls|now|asap|right now|immediately|here|to help(?: me)?|"
    rf"about (?:this|it|that)|for help|available|i can (?:talk|speak|chat) (?:to|with)|to (?:talk|speak|chat) (?:to|"
    rf"with)|can help me))*"
    rf"|(?:{_WANT} )*{_PERSON} (?:please|pls|now|i can (?:talk|speak) (?:to|with)|available|here)"
    r"|(?:(?:a|real|live|human|an?) )*(?:real person|live (?:person|agent|chat|support|human)|human(?: (?:agent|"
    r"being|support|help|operator))?|agent|operator|representative|customer (?:service|support)|real human)"
    r"|(?:is|are) there (?:any|some)?(?:one|body|a)? ?(?:real |live |human )?(?:human|person|agent|people|"
    r"one)?s? ?(?:here |there )?(?:i can (?:talk|speak|chat) (?:to|with)|to (?:talk|speak|chat) (?:to|with))",
    _I,
)
_ZH_PERSON = "(?:人工|真人|活人|客服|专员|人类|工作人员|技术支持|技术人员|工程师|在线客服|专家|售后)"
_HANDOFF_ZH = re.compile(
    "(?:(?:我|请|麻烦|帮|给|能不能|能否|可以|可不可以|能|快|直接|马上|立即|赶紧|现在|还是|想|要|需要|希望|求|怎么|如何|在?哪里?可?以?|有没有|有|要求|一下|你|您|你们|是否)*)"
    f"(?:转|接|找|换|叫|联系|呼叫|转接|接入|转到|转给|切换|切换到|切换成|跟|和|与|让|来|要|需要|请|沟通|交流|咨询|问|一下)*(?:一?[个位名]|到|成|给|你们的?|你们|"
    f"的)*{_ZH_PERSON}+"
    "(?:人工|客服|服务|坐席|座席|人员|同事|处理|接待|来|说话?|聊聊?|沟通|对话|交流|谈谈?|解答|回答|介入|帮忙|帮我|支持|一下|看看?|吧|吗|呢|啊|了|的|在吗|在不在|谢谢|我|跟进|在哪里?|能|"
    "联系)*"
    "|(?:我|请|麻烦|帮我?|我?要|我?想)*(?:找|换|叫|和|跟)(?:一?个)?(?:真)?人(?:来|聊聊?|说话?|沟通|谈谈?|处理|吧|说|帮我)+"
)
_CLAUSE = re.compile(r"[,.!?;，。！？；\n~…]+")
_REAL_QUESTION = re.compile(
    r"\b(?:what|which|who|where|when|why|how)\b.*\w|^(?:is|are|does|do|did|can|could|should|will)\b.*\w|怎么|如何|怎样|为什么|"
    r"什么|哪|多少|是否|吗|呢|能不能",
    _I,
)


def kind_of(text: str) -> MessageKind | None:
    """GREETING, THANKS, GOODBYE or HANDOFF, if the whole message is that; else None. Linear in a bounded length."""
    if len(text) > LONGEST:
        return None
    folded = " ".join(unicodedata.normalize("NFKC", text).replace("’", "'").split()).strip()
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

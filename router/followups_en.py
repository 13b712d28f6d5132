"""English follow-ups: what is missing, and the words of the conversation that fill it."""

from __future__ import annotations

import re
from collections.abc import Callable

from router import pronouns_en, slots, smalltalk
from router.phrases import GENERIC, STOP, is_code, phrases, stem, stems
from router.pronouns_en import AUX, CLASSES, WH, Made, appended, ended
from router.topics import Context, is_content, items, pair, statement

_I = re.IGNORECASE
_LEAD = re.compile(r"^(?:(?:thanks|thank you|ok(?:ay)?|great|i see|got it|sorry|hmm|oh|wow|no|yes|yeah)\b[,.! ]+)+", _I)
_CONNECT = re.compile(r"^(?:(?:and|but|so|or|then)\b[, ]*)+", _I)
_WORDS = re.compile(r"[A-Za-z0-9_'’./:+-]*[A-Za-z0-9_+]")
_ASKS = re.compile(rf"\b{WH}\b|^\W*{AUX}\b|\b{AUX} (?:i|we|you|it|they|he|she|there|the|this|that|my)\b", _I)


def make_whole(text: str, context: Context) -> Made | None:
    """None for a message that is whole by itself. The first rule that finds something missing fills it."""
    core = _LEAD.sub("", smalltalk.without(text)).strip() or text.strip()
    for rule in RULES:
        if made := rule(core, context):
            return _CONNECT.sub("", made[0]), made[1]
    return None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower_first(question: str) -> str:
    """ "How much …" in the middle of a sentence; names keep their capital."""
    first = question.split(maxsplit=1)[0] if question.strip() else ""
    return question[:1].lower() + question[1:] if first.lower() in STOP else question


_MEANT = re.compile(
    r"^(?:what )?i(?:'m| am| was)? (?:mean|meant|(?:just )?(?:referring|talking|asking|interested)(?: (?:to know|in|"
    r"to))?|wanted to (?:ask|know))\b"
    r"(?:\s+(?:was|is|to|about|for|in|that)\b)*\s+(?:the )?(?P<what>.+?)[\s.?!]*$",
    _I,
)
_CLARIFYING = re.compile(
    r"\b(?:which|what|specify|clarify|do you mean|more information about|referring to)\b[^?]*\?\s*$", _I
)


def _clarified(core: str, context: Context) -> Made | None:
    """ "I meant Mars": the last question, about that."""
    match = _MEANT.match(core)
    what = match["what"] if match else core.strip(" .?!")
    if match is None and not (_CLARIFYING.search(context.said[-200:]) and "anything else" not in context.said):
        return None
    if len(what.split()) > 12 or _ASKS.search(what) or not stems(what):
        return None
    if stems(context.topic) and stems(context.topic) <= stems(what):
        return None
    if swapped := slots.swap_alike(context.question, what):
        return swapped, context.question
    return f"{_capital(what)}: {context.question}", context.question


_WHAT_ABOUT = re.compile(r"^(?:(?:and|but|so|or|then)[, ]+)?(?:what|how) about\s+(?P<what>.+?)[\s?!.]*$", _I)
_AND = re.compile(r"^(?:and|or|but)[, ]+(?:also )?(?P<what>.+?)[\s?!.]*$", _I)
_PLACED = re.compile(
    r"^(?P<what>(?:on|in|for|with|without|under|from|to|at|by|using|via|inside|outside|during|before|"
    r"after) .+?)[\s?!.]*$",
    _I,
)


def _other_slot(core: str, context: Context) -> Made | None:
    """ "what about replicas?", "and on Windows?": the last question, with something else in one place."""
    match = _WHAT_ABOUT.match(core) or _AND.match(core) or _PLACED.match(core)
    if match is None:
        return None
    what, explicit = match["what"], match.re is _WHAT_ABOUT
    if _ASKS.search(what) or re.match(r"(?:if|it|this|that|these|those|they|them)\b", what, _I) or not stems(what):
        return None
    if not explicit and len(what.split()) > 6:
        return None
    if made := _aspect(what, context) or _gerund(what, context) or _deed(what, context):
        return made
    if swapped := slots.swap(context.question, what):
        return swapped, context.question
    if explicit and len(what.split()) > 6:
        return None
    topic = " ".join(topic for topic in context.topics[:2] if not stems(topic) & stems(what))
    return (f"{_capital(what)} ({topic})?", topic) if topic else None


_SIDE = re.compile(r"(?:the|its) (?:default|maximum|minimum|current|recommended)\b", _I)
_SIDED = re.compile(r"\b(?:default|maximum|minimum|current|recommended)\b", _I)


def _aspect(what: str, context: Context) -> Made | None:
    """ "And the default?": a side of the topic, not something in its place."""
    named = any(is_content(word) and word.lower() not in CLASSES for word in _WORDS.findall(what))
    side = _SIDE.match(what) and not _SIDED.search(context.question) and " of " not in what
    if context.topic and (not named or side):
        return f"{_capital(what)} ({context.topic})?", context.topic
    return None


def _gerund(what: str, context: Context) -> Made | None:
    """ "And deleting?" after "How do I create a stream?": "Deleting a stream?"."""
    deed = statement(context.question).split(maxsplit=1)
    if re.fullmatch(r"[a-z]+ing", what) and len(deed) == 2 and pronouns_en.asks_how(context):
        return f"{_capital(what)} {deed[1]}?", deed[1]
    return None


_DEED = re.compile(r"^(?P<verb>[a-z]+) (?:it|them|this|that|these|those|one)$", _I)


def _deed(what: str, context: Context) -> Made | None:
    """ "And export them?" after "How do I import tables?": "How do I export tables?"."""
    match, deed = _DEED.match(what), statement(context.question).split(maxsplit=1)
    if match is None or len(deed) != 2 or not pronouns_en.asks_how(context):
        return None
    return f"How do I {match['verb'].lower()} {deed[1]}?", deed[1]


_IF = re.compile(r"^(?:(?:and|but|so|or|then)[, ]+)?(?:(?:what|how)(?: about)? )?if (?P<what>.+?)[\s?!.]*$", _I)


_MAIN_CLAUSE = re.compile(
    r",\s*\w+.*\b(?:can|will|do|is|should)\b|\b(?:will|does|did)\s+\w+\s+\w|"
    rf"\w\s+\w+\s+{AUX}\s+(?:an?|the|my|any|all|each|both)\b",
    _I,
)


def _condition(core: str, context: Context) -> Made | None:
    """ "and if they are hashes?": the last question under a condition."""
    match = _IF.match(core)
    if match is None or _ASKS.search(match["what"]) or _MAIN_CLAUSE.search(match["what"]):
        return None
    return f"If {match['what']}, {_lower_first(context.question)}", context.question


_WHY = re.compile(rf"^why (?:the )?(?!{AUX}\b|not\b)[\w.+-]+(?: (?!{AUX}\b)[\w.+-]+)?[\s?!.]*$", _I)


def _bare(core: str, context: Context) -> Made | None:
    """ "Why?", "How so?", "tell me more", "Why Mars?": no verb of its own; the last question says about what."""
    words = _WORDS.findall(core)
    if not words or len(words) > 10 or (any(_own(word) for word in words) and not _WHY.match(core)):
        return None
    if re.search(r"\b(?:it|its|they|them|their|he|him|his|she|her|these|those)\b", core, _I):
        return None
    if _COMPARES.search(core) or _ORDINAL.search(core):
        return None
    about = statement(context.question)
    return f"{core.strip(' ?!.,')}: {about}?", about


def _own(word: str) -> bool:
    return is_content(word) and word.lower() not in _VAGUE


_VAGUE = frozenset(
    "tell give show explain describe think mean means meant elaborate clarify want need help say know do does did "
    "please example examples more continue go happen happens happened work works start use get ask".split()
)

_COMPARES = re.compile(
    r"^(?:so |and |but |then )?(?:"
    r"(?:(?P<which>(?:which|what)(?: one)?)(?: of (?:them|these|those|the two|the both))? "
    r"(?:is|are|would be|works?|should i (?:use|choose|pick|take)|do you (?:recommend|suggest)|to (?:use|choose|pick))"
    r"(?: (?:the|a|much|more|most|less|least|better|best|\w+er|\w+est|important|\w+ive|\w+ent|\w+able|\w+al|\w+ful|"
    r"choice|option|one|recommended|preferred|common|secure|popular))*)"
    r"|(?P<differ>what(?:'s| is| are) the (?:main |key )?differences?|how (?:are they|do they|is it) differ\w*"
    r"|(?:is|are) there (?:a|any) differences?|are they (?:the same|different|equal|equivalent)|how do they compare))"
    r"(?: (?:between|of) (?:them|these|those|the two))?(?P<use> for [\w -]{1,30})?[\s?!.]*$",
    _I,
)


def _comparison(core: str, context: Context) -> Made | None:
    match = _COMPARES.match(core)
    two = pair(context) if match else None
    if match is None or two is None:
        return None
    one, other = two
    if match["differ"]:
        return f"What is the difference between {one} and {other}?", f"{one}, {other}"
    return ended(core, f", {one} or {other}"), f"{one}, {other}"


_NUMBER = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1, "former": 0, "latter": 1}
_ORDINAL = re.compile(
    r"\bthe (?:(?P<n>first|second|third|fourth|fifth|last) (?:one|option|method|approach|way|item|choice|"
    r"point)(?! of)|(?P<m>former|latter))\b",
    _I,
)


def _ordinal(core: str, context: Context) -> Made | None:
    match = _ORDINAL.search(core)
    listed = items(context) if match else []
    if match is None or not listed:
        return None
    at = _NUMBER[(match["n"] or match["m"]).lower()]
    if at >= len(listed):
        return None
    whole = f"{core[: match.start()]}{listed[at]}{core[match.end() :]}"
    made = _other_slot(whole, context)
    return made if made else (whole, listed[at])


_DEFINITE = re.compile(r"\bthe ((?:[a-z][\w-]*\s?){1,3})", re.ASCII)
_MORE = re.compile(r"\b(?:also|too|as well|instead|other|another|else|then|still|same|any more)\b", _I)
_COMPARED = re.compile(
    r"^(?:is|are|was|were|do|does|will|would)\b(?!.*\bthan\b).*\b(?:(?:more|less) [a-z]+|better|worse|faster|slower|"
    r"cheaper|higher|lower|bigger|larger|smaller|longer|shorter|easier|harder|simpler|safer|older|newer)[\s?!.]*$",
    _I,
)
_THERE = re.compile(
    r"^(?:is|are) there (?:an?|any) (?:[a-z-]+ )?"
    r"(?:costs?|limits?|limitations?|risks?|downsides?|drawbacks?|overhead|penalty|side effects?|fees?)[\s?!.]*$",
    _I,
)
_DEFINING = re.compile(r"^\W*(?:what(?:'s| is| are| does)|who(?:'s| is| was| are)|define|what do you mean by)\b", _I)


def _loose(core: str, context: Context) -> Made | None:
    """Messages with words of their own that still lean on the topic: "the song", "any other clinics", "is that one
    cheaper", a name that only the last answer knows. A message that names the topic, or a name nobody spoke of, stands
    alone."""
    own = stems(core)
    if any(stems(topic) & own for topic in (*context.past, context.topic)):
        return None
    names = [phrase.text for phrase in phrases(core) if phrase.proper]
    if names:
        told = len(own) <= 4 and all(is_code(name) and stems(name) <= context.told - context.asked for name in names)
        return appended(core, context) if told else None
    led = bool(_CONNECT.match(core))
    if (led and len(own) <= 2) or (len(own) <= 3 and (_COMPARED.match(core) or _THERE.match(core))):
        return appended(core, context)
    definite = _definite(core)
    leaning = definite | (own if len(own) <= 4 and (led or _MORE.search(core)) else frozenset())
    if (len(own) <= 2 and definite & CLASSES) or (leaning and leaning & (context.asked | context.told)):
        return appended(core, context)
    words = _WORDS.findall(core)
    said = [word for word in words if word.lower() not in STOP and word.lower() not in GENERIC and _own(word)]
    if len(said) == 1 and len(words) > 1 and not _DEFINING.match(core) and _ends_in_verb(core, said[0]):
        return appended(core, context)
    return None


def _ends_in_verb(core: str, word: str) -> bool:
    """ "How do I uninstall?": a verb without its object."""
    return bool(re.search(rf"\b(?:i|we|you|to)\s+{re.escape(word)}(?: (?:then|instead|now|again))?[\s?.!]*$", core, _I))


_TYING = frozenset("of for that between which who to in on called named used".split())


def _definite(core: str) -> set[str]:
    """Stems of "the song"; not of "the song of the year"."""
    found = set()
    for match in _DEFINITE.finditer(core):
        words = match.group(1).split()
        nouns = [word for word in words if is_content(word)]
        follows = core[match.end() :].split(maxsplit=1)[:1]
        tied = {word.lower() for word in (*words, *follows)} & _TYING
        if nouns and not tied:
            found.add(stem(nouns[0]))
    return found


_ONE = re.compile(r"\b(?:i|we|you|to|how)\b.*\b\w+ (?P<one>ones?)[\s?.!]*$", _I)
_WHICH_ONE = re.compile(
    r"\b(?:the|this|that|which|what|each|every|any|no|only|last|first|next|another|other|new|old) ones?\W*$", _I
)


def _one(core: str, context: Context) -> Made | None:
    """ "How do I create one?" """
    match = _ONE.search(core)
    if match is None or _WHICH_ONE.search(core) or stems(core) or not context.topic:
        return None
    return f"{core[: match.start('one')]}{context.topic}{core[match.end('one') :]}", context.topic


RULES: tuple[Callable[[str, Context], Made | None], ...] = (
    _clarified,
    _ordinal,
    _comparison,
    _condition,
    _other_slot,
    pronouns_en.fill,
    _one,
    _bare,
    _loose,
)

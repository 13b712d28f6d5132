"""English pronouns that mean something outside the message, and what they mean."""

from __future__ import annotations

import re

from router.phrases import GENERIC, RELATIONAL, STOP, VERBS, phrases, stem, stems
from router.topics import Context, compared, is_content, statement

Made = tuple[str, str]
"""The question made whole, and what was carried into it."""

CLASSES = frozenset(
    "command commands parameter parameters setting settings feature features function functions flag flags operation "
    "operations tool extension plugin option options value values method statement directive variable".split()
)
"""Kinds of things that a name belongs to: "the command" after a name of one."""
_I = re.IGNORECASE
_END = re.compile(r"[\s?!.,;:]*$")
WH = r"(?:what|which|who|whom|whose|where|when|why|how)"
AUX = "(?:is|are|was|were|do|does|did|can|could|should|would|will|may|must|has|have|isn't|aren't|doesn't|don't|didn't)"


def ended(core: str, addition: str) -> str:
    """`addition` before the closing punctuation."""
    at = _END.search(core)
    end = at.start() if at else len(core)
    return f"{core[:end]}{addition}{core[end:].strip() or '?'}"


_PRONOUN = re.compile(
    r"\b(?P<word>it|its|they|them|their|theirs|he|him|his|she|her|this|that|these|those)\b(?!['’](?:ll|d)\b)", _I
)
_DUMMY = re.compile(
    r"^(?:\s+(?:is|was|be|'s|would be|will be|be))?\s+(?:still |also |really |even |not |always |ever )*"
    r"(?:possible|necessary|safe|ok|okay|true|required|better|best|good|bad|worth|recommended|important|easy|hard|"
    r"difficult|mandatory|legal|illegal|normal|advisable|wise|wrong|right|enough|common|mean|means|cost|costs|take|"
    r"takes|"
    r"took|matter|matters|seems?|turns out|feasible|allowed|sensible|useful|likely)\s+(?:\w+ )?(?:to|that|if|when|"
    r"for \w+ to)\b",
    _I,
)
_IS_IT = re.compile(
    r"\b(?:(?:is|was|be)\s+it\s+(?!able|going|used|due|similar|equal|up|close|subject|written|set|sent|"
    r"\w+ed\b)\w+\s+(?:for .{1,30}? )?(?:to|that)\b"
    r"|makes?\s+it\b)",
    _I,
)
_SPLIT = re.compile(
    r"[,;.?!:]\s|\s[-–—]\s|\b(?:and|but|if|when|because|so|or|before|after|since|while|then|once|unless|as|whether|"
    r"than|that|which|who|where)\b",
    _I,
)
_THAT_STANDS = re.compile(
    r"(?:^|\b(?:is|was|does|did|do|about|of|for|with|like|why|how|on|to|after|before|than|can|will|would|could|"
    r"should|if|and|but|so) )$",
    _I,
)
_THAT_ALONE = re.compile(
    r"^\s*(?:[?.,!]|$|(?:mean|work|works|happen|cost|apply|include|need|require|break|also|take|be|still|true|correct|possible|safe|"
    r"free|the same|"
    r"supported|required|enough|is|was|affect|help|change|in|on|with|for|using|via|from|without|again|now|"
    r"automatically|manually)\b)", _I
)  # fmt: skip
_FIXED = re.compile(
    r"^(?:\s+(?:year|time|way|much|many|long|kind of|case|point|moment|day|is (?:why|how)))\b|^['’]s (?:fine|ok|why)",
    _I,
)


def fill(core: str, context: Context) -> Made | None:
    """The first pronoun that means something outside the message, in place; later ones then mean the same."""
    for match in _PRONOUN.finditer(core):
        word, ahead, rest = match["word"].lower(), core[: match.start()], core[match.end() :]
        if word in ("it", "that") and (_DUMMY.match(rest) or _IS_IT.search(core, max(0, match.start() - 6), len(core))):
            continue
        if _antecedent(ahead, word):
            return None
        if word in ("this", "that", "these", "those"):
            made = _pointed(core, match, context)
        else:
            made = _replaced(core, match.span(), word, context)
        if made:
            return made
    return None


_STATES = re.compile(rf"^\W*(?!(?:{WH}|{AUX}|if|when|and|but|so|or|then|since|because|are you|i|we)\b)[A-Za-z]", _I)


def _antecedent(ahead: str, word: str) -> bool:
    """Whether the message itself says, in an earlier clause, what the pronoun stands for."""
    cuts = [cut.start() for cut in _SPLIT.finditer(ahead)]
    earlier = ahead if word in ("its", "their", "his", "her") else ahead[: cuts[-1]] if cuts else ""
    found = phrases(earlier)
    if word in ("they", "them", "it") and sum(phrase.rank > 0.1 for phrase in phrases(ahead)) >= 2 + (word == "it"):
        return True
    if word in ("they", "them", "their") and any(re.search(r"[a-z]s$", phrase.text) for phrase in phrases(ahead)):
        return True
    if _STATES.match(ahead) and phrases(ahead):
        return True
    if word in ("he", "him", "she"):
        return any(phrase.proper for phrase in phrases(ahead)) or bool(re.search(r"\bwho(?:se)?\b", ahead, _I))
    return any(phrase.rank > 0.1 for phrase in found)


def _replaced(core: str, span: tuple[int, int], word: str, context: Context) -> Made | None:
    two = compared(context) if word in ("they", "them", "these", "those") else None
    topic = " and ".join(two) if two else _fitting(word, context)
    if not topic or stems(topic) <= stems(core):
        return None
    owned = word in ("its", "their", "theirs", "his") or (word == "her" and re.match(r"\s+[a-z]", core[span[1] :]))
    name = topic + ("'" if topic.endswith("s") else "'s") if owned else topic
    name = name[:1].upper() + name[1:] if span[0] == 0 else name
    return f"{core[: span[0]]}{name}{core[span[1] :]}", topic


def _fitting(word: str, context: Context) -> str:
    """The topic a pronoun may mean: a plural for "they" where there is one, a name for "she"."""
    if word in ("they", "them", "their", "theirs", "these", "those"):
        plural = [topic for topic in context.topics[:2] if re.search(r"[a-z][^s]s$", topic) and is_content(topic)]
        return plural[0] if plural else context.topic
    if word in ("he", "him", "his", "she", "her"):
        named = [topic for topic in context.topics if topic[:1].isupper()]
        return named[0] if named else context.topic
    return context.topic


def _pointed(core: str, match: re.Match[str], context: Context) -> Made | None:
    """ "this", "that" and "these clinics"."""
    word, ahead, rest = match["word"].lower(), core[: match.start()], core[match.end() :]
    if _FIXED.match(rest):
        return None
    noun = re.match(r"(?:\s+(?:kinds?|types?|sorts?) of)?((?:\s+[A-Za-z][\w-]*){1,3})", rest)
    first = noun.group(1).split()[0].lower() if noun else ""
    if word == "that" and not (_AT_END.match(rest) or (_THAT_STANDS.search(ahead) and _THAT_ALONE.match(rest))):
        return None
    if (
        word in ("this", "that")
        and (not first or first in STOP or first in VERBS or _THAT_ALONE.match(rest))
        and _deed(ahead, context)
    ):
        about = statement(context.question)
        return f"{_undone(ahead)}{about}{rest}", about
    if first and first not in STOP and first not in VERBS and not (word == "that" or _THAT_ALONE.match(rest)):
        return _pointed_noun(core, match, noun, context) if noun else None
    return _replaced(core, match.span(), word, context)


_AT_END = re.compile(r"\s*[?.!]*$")
_HOW_TO = re.compile(r"^\W*(?:how (?:do|can|could|would|should|to)|can i|can we|should i|is it possible to)\b", _I)


def asks_how(context: Context) -> bool:
    return bool(_HOW_TO.match(context.question))


def _deed(ahead: str, context: Context) -> bool:
    """Whether "that" is something done: "How do I do that", "Does that work" after "How do I …"."""
    return bool(asks_how(context) and re.search(rf"(?:\bdo|\bundo|\bafter|\bbefore|\b{AUX}|^)\s*$", ahead, _I))


def _undone(ahead: str) -> str:
    """ "How do I do" without the second do."""
    return re.sub(r"(\b(?:i|we|you|to)\s+)do\s+$", r"\1", ahead, flags=_I)


def _pointed_noun(core: str, match: re.Match[str], noun: re.Match[str], context: Context) -> Made | None:
    """ "this stadium" after the Mercedes-Benz Stadium is that stadium; a noun nobody spoke of is not carried."""
    words = [word for word in noun.group(1).split() if word.lower() not in VERBS and word.lower() not in STOP]
    if not words:
        return None
    head = next((word for word in reversed(words) if stem(word) in stems(context.topic)), None)
    if head:
        end = match.end() + core[match.end() :].index(head) + len(head)
        return f"{core[: match.start()]}{context.topic}{core[end:]}", context.topic
    if named := _named(words[-1], context):
        end = match.end() + noun.end()
        return f"{core[: match.start()]}{named}{core[end:]}", named
    known = context.asked | context.told
    if (stem(words[-1]) in known or words[-1].lower() in GENERIC | RELATIONAL | CLASSES) and context.topic:
        return appended(core, context)
    return None


def _named(word: str, context: Context) -> str:
    """A name that ends in this word: "Ventura County" for "this county"."""
    found = (*phrases(context.question), *phrases(context.said[:300]))
    names = (phrase.text for phrase in found if phrase.proper and " " in phrase.text)
    return next((name for name in names if stem(name.split()[-1]) == stem(word)), "")


def appended(core: str, context: Context) -> Made | None:
    if not context.topic or stems(context.topic) <= stems(core):
        return None
    return ended(core, f" ({context.topic})"), context.topic

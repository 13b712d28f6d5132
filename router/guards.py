"""What must not differ between two questions that are answered alike: pure functions over data read at the edge.

Published paraphrase models put "how do I turn it on" and "how do I turn it off" at a cosine of 0.94 to 0.98, so no
score alone may decide. Each guard compares what both questions state and names the difference.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

from router.curated_kinds import PLAIN, asked_kinds, measure_of, tells_when
from router.curated_model import NearModel
from router.curated_text import HAN, Wording, normal_form, tokens
from router.kinds import Kind, kinds_of

_NOT_LATIN = re.compile(f"[\\s]+|{HAN.pattern}+")
_NUMBER = re.compile(
    r"(?<![a-z0-9_.@/:-])(?P<sign>-)?v?(?P<value>\d+(?:[.:/]\d+)*)(?P<unit>[a-z%]+|[\u3400-\u9fff]{0,3})(?![a-z0-9_])"
)
_NAME = re.compile(
    r"--?[a-z][\w-]*|/\S+|\S*[_@]\S*|\S*[a-z][.:][a-z0-9]\S*|[a-z]+\d\S*|\d+[a-z]+\d\S*|\S*\d[a-z]{4,}\S*"
)
_AMOUNT = re.compile(r"v?\d+(?:[.:/]\d+)*([a-z%]*)")
_ORDINALS = frozenset({"", "st", "nd", "rd", "th"})
_LOOSE = frozenset({Kind.COMMAND, Kind.LIST, Kind.DEFAULT})  # beside another kind they ask for the same answer
_OPENING = 12  # characters: long enough for the first word
CONCEPT = "="
"""Begins the token that all words of one concept count as, so that it is never also a word of a question."""


@dataclass(frozen=True, slots=True, eq=False)
class Guards:
    """What matching knows about words; Han text in simplified characters, the rest in lower case.

    units: surface → unit. numerals: word → digits. negation: the words that turn a statement round, per script, and Han
    words that merely contain one. faults: those of them that say that something went wrong. actions, objects: tokens.
    states: token → the group of states that exclude one another. light: objects that say little beside the name of a
    thing (the pgvector *extension*). general: actions that a heading names whatever its section is about (*using* X,
    *viewing* X). aspects: what is asked about a thing, which is the kind of question (what it *costs*). vague: actions
    and states that one side may name alone. mild: words that an entry may say and a question leave out (the
    *database's* connections). finding: actions whose object is often asked for (*see* which sessions wait). kin: token
    → those of an entry that it may stand for. surfaces: token → all its words. near: the fitted probabilities."""

    wording: Wording
    units: Mapping[str, str]
    numerals: Mapping[str, str]
    numeral: re.Pattern[str]
    negation_han: re.Pattern[str]
    negation_latin: frozenset[str]
    faults: re.Pattern[str]
    actions: frozenset[str]
    objects: frozenset[str]
    states: Mapping[str, int]
    light: frozenset[str]
    general: frozenset[str]
    aspects: frozenset[str]
    vague: frozenset[str]
    mild: frozenset[str]
    finding: frozenset[str]
    kin: Mapping[str, frozenset[str]]
    surfaces: Mapping[str, tuple[str, ...]]
    near: NearModel


@dataclass(frozen=True, slots=True)
class Facts:
    """What one question states. `words` are the tokens of `router.curated_text.tokens`, `order` the same in reading
    order."""

    key: str
    language: str
    order: tuple[str, ...]
    words: frozenset[str]
    numbers: frozenset[str]
    versions: frozenset[str]
    units: frozenset[str]
    names: frozenset[str]
    negated: frozenset[str]
    actions: frozenset[str]
    states: frozenset[str]
    objects: frozenset[str]
    kinds: frozenset[Kind]
    goals: frozenset[str]
    origins: frozenset[str]


def facts_of(text: str, guards: Guards) -> Facts:
    return facts_of_key(normal_form(text, guards.wording), guards)


def facts_of_key(key: str, guards: Guards) -> Facts:
    digits = _with_digits(key, guards)
    found = tokens(digits, guards.wording)
    order = _in_order(found, guards)
    words = frozenset(order)
    numbers, versions, units = _quantities(digits, guards)
    return Facts(
        key,
        "zh" if HAN.search(key) else "en",
        order,
        words,
        frozenset(numbers),
        frozenset(versions),
        frozenset(units),
        _names(key, guards),
        negations(key, guards),
        words & guards.actions,
        frozenset(word for word in words if word in guards.states),
        guards.objects.intersection(found if digits == key else tokens(key, guards.wording)),
        asked_kinds(key, bool(words & guards.actions), _first(key, guards) in guards.finding),
        _firsts(_GOAL, key, guards),
        _firsts(_ORIGIN, key, guards),
    )


def words_of(key: str, guards: Guards) -> frozenset[str]:
    """What a normal form says, number words as digits; without light words where something else is named."""
    return frozenset(_in_order(tokens(_with_digits(key, guards), guards.wording), guards))


def _in_order(found: Sequence[str], guards: Guards) -> tuple[str, ...]:
    words = set(found)
    light = guards.light if words - guards.light - guards.actions else frozenset()
    return tuple(word for word in dict.fromkeys(found) if word not in light)


def _with_digits(key: str, guards: Guards) -> str:
    return guards.numeral.sub(lambda found: guards.numerals[found.group()], key)


def _quantities(key: str, guards: Guards) -> tuple[set[str], set[str], set[str]]:
    numbers, versions, units = set(), set(), set()
    for found in _NUMBER.finditer(key):
        value, unit = found["value"], _unit(found["unit"], guards)
        if "." in value or found.group().lstrip("-").startswith("v"):
            versions.add(value + unit)
        else:
            numbers.add((found["sign"] or "") + value + unit)
        if unit:
            units.add(unit)
    return numbers, versions, units | _asked_units(key, guards)


def _unit(surface: str, guards: Guards) -> str:
    """The unit that the text after a number is, or begins with: Han text goes on without a space."""
    if surface.isascii():
        return guards.units.get(surface, "")
    return next((guards.units[surface[:n]] for n in range(len(surface), 0, -1) if surface[:n] in guards.units), "")


_ASKED_UNIT = re.compile(r"how many ([a-z]+)|\bin ([a-z]+)\b|(?:多少|几)个?([\u3400-\u9fff]{1,2})")


def _asked_units(key: str, guards: Guards) -> set[str]:
    """How many days is not how many hours."""
    found = _ASKED_UNIT.findall(key)
    surfaces = [surface for each in found for surface in each if len(surface) > 1]
    return {
        guards.units[surface] for surface in (*surfaces, *(han[:1] for *_, han in found)) if surface in guards.units
    }


def _names(key: str, guards: Guards) -> frozenset[str]:
    """Flags, paths and the like; a part of plain letters is none."""
    parts = (part for part in _latin_parts(key) if not part.isalpha() and _NAME.fullmatch(part))
    return frozenset(part for part in parts if not _is_quantity(part, guards))


def _is_quantity(name: str, guards: Guards) -> bool:
    """10gb, 18th and v1.2 are compared as quantities."""
    found = _AMOUNT.fullmatch(name)
    return found is not None and (found[1] in _ORDINALS or found[1] in guards.units)


def negations(key: str, guards: Guards) -> frozenset[str]:
    """ "not" for one, "not twice" for more: what is not unable is able."""
    count = 0 if key.isascii() else sum(1 for found in guards.negation_han.finditer(key) if found.group("no"))
    count += sum(word in guards.negation_latin for word in _latin_parts(key))
    return frozenset({"not" if count == 1 else "not twice"} if count else ())


def _latin_parts(key: str) -> list[str]:
    return key.split() if key.isascii() else [part for part in _NOT_LATIN.split(key) if part]


_GOAL = re.compile(
    r"\b(?:to|into|than)\b(?: (?:a|an|the|my|our))? ?(\S+)|(?<=.)(?:[转换切升降变改移]?[到成为至]|比)(\S{1,8})"
)


_ORIGIN = re.compile(r"\bfrom\b(?: (?:a|an|the|my|our))? ?(\S+)|从(\S{1,8})")


def _firsts(pattern: re.Pattern[str], key: str, guards: Guards) -> frozenset[str]:
    """The first word after each place that the pattern finds: what something goes to, turns into or is measured by
    (to, 到, 成, 为, 比), or comes from."""
    after = (tokens(latin or han, guards.wording)[:1] for latin, han in pattern.findall(key))
    return frozenset(word for words in after for word in words)


def _first(key: str, guards: Guards) -> str:
    return next(iter(tokens(key[:_OPENING], guards.wording)), "")


def contradictions(asked: Facts, theirs: Facts) -> tuple[str, ...]:
    """The guards that always fire, each as "name: asked / theirs"; () when nothing stated is known to differ."""
    found = [
        _differ("language", {asked.language}, {theirs.language}),
        _differ("version", asked.versions, theirs.versions),
        _differ("number", asked.numbers, theirs.numbers),
        _differ("unit", asked.units, theirs.units) if asked.units and theirs.units else "",
        _differ("name", asked.names, theirs.names),
        _differ("negation", asked.negated, theirs.negated),
        _turned(asked, theirs),
        _opposed("opposite", asked.states, theirs.states),
        _opposed("action", asked.actions, theirs.actions),
        _opposed("object", asked.objects, theirs.objects),
    ]
    return tuple(filter(None, found))


def doubts(asked: Facts, theirs: Facts) -> tuple[str, ...]:
    """What must be the same as well where one wording stands alone: the kind of question, every action and state on
    either side, and no word in the place of another. Where many wordings agree, they show what may be said otherwise.
    """
    found = [
        _differ("kind", asked.kinds, theirs.kinds) if kinds_differ(asked.kinds, theirs.kinds) else "",
        _one_sided("opposite", asked.states, theirs.states),
        _one_sided("action", asked.actions, theirs.actions),
        _opposed("object", asked.words, theirs.words),
    ]
    return tuple(filter(None, found))


_APART = frozenset({Kind.WHY, Kind.WHEN, Kind.WHERE, Kind.WHO, Kind.COUNT})


def another_kind(asked: Facts, known: Set[Kind]) -> tuple[str, ...]:
    """Why is not how, whatever else is the same: a kind of question that none of an entry's many wordings asks. known:
    the kinds that they ask. What and whether are not counted: of the fee, "is there one?" and "what is it?" are told by
    one answer (on BANKING77 these two would cost one more right answer in a hundred, and save no wrong one)."""
    strange = (asked.kinds & _APART) - known - (frozenset({Kind.WHEN}) if tells_when(asked.key) else frozenset())
    return (f"kind: {_shown(strange)} / {_shown(known)}",) if strange else ()


def unexplained(asked: Facts, theirs: Facts, guards: Guards) -> tuple[str, ...]:
    """What must be the same as well before a fitted probability counts: the kind of question, the aspect that it asks
    about, every state, every action that the question names, and, where it names objects, the one that the entry is
    about."""
    aspects = asked.words & guards.aspects, theirs.words & guards.aspects
    actions = asked.actions - theirs.actions
    head = _head(theirs, guards) - asked.words if asked.objects - guards.aspects else frozenset()
    found = [
        _one_sided("aspect", *aspects),
        "" if aspects[0] else _another_kind(asked, theirs),
        _one_sided("opposite", asked.states, theirs.states),
        f"action: {_shown(actions)} / none" if actions else "",
        f"object: none / {_shown(head)}" if head else "",
    ]
    return tuple(filter(None, found))


def _head(facts: Facts, guards: Guards) -> frozenset[str]:
    """The object that the others describe, not counting where something goes: the last one in Chinese (实例集群 is a
    cluster), the first in English."""
    passed = guards.aspects, guards.light, facts.goals
    named = facts.words & guards.objects
    found = [word for word in facts.order if word in named and not any(word in words for words in passed)]
    return frozenset(found[-1:] if facts.language == "zh" else found[:1])


_BESIDE = PLAIN | {Kind.COMMAND}
_WITH_DEFAULT = _BESIDE | {Kind.DEFAULT}


def _another_kind(asked: Facts, theirs: Facts) -> str:
    counts = Kind.COUNT in asked.kinds
    if asked.kinds != theirs.kinds:
        ours, others = asked.kinds - _BESIDE, theirs.kinds - _BESIDE
        if asked.kinds - _WITH_DEFAULT != theirs.kinds - _WITH_DEFAULT or (ours != others and not counts):
            return f"kind: {_shown(asked.kinds)} / {_shown(theirs.kinds)}"
    if counts:
        wanted, given = measure_of(asked.key), measure_of(theirs.key)
        if wanted and given and wanted != given:
            return f"kind: {wanted} / {given}"
    return ""


def _differ(name: str, asked: Set[str], theirs: Set[str]) -> str:
    return f"{name}: {_shown(asked)} / {_shown(theirs)}" if asked != theirs else ""


def _shown(values: Collection[str]) -> str:
    return ", ".join(sorted(map(shown, values))) or "none"


def shown(token: str) -> str:
    """A token as people read it."""
    return token.removeprefix(CONCEPT)


def _opposed(name: str, asked: frozenset[str], theirs: frozenset[str]) -> str:
    """One in the place of another: each side says something that the other does not. 重启 for 重建, 集群 for 实例."""
    if asked <= theirs or theirs <= asked:
        return ""
    return f"{name}: {_shown(asked - theirs)} / {_shown(theirs - asked)}"


def _turned(asked: Facts, theirs: Facts) -> str:
    """The same two things the other way round: from A to B, from B to A."""
    if not asked.goals and not theirs.goals:
        return ""
    ours, others = asked.goals - theirs.goals, theirs.goals - asked.goals
    swapped = not ours.isdisjoint(theirs.words) and not others.isdisjoint(asked.words)
    fires = swapped or asked.goals & theirs.origins or theirs.goals & asked.origins
    return f"direction: {_shown(ours)} / {_shown(others)}" if fires else ""


def _one_sided(name: str, asked: frozenset[str], theirs: frozenset[str]) -> str:
    return f"{name}: {_shown(asked - theirs)} / {_shown(theirs - asked)}" if asked != theirs else ""


def kinds_differ(asked: frozenset[Kind], theirs: frozenset[Kind]) -> bool:
    """How is not why, whether, how long, when or where; a bare "restart the cluster" asks how."""
    ours, others = asked - _LOOSE, theirs - _LOOSE
    if ours or others:
        return ours - PLAIN != others - PLAIN
    return bool(asked and theirs and asked.isdisjoint(theirs))


@lru_cache(maxsize=20_000)  # headings come up again and again, and most name no action
def _deeds(heading: str, guards: Guards) -> frozenset[str]:
    return (words_of(normal_form(heading, guards.wording), guards) & guards.actions) - guards.general


def another_deed(question: str, headings: Sequence[str], text: str, guards: Guards) -> str:
    """Which action a passage is about instead of the one that is asked for, as "asked / theirs"; "" where it speaks of
    the right one. A page on restarting shares every other word with "how do I stop the cluster?", and says nothing
    about it: no action of the question is in the passage, and its heading names another one. So does a page on
    restarting for "how do I do it without restarting?", where it negates nothing.

    headings: the passage's own last. One above it that names the same action speaks of more than this passage does: of
    "Install and remove", the section "Install" is not about removing."""
    about = _deeds(headings[-1], guards) if headings else frozenset()
    if not about:
        return ""
    asked = normal_form(question, guards.wording)
    actions = words_of(asked, guards) & guards.actions
    wanted = actions - guards.general
    if not wanted:
        return ""
    above = [heading for heading in headings[:-1] if about.isdisjoint(_deeds(heading, guards))]
    said = normal_form(" ".join((*above, headings[-1], text)), guards.wording)
    if actions.isdisjoint(words_of(said, guards)):
        return f"{_shown(wanted)} / {_shown(about)}"
    without = wanted & about if negations(asked, guards) and Kind.HOW_TO in kinds_of(question) else frozenset()
    if without and not negations(said, guards):
        return f"not {_shown(without)} / {_shown(about)}"
    return ""

"""What reviewers do with an item beside deciding it: the second reviewer, splitting, merging, and gaps first."""

from __future__ import annotations

import re

from tests.console.browsing import Person
from tests.console.conftest import Start
from tests.console.test_pages import UNKNOWN, an_item, keys_of
from tests.console.test_quality import soon
from tests.live import Live

RESTART, REBUILD = "How can I restart the unicorn stable?", "How can I rebuild the unicorn stable?"
SUN = "Which colour has the sun at noon?"


def item_of(person: Person, question: str) -> str:
    found = re.search(rf'href="(/console/items/[^"]+)">{re.escape(question)}<', person.page("/console/queue"))
    assert found, question
    return found.group(1)


def wordings(page: str) -> dict[str, str]:
    """Question → the value that the form to split sends."""
    found = re.findall(r'name="wording" value="([^"]+)"> ([^<]+)</label>', page)
    return {question: value for value, question in found}


def test_a_risky_verdict_waits_for_somebody_else(start: Start) -> None:
    here = start(second_review_risk=1.0)
    asked = here.ask(UNKNOWN).json()
    keys = keys_of(here)
    headers = {"x-api-key": keys["admin"]}
    one, other = Person(here.url, keys["reviewer"]), Person(here.url, keys["admin"])
    item = an_item(one)
    assert f"{item}/confirm" not in one.page(item), "nothing is proposed yet"
    fields = {"kind": "corrected", "answer": "With **silver** paint.", "request_key": "k1"}
    assert one.send(f"{item}/verdict", fields).headers["location"] == f"{item}?said=proposed"
    assert "Kept. A second reviewer has to confirm it." in one.page(f"{item}?said=proposed")
    assert here.client.get(f"/ask/{asked['id']}", headers=headers).json()["state"] != "resolved"

    page = one.page(item)
    assert "Proposed by reviewer-reviewer: corrected" in page and "<strong>silver</strong>" in page
    assert "Somebody else has to confirm it." in page and f"{item}/confirm" not in page
    assert one.send(f"{item}/confirm").status_code == 409
    assert here.client.get("/admin/curated", headers=headers).json()["total"] == 0

    page = other.page(item)
    assert f'action="{item}/confirm"' in page and "Somebody else has to confirm it." not in page
    assert ">With **silver** paint.</textarea>" in page, "who would rather correct it begins from what is proposed"
    chinese = Person(here.url, keys["admin"], **{"accept-language": "zh"}).page(item)
    assert "reviewer-reviewer 的提议" in chinese and ">确认 <kbd>y</kbd></button>" in chinese
    assert other.send(f"{item}/confirm").headers["location"] == f"{item}?said=confirmed"
    page = other.page(item)
    assert 'data-state="decided"' in page and "reviewer-reviewer + anna" in page
    assert here.client.get(f"/ask/{asked['id']}", headers=headers).json()["state"] == "resolved"
    assert here.client.get("/admin/curated", headers=headers).json()["entries"][0]["answer"] == "With **silver** paint."
    assert f"{item}/confirm" not in page, "what is decided is confirmed by nobody"


def test_items_are_merged_from_what_looks_like_them_and_split_again(here: Live) -> None:
    first, second = here.ask(RESTART).json(), here.ask(REBUILD).json()
    here.ask(SUN)
    person = Person(here.url)
    item, other = item_of(person, RESTART), item_of(person, REBUILD)
    soon(lambda: "Nothing similar is open." not in person.page(f"{item}/opinion"))
    opinion = person.page(f"{item}/opinion")
    assert f'name="other" value="{other.rsplit("/", 1)[1]}"' in opinion and REBUILD in opinion
    assert f'data-negatives="{REBUILD}"' in opinion and '<span class="guard">' in opinion, (
        "what keeps them apart is said"
    )
    done = person.send(f"{item}/merge", {"other": [other.rsplit("/", 1)[1]]}, page=f"{item}/opinion")
    assert done.headers["location"] == f"{item}?said=merged"
    page = person.page(item)
    assert set(wordings(page)) == {RESTART, REBUILD} and "merged a wording in" in page
    assert REBUILD not in person.page("/console/queue"), "one item, by its first question"
    assert SUN in person.page("/console/queue")

    done = person.send(f"{item}/split", {"wording": [wordings(page)[REBUILD]]})
    assert done.headers["location"] == f"{item}?said=split"
    assert wordings(person.page(item)) == {}, "one wording alone cannot be split"
    assert "split a wording off" in person.page(item_of(person, REBUILD))
    fields = {"kind": "corrected", "answer": "With silver paint.", "request_key": "k1", "curate": "no"}
    person.send(f"{item}/verdict", fields)
    states = [here.client.get(f"/ask/{one['id']}").json()["state"] for one in (first, second)]
    assert states[0] == "resolved" and states[1] != "resolved", "a verdict on one is none on the other"


def test_who_decides_is_told_what_the_answer_collides_with(here: Live) -> None:
    here.ask(RESTART)
    here.ask(SUN)
    person = Person(here.url)
    fields = {
        "kind": "corrected",
        "answer": "With silver paint.",
        "request_key": "k1",
        "variants": "How hot is the sun?",
    }
    first, second = item_of(person, RESTART), item_of(person, SUN)
    done = person.send(f"{first}/verdict", fields).headers["location"]
    assert "What the self-test found" not in person.page(done)
    done = person.send(f"{second}/verdict", {**fields, "request_key": "k2"}).headers["location"]
    assert "What the self-test found" in person.page(done)
    assert "What the self-test found" not in person.page(second), "it is said once, after the decision"


def test_a_verdict_on_a_merged_item_serves_everybody(here: Live) -> None:
    asked = [here.ask(question).json() for question in (RESTART, REBUILD)]
    person = Person(here.url)
    item, other = item_of(person, RESTART), item_of(person, REBUILD)
    person.send(f"{item}/merge", {"other": [other.rsplit("/", 1)[1]]})
    assert person.get(other).status_code == 200, "an old address leads to what holds it now"
    person.send(f"{item}/verdict", {"kind": "corrected", "answer": "With silver paint.", "request_key": "k1"})
    assert {here.client.get(f"/ask/{one['id']}").json()["resolution"]["answer"] for one in asked} == {
        "With silver paint."
    }


def test_forms_that_name_nothing_split_and_merge_nothing(here: Live) -> None:
    here.ask(UNKNOWN)
    person = Person(here.url)
    item = an_item(person)
    for what, fields in (
        ("split", {}),
        ("split", {"wording": ["none"]}),
        ("merge", {}),
        ("merge", {"other": ["none"]}),
    ):
        assert person.send(f"{item}/{what}", fields).status_code in (404, 409, 422), (what, fields)
    assert 'data-state="pending"' in person.page(item)


def test_gaps_come_first_when_they_are_asked_for(here: Live) -> None:
    sent = here.ask("add a read-only node").json()
    here.client.post("/feedback", json={"id": sent["id"], "rating": "down"})
    here.ask(UNKNOWN)
    person = Person(here.url)
    listed = {
        order: [one["cause"] for one in here.client.get("/review/items", params={"order": order}).json()["items"]]
        for order in ("worth", "gaps")
    }
    assert listed == {"worth": ["thumbs_down", "abstained"], "gaps": ["abstained", "thumbs_down"]}
    for order, causes in listed.items():
        page = person.page(f"/console/queue?order={order}")
        assert re.findall(r'class="cause cause-(\w+)"', page) == causes
        assert f'<option value="{order}" selected>' in page
    only = person.page("/console/queue?gaps=true")
    assert re.findall(r'class="cause cause-(\w+)"', only) == ["abstained"]
    assert here.client.get("/review/items", params={"order": "odd"}).status_code == 422

"""The generated page on the life of a case: up to date, whole, and a picture that draws every move."""

import re

from app.rules.decision import decide
from app.rules.lifecycle import TABLE, UNDECIDED, CaseEvent, CaseStatus, Situation, allowed_now
from tests.docs.documents import code, text_of
from tests.docs.write_lifecycle import ACTION_WORDS, AT, DEADLINES, DOCUMENT, EVENTS, STATUSES, document, picture
from tests.rules.scenario import load_all

ARROW = re.compile(r"^ +(?P<before>\S+) --> (?P<after>\S+)(?: : (?P<label>.+))?$", re.MULTILINE)
LINE = re.compile(
    r"stateDiagram-v2|    direction LR|    state judged <<choice>>|    state open \{|    \}|        \w+"
    r"|    \w+ : \w+ [\u4e00-\u9fff]+"
    r"|    (?:\w+|\[\*\]) --> (?:\w+|\[\*\])(?: : [\w\u4e00-\u9fff ]+(?: \(not from [\w, ]+\))?)?"
)


def test_the_generated_page_is_up_to_date() -> None:
    assert DOCUMENT.read_text("utf-8") == document(), "python -m tests.docs.write_lifecycle"


def test_every_status_event_and_deadline_is_said() -> None:
    assert list(STATUSES) == list(CaseStatus)
    assert list(EVENTS) == list(CaseEvent)
    for words in (STATUSES.values(), EVENTS.values(), DEADLINES.values()):
        assert len({said[0] for said in words}) == len(words)
    page = document()
    assert all(f"`{name}`" in page for name in (*CaseStatus, *CaseEvent, *DEADLINES))


def test_every_deadline_that_a_decision_sets_is_told() -> None:
    set_somewhere = {deadline.name for each in load_all() for deadline in decide(each.facts, each.policy).deadlines}
    assert set_somewhere == set(DEADLINES)


def test_every_action_has_its_words() -> None:
    situations = [
        Situation(each, AT, reissue_offered=True, ruling_proposed=True, refund_can_be_given_up=True)
        for each in CaseStatus
    ]
    assert {allowed.action for each in situations for allowed in allowed_now(each)} == set(ACTION_WORDS)


def test_the_page_shows_the_picture() -> None:
    assert code(text_of("docs/lifecycle.md"), "mermaid") == [picture()]


def test_every_line_of_the_picture_is_one_that_the_language_has() -> None:
    lines = picture().splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert lines[0] == "stateDiagram-v2"
    assert picture().count("{") == picture().count("}") == 1


def test_the_picture_draws_every_move_and_no_other() -> None:
    """What is drawn from the open cases, or by way of the judgement, is spread out again."""
    assert drawn() == {
        (before, event, after)
        for (before, event), after in TABLE.items()
        # A judgement that comes to the same is drawn with the others; but not for an appeal, which stays one.
        if before is not after or (event.startswith("judged_") and before is not CaseStatus.APPEALED)
    }


def drawn() -> set[tuple[str, str, str]]:
    moves: set[tuple[str, str, str]] = set()
    for arrow in ARROW.finditer(picture()):
        before, after, label = arrow["before"], arrow["after"], arrow["label"] or ""
        if "[*]" in (before, after) or after == "judged":
            continue
        but = re.search(r" \(not from (.+)\)$", label)
        spread = {"judged": {CaseStatus.FILED, *UNDECIDED}, "open": set(UNDECIDED)}
        sources = spread[before] if before in spread else {CaseStatus(before)}
        sources -= set(but[1].split(", ")) if but else set()
        moves |= {(source, CaseEvent(label.split()[0]), after) for source in sources}
    return moves

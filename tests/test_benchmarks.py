"""What benchmarks measure with is as real as they say, and what they report is what was measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks.report import Row, Section, at_least, at_most, markdown, table, write_json
from benchmarks.rounds import ratio, take_turns
from benchmarks.stub_data import ADDRESS, DETAIL, IDENTITY, MESSAGES, PAGE_SIZE, SENT
from benchmarks.stub_server import Answers
from inkbox_async.generated.models.identities import AgentIdentityDetail
from inkbox_async.generated.models.mail import Message, MessageDetail, MessagePage

SECTIONS = [
    Section("walks", [Row("ours / theirs", 0.9, "x", at_most(1.25), (0.8, 1.0), "ours 9 ms")], 1.5),
    Section("stalls", [Row("longest", 30.0, "ms", at_most(25.0))], 2.0),
    Section("broken", [], 0.1, "OSError: no such thing"),
]


def body(response: bytes) -> bytes:
    head, _, content = response.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(content)}\r\n".encode() in head + b"\r\n"
    return content


@pytest.mark.parametrize(
    ("shown", "model"),
    [(MESSAGES[0], Message), (SENT, Message), (DETAIL, MessageDetail), (IDENTITY, AgentIdentityDetail)],
)
def test_the_stub_answers_with_every_documented_field(
    shown: dict[str, object], model: type[Message | MessageDetail | AgentIdentityDetail]
) -> None:
    assert set(shown) == set(model.model_fields)
    assert not model.model_validate(shown).model_extra


def test_no_two_messages_of_a_page_are_alike() -> None:
    assert len(MESSAGES) == PAGE_SIZE
    for name in ("id", "thread_id", "message_id", "created_at", "snippet"):
        assert len({message[name] for message in MESSAGES}) == PAGE_SIZE


@pytest.mark.parametrize("spelling", [f"pages-3@{ADDRESS.partition('@')[2]}", "pages-3%40inkboxmail.com"])
def test_the_stub_has_as_many_pages_as_the_mailbox_says(spelling: str) -> None:
    answers, cursor, pages = Answers(), "", 0
    while True:
        target = f"/api/v1/mail/mailboxes/{spelling}/messages?limit=50{cursor}".encode()
        page = MessagePage.model_validate_json(body(answers.to(b"GET", target)))
        pages += 1
        assert len(page.items) == PAGE_SIZE
        if not page.has_more:
            break
        cursor = f"&cursor={page.next_cursor}"
    assert pages == 3


def test_clients_take_turns_and_each_begins_once_in_a_while() -> None:
    order: list[str] = []

    def client(name: str) -> float:
        order.append(name)
        return 1.0

    rounds = take_turns({name: partial(client, name) for name in "abc"}, 3)
    assert order == list("abcbcacab")
    assert rounds == [{"a": 1.0, "b": 1.0, "c": 1.0}] * 3


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    found = ratio([1.0, 9.0, 2.0, 3.0, 2.5])
    assert (found.median, found.spread) == (2.5, (2.0, 3.0))


def test_targets_hold_at_their_bounds() -> None:
    assert at_most(1.25).is_met_by(1.25)
    assert not at_most(1.25).is_met_by(1.2501)
    assert at_least(5.0).is_met_by(5.0)
    assert not at_least(5.0).is_met_by(4.99)


def test_the_table_says_what_is_met_missed_and_broken() -> None:
    met, _, missed, _, broken, *_ = table(SECTIONS).splitlines()[1:]
    assert " ".join(met.split()) == "walks ours / theirs ≤ 1.25x 0.90x 0.80 to 1.00 met ours 9 ms"
    assert "MISSED" in missed
    assert "BROKEN: OSError: no such thing" in broken
    assert "| walks: ours / theirs | ≤ 1.25x | 0.90x | 0.80 to 1.00 | ours 9 ms |" in markdown(SECTIONS)


def test_the_json_holds_the_same(tmp_path: Path) -> None:
    peer = tmp_path / "peer"
    (peer / "inkbox-9.9.9.dist-info").mkdir(parents=True)
    (peer / "inkbox-9.9.9.dist-info" / "METADATA").write_text("Name: inkbox\nVersion: 9.9.9\n")
    write_json(tmp_path / "new" / "figures.json", SECTIONS, rounds=3, peer=peer)
    written = json.loads((tmp_path / "new" / "figures.json").read_text("utf-8"))
    assert written["versions"]["inkbox"] == "9.9.9"
    walks, stalls, broken = written["benchmarks"]
    assert walks["figures"][0]["met"] is True
    assert stalls["figures"][0] | {"note": ""} == {
        "name": "longest",
        "value": 30.0,
        "unit": "ms",
        "quartiles": None,
        "target": {"kind": "at most", "bound": 25.0},
        "met": False,
        "note": "",
    }
    assert broken["error"] == "OSError: no such thing"

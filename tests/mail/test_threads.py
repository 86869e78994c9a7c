"""Threads through the front door: what belongs together, folders, filing, deleting."""

from __future__ import annotations

import pytest

from .conftest import Api


async def test_a_conversation_is_one_thread_in_both_mailboxes(api: Api) -> None:
    scout, other = await api.identity("scout"), await api.identity("other")
    first = await api.send(scout, other, subject="Plan")
    (received,) = await api.messages(other)
    assert received["message_id"] == first["message_id"]
    assert received["id"] != first["id"]
    assert received["thread_id"] != first["thread_id"]
    second = await api.ok(
        "POST", f"/mail/mailboxes/{other}/messages/{received['id']}/reply-all", {"body_text": "Fine"}
    )
    assert second["thread_id"] == received["thread_id"]
    answer = (await api.messages(scout, direction="inbound"))[0]
    assert (answer["thread_id"], answer["subject"]) == (first["thread_id"], "Re: Plan")
    thread = await api.ok("GET", f"/mail/mailboxes/{scout}/threads/{first['thread_id']}")
    assert [item["id"] for item in thread["messages"]] == [first["id"], answer["id"]]
    assert (thread["subject"], thread["message_count"]) == ("Plan", 2)
    assert "body_text" not in thread["messages"][0]


async def test_the_nearest_known_ancestor_names_the_thread(api: Api) -> None:
    address = await api.identity("scout")
    one = await api.receive(address, headers={"Message-ID": "<1@x>"})
    two = await api.receive(address, headers={"Message-ID": "<2@x>"})
    unrelated = await api.receive(address, in_reply_to="<unknown@x>")
    assert len({one["thread_id"], two["thread_id"], unrelated["thread_id"]}) == 3
    both = await api.receive(address, headers={"References": "<1@x> <2@x> <unknown@x>"})
    assert both["thread_id"] == two["thread_id"]


async def test_answers_to_a_message_that_never_came_are_one_thread(api: Api) -> None:
    address = await api.identity("scout")
    first = await api.receive(address, in_reply_to="<root@x>", headers={"Message-ID": "<1@x>"})
    second = await api.receive(address, headers={"References": "<root@x> <lost@x>", "Message-ID": "<2@x>"})
    third = await api.receive(address, headers={"References": "<lost@x>"})
    root = await api.receive(address, headers={"Message-ID": "<root@x>"})
    stranger = await api.receive(address, headers={"References": "<other@x>"})
    assert {item["thread_id"] for item in (first, second, third, root)} == {first["thread_id"]}
    assert stranger["thread_id"] != first["thread_id"]
    thread = await api.ok("GET", f"/mail/mailboxes/{address}/threads/{first['thread_id']}")
    assert thread["message_count"] == 4


async def test_what_a_deleted_thread_referred_to_is_forgotten(api: Api) -> None:
    address = await api.identity("scout")
    first = await api.receive(address, in_reply_to="<root@x>")
    await api.ok("DELETE", f"/mail/mailboxes/{address}/threads/{first['thread_id']}")
    again = await api.receive(address, in_reply_to="<root@x>")
    assert again["thread_id"] != first["thread_id"]


async def test_a_shared_reference_does_not_mix_blocked_and_other_mail(api: Api) -> None:
    address = await api.identity("scout")
    rule = {"action": "block", "match_type": "domain", "match_target": "spam.example"}
    await api.ok("POST", f"/mail/mailboxes/{address}/contact-rules", rule)
    wanted = await api.receive(address, in_reply_to="<root@x>")
    blocked = [await api.receive(address, from_="eve@spam.example", in_reply_to="<root@x>") for _ in range(2)]
    assert [item["folder"] for item in blocked] == ["blocked", "blocked"]
    assert blocked[0]["thread_id"] == blocked[1]["thread_id"] != wanted["thread_id"]


async def test_mailboxes_do_not_share_references(api: Api) -> None:
    one, two = await api.identity("scout"), await api.identity("other")
    first = await api.receive(one, in_reply_to="<root@x>")
    assert (await api.receive(two, in_reply_to="<root@x>"))["thread_id"] != first["thread_id"]


async def test_threads_are_paged_by_their_newest_message(api: Api) -> None:
    address = await api.identity("scout")
    threads = [
        (await api.receive(address, headers={"Message-ID": f"<{number}@x>"}))["thread_id"]
        for number in range(3)
    ]
    await api.receive(address, in_reply_to="<0@x>")
    path = f"/mail/mailboxes/{address}/threads"
    first = await api.ok("GET", path, limit=2)
    assert [item["id"] for item in first["items"]] == [threads[0], threads[2]]
    second = await api.ok("GET", path, limit=2, cursor=first["next_cursor"])
    assert [item["id"] for item in second["items"]] == [threads[1]]
    assert (second["has_more"], second["next_cursor"]) == (False, None)
    assert (await api.call("GET", path, query={"cursor": "!"})).status == 422


async def test_folders(api: Api) -> None:
    address = await api.identity("scout")
    path = f"/mail/mailboxes/{address}/threads"
    assert await api.ok("GET", f"{path}/folders") == []
    kept = (await api.receive(address, headers={"Message-ID": "<1@x>"}))["thread_id"]
    filed = (await api.receive(address))["thread_id"]
    moved = await api.ok("PATCH", f"{path}/{filed}", {"folder": "archive"})
    assert moved["folder"] == "archive"
    assert "messages" not in moved
    assert await api.ok("GET", f"{path}/folders") == ["archive", "inbox"]
    assert [item["id"] for item in (await api.ok("GET", path, folder="inbox"))["items"]] == [kept]
    assert [item["id"] for item in (await api.ok("GET", path))["items"]] == [filed, kept]
    await api.ok("PATCH", f"{path}/{kept}", {"folder": "spam"})
    late = await api.receive(address, in_reply_to="<1@x>")
    assert (late["thread_id"], late["folder"]) == (kept, "spam")
    assert (await api.ok("PATCH", f"{path}/{kept}", {}))["folder"] == "spam"


@pytest.mark.parametrize(
    "body", [{"folder": "blocked"}, {"folder": "trash"}, {"folder": None}, {"subject": "x"}]
)
async def test_bad_changes_are_refused(api: Api, body: dict[str, str | None]) -> None:
    address = await api.identity("scout")
    thread_id = (await api.receive(address))["thread_id"]
    assert (await api.call("PATCH", f"/mail/mailboxes/{address}/threads/{thread_id}", body)).status == 422
    assert (await api.ok("GET", f"/mail/mailboxes/{address}/threads/{thread_id}"))["folder"] == "inbox"


async def test_deleting_a_thread_deletes_its_messages(api: Api) -> None:
    address = await api.identity("scout")
    one = await api.receive(address, headers={"Message-ID": "<1@x>"})
    await api.receive(address, in_reply_to="<1@x>")
    other = await api.receive(address)
    path = f"/mail/mailboxes/{address}"
    assert (await api.call("DELETE", f"{path}/threads/{one['thread_id']}")).status == 204
    assert [item["id"] for item in await api.messages(address)] == [other["message_id"]]
    assert (await api.call("GET", f"{path}/threads/{one['thread_id']}")).status == 404
    assert (await api.call("DELETE", f"{path}/threads/{one['thread_id']}")).status == 404


async def test_an_answer_to_a_deleted_thread_starts_a_new_one(api: Api) -> None:
    address = await api.identity("scout")
    one = await api.receive(address, headers={"Message-ID": "<1@x>"})
    await api.ok("DELETE", f"/mail/mailboxes/{address}/threads/{one['thread_id']}")
    assert (await api.receive(address, in_reply_to="<1@x>"))["thread_id"] != one["thread_id"]


async def test_mail_to_oneself_is_one_thread(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, address)
    received, _ = await api.messages(address)
    assert (received["direction"], received["thread_id"]) == ("inbound", sent["thread_id"])

"""The words of HTML, snippets, and the headers that make a conversation."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.sandbox.mail.html_text import html_to_text
from inkbox_async.sandbox.mail.references import (
    MAX_REFERENCES,
    ancestors,
    forward_subject,
    message_ids,
    new_message_id,
    references_of_reply,
    reply_subject,
)
from inkbox_async.sandbox.mail.snippet import SNIPPET_LENGTH, snippet
from inkbox_async.sandbox.mail.words import from_base64


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>Hello <b>Ada</b></p><p>Bye</p>", "Hello Ada\n\nBye"),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        ("<style>p {color: red}</style>Hi<SCRIPT>alert('<b>')</script > there", "Hi there"),
        ("<head><title>T</title></head><body>B</body>", "B"),
        ("a &lt; b &amp; c&nbsp;d &#233;", "a < b & c d é"),
        ("<!-- hidden -->shown<!-- unclosed", "shown"),
        ("3 < 4 and 5 > 4", "3 < 4 and 5 > 4"),
        ("<ul><li>a</li><li>b</li></ul>", "a\n\nb"),
        ("<tr><td>a</td><td>b</td></tr>", "a b"),
        ("İ<style>x</style>after", "İafter"),
        ("", ""),
        ("<style>never closed", ""),
        ("broken <a href='x", "broken"),
    ],
)
def test_html_to_text(page: str, text: str) -> None:
    assert html_to_text(page) == text


@pytest.mark.parametrize("bit", ["<", "<!--", "<style>", "</", "<a ", "&", "<style></", "<!"])
def test_hostile_html_takes_linear_time(bit: str) -> None:
    """A quadratic reader would not come back from this within the life of a test run."""
    html_to_text(bit * 300_000)


@given(st.text("<>/!-ab&;# \nstyle\x00", max_size=200))
def test_any_html_becomes_storable_text(page: str) -> None:
    assert "\x00" not in html_to_text(page)


def test_a_snippet_is_one_line_of_the_text() -> None:
    assert snippet("Hello,\r\n\r\n  world", "<p>not this</p>") == "Hello, world"
    assert snippet(None, "<p>from <i>HTML</i></p>") == "from HTML"
    assert snippet(" \n", "<p>from HTML</p>") == "from HTML"
    assert snippet(None, None) is None
    assert snippet("\n" * 10_000 + "late", None) == "late"
    assert len(snippet("word " * 1000, None) or "") == SNIPPET_LENGTH - 1


@pytest.mark.parametrize(
    ("header", "ids"),
    [
        ("<a@x>", ["<a@x>"]),
        ("<a@x> <b@x>\t<c@x>", ["<a@x>", "<b@x>", "<c@x>"]),
        ("<a@x><b@x> <a@x>", ["<a@x>", "<b@x>"]),
        ("bare@x", ["<bare@x>"]),
        ("<unclosed@x", ["<unclosed@x>"]),
        ("Ada's message of Monday", []),
        ("", []),
        ("<>", []),
    ],
)
def test_message_ids(header: str, ids: list[str]) -> None:
    assert message_ids(header) == ids


def test_a_long_conversation_keeps_its_first_and_its_last_ids() -> None:
    ids = message_ids(" ".join(f"<{number}@x>" for number in range(1000)))
    assert (len(ids), ids[0], ids[-1]) == (MAX_REFERENCES, "<0@x>", "<999@x>")


def test_the_nearest_ancestor_comes_first() -> None:
    assert ancestors("<3@x>", ["<1@x>", "<2@x>", "<3@x>"]) == ["<3@x>", "<2@x>", "<1@x>"]
    assert ancestors(None, ["<1@x>"]) == ["<1@x>"]
    assert ancestors(None, []) == []


def test_references_of_a_reply() -> None:
    assert references_of_reply("<3@x>", ["<1@x>", "<2@x>"], "<2@x>") == ["<1@x>", "<2@x>", "<3@x>"]
    assert references_of_reply("<2@x>", [], "<1@x>") == ["<1@x>", "<2@x>"]
    assert references_of_reply("<1@x>", [], None) == ["<1@x>"]


@pytest.mark.parametrize(
    ("subject", "reply", "forward"),
    [
        ("Plan", "Re: Plan", "Fwd: Plan"),
        ("RE: Plan", "RE: Plan", "Fwd: RE: Plan"),
        ("Fw: Plan", "Re: Fw: Plan", "Fw: Plan"),
        ("FWD : Plan", "Re: FWD : Plan", "FWD : Plan"),
        ("Report", "Re: Report", "Fwd: Report"),
        (None, "Re:", "Fwd:"),
        ("", "Re:", "Fwd:"),
    ],
)
def test_subjects_of_replies_and_forwards(subject: str | None, reply: str, forward: str) -> None:
    assert (reply_subject(subject), forward_subject(subject)) == (reply, forward)


def test_new_message_ids_differ() -> None:
    one, other = new_message_id("inkboxmail.com"), new_message_id("inkboxmail.com")
    assert one != other
    assert message_ids(one) == [one]
    assert one.endswith("@inkboxmail.com>")


@given(st.binary(max_size=300), st.integers(0, 3))
def test_base64_is_decoded_in_pieces(content: bytes, breaks: int) -> None:
    text = base64.b64encode(content * 3000).decode()
    cut = len(text) // 2
    assert from_base64(text[:cut] + "\r\n" * breaks + text[cut:]) == content * 3000


@pytest.mark.parametrize("text", ["a", "ab", "a===", "YQ==YQ==", "YQ=", "_-8=", "grün", "YQ== !", "="])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_base64(text)

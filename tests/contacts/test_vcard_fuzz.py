"""Whatever stands in a file of vCards: each card becomes a contact or an error, and nothing breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inkbox_async import (
    Contact,
    ContactAddress,
    ContactCustomField,
    ContactDate,
    ContactEmail,
    ContactPhone,
    ContactWebsite,
)
from inkbox_async.generated.models.contacts import CreateContactRequest
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.contacts.vcard_reading import VCardError, read_card, split_cards
from inkbox_async.sandbox.contacts.vcard_writing import write_card
from inkbox_async.sandbox.requests import checked

NAMES = st.sampled_from(
    ["FN", "N", "ORG", "TITLE", "BDAY", "NOTE", "EMAIL", "TEL", "URL", "ADR", "ANNIVERSARY", "X-TIER",
     "X-ABDATE", "item1.X-ABLabel", "item1.EMAIL", "PHOTO", "VERSION", "BEGIN", "END", ""]
)  # fmt: skip
PARAMETERS = st.sampled_from(
    ["", ";TYPE=work", ";TYPE=pref", ";PREF=1", ";PREF=²", ';TYPE="a,b"', ";WORK", ";ENCODING=b", ";CHARSET=",
     ";ENCODING=QUOTED-PRINTABLE", ";QUOTED-PRINTABLE;CHARSET=utf-16", ";ENCODING=quoted-printable,b", ';X="',
     ";="]
)  # fmt: skip
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["VCARD", "+15551234567", "tel:", "a@b.example", "20200101", "0000-00-00", ";;;;;;;;", "=", "\\"]
    ),
)
LINES = st.builds("{}{}:{}".format, NAMES, PARAMETERS, VALUES) | st.text(max_size=20)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n ", "\n\t", "\n\n"])
FILES = st.lists(st.tuples(LINES, ENDS), max_size=12).map(lambda lines: "".join(map("".join, lines)))
WORDS = (
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
    .map(str.strip)
    .filter(bool)
)
LABELS = st.none() | WORDS.filter(lambda label: not label.startswith("_$!<"))


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(FILES)
@example("BEGIN:VCARD\nFN:a\nEND:VCARD\n" * 3)
def test_any_file_is_answered(inkbox_sandbox: Sandbox, loop: asyncio.Runner, text: str) -> None:
    async def send() -> None:
        headers = {"X-API-Key": inkbox_sandbox.api_key, "Content-Type": "text/vcard"}
        url = f"{inkbox_sandbox.base_url}/api/v1/contacts/import"
        content = f"BEGIN:VCARD\nFN:Ada\n{text}\nEND:VCARD\n".encode("utf-8", "replace")
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(url, data=content) as response,
        ):
            if response.status == 422:  # the text has opened another card, or swallowed the end of this one
                assert "no complete card" in await response.text()
                return
            assert response.status == 200, await response.text()
            result = await response.json()
            created = [item for item in result["results"] if item["status"] == "created"]
            assert result["created_count"] == len(created)
            assert result["created_count"] + result["error_count"] == len(result["results"])
            for item in created:
                async with session.get(
                    f"{inkbox_sandbox.base_url}/api/v1/contacts/{item['contact']['id']}.vcf"
                ) as vcard:
                    assert vcard.status == 200
                    exported = await vcard.text()
            for item in result["results"]:
                assert (item["contact"] is None) == (item["status"] == "error") == bool(item["error"])
            if created:
                async with session.post(url, data=exported.encode()) as again:
                    assert (await again.json())["created_count"] == 1, "what was exported can be imported"

    loop.run(send())


@given(st.text())
def test_any_text_is_split_and_read_or_refused(text: str) -> None:
    for card in split_cards(f"BEGIN:VCARD\n{text}\nEND:VCARD"):
        with suppress(VCardError):
            assert read_card(card or [])["preferred_name"]


@given(
    name=WORDS,
    note=st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.just("\n")).map(str.strip),
    street=WORDS,
    label=LABELS,
    value=WORDS,
    day=st.dates(date(1, 1, 1)),
)
def test_what_is_written_is_read_back(
    name: str, note: str, street: str, label: str | None, value: str, day: date
) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    contact = Contact(
        id=uuid4(),
        created_at=now,
        updated_at=now,
        preferred_name=name,
        given_name=value,
        company_name=name,
        notes=note or None,
        birthday=day,
        emails=[ContactEmail(label=label, value="ada@example.com", is_primary=True)],
        phones=[ContactPhone(label=label, value="+15551234567")],
        websites=[ContactWebsite(label=label, value="https://example.com/a,b;c")],
        dates=[ContactDate(label=label, value=day)] if label else [],
        addresses=[ContactAddress(label=label, street=street, city=name)],
        custom_fields=[ContactCustomField(label=label or "tier", value=value)],
    )
    (card,) = split_cards(write_card(contact))
    assert card is not None
    read = checked(CreateContactRequest, read_card(card), "card")
    for field in ("preferred_name", "given_name", "company_name", "notes", "birthday", "emails", "phones"):
        assert getattr(read, field) == getattr(contact, field), field
    for field in ("websites", "dates", "addresses", "custom_fields"):
        assert (getattr(read, field) or []) == getattr(contact, field), field


@pytest.mark.parametrize(
    "line",
    [
        "TEL" + ";" * 40_000,
        "TEL;TYPE=" + "," * 40_000,
        'TEL;TYPE="' * 4_000,
        "TEL" + ";A=," * 10_000,
        "TEL;" + "a-" * 20_000 + "=",
        "FN." * 10_000,
    ],
    ids=lambda line: line[:12],
)
def test_no_line_makes_an_expression_run_away(line: str) -> None:
    """A line that is no property is refused; where an expression backtracks, this would never end."""
    (card,) = split_cards(f"BEGIN:VCARD\nFN:Ada\n{line}\nEND:VCARD")
    with pytest.raises(VCardError, match="no property"):
        read_card(card or [])


@pytest.mark.parametrize("line", ["N:" + ";" * 40_000, "NOTE:" + "\\" * 40_001, "NOTE:" + "a\n " * 20_000])
def test_long_values_are_read(line: str) -> None:
    (card,) = split_cards(f"BEGIN:VCARD\nFN:Ada\n{line}\nEND:VCARD")
    assert read_card(card or [])["preferred_name"] == "Ada"

"""vCards through the front door: both versions in, 4.0 out, errors card by card, limits of the file."""

from __future__ import annotations

import pytest
import vobject

from .conftest import JSON, Api, Reply

IMPORT = "/contacts/import"

VERSION_4 = """\
BEGIN:VCARD
VERSION:4.0
FN:Ada Lovelace
N:Lovelace;Ada;King,Noel;Lady;I
ORG:Analytical Engines\\, Ltd.;Research
TITLE:Analyst
BDAY:18151210
NOTE:Likes machines\\; not
  letters\\nat all
EMAIL;TYPE=work:ada@work.example
EMAIL;TYPE=home;PREF=1:ada@home.example
TEL;VALUE=uri;TYPE="voice,cell":tel:+1-555-123-4567;ext=12
URL:https://example.com/a,b;c
ADR;TYPE=home:;;1 Way;London;;W1;GB
ANNIVERSARY:1835-07-08
X-TIER:gold
PHOTO:data:image/png;base64,AAAA
CATEGORIES:friends
END:VCARD
"""
VERSION_3 = """\
BEGIN:VCARD\r
VERSION:3.0\r
N:Bobson;Bob;;;\r
FN:Bob Bobson\r
EMAIL;type=INTERNET;type=WORK;type=pref:bob@work.example\r
item1.TEL:+44 20 7123 4567\r
item1.X-ABLabel:Front desk\r
item2.X-ABDATE;type=pref:2019-06-01\r
item2.X-ABLabel:_$!<Anniversary>!$_\r
item3.ADR;type=WORK:;;Line 1\\nLine 2;Leeds;Yorkshire;LS1;UK\r
BDAY;X-APPLE-OMIT-YEAR=1604:1604-04-12\r
PHOTO;ENCODING=b;TYPE=JPEG:AAAA\r
 BBBB\r
END:VCARD\r
"""
VERSION_2_1 = """\
BEGIN:VCARD
VERSION:2.1
FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=BCr=
gen
TEL;CELL;VOICE:+15551234567
END:VCARD
"""


def card(*lines: str) -> str:
    return "\n".join(("BEGIN:VCARD", "VERSION:4.0", *lines, "END:VCARD", ""))


async def send(api: Api, text: str | bytes, content_type: str = "text/vcard") -> Reply:
    content = text.encode() if isinstance(text, str) else text
    return await api.call("POST", IMPORT, data=content, headers={"Content-Type": content_type})


async def imported(api: Api, text: str) -> JSON:
    """The contact that one card makes."""
    reply = await send(api, text)
    assert reply.status == 200
    (item,) = reply.body["results"]
    assert item["status"] == "created", item["error"]
    assert reply.body["created_count"] == 1
    return item["contact"]


async def refused(api: Api, text: str) -> str:
    """Why one card makes no contact."""
    reply = await send(api, text)
    assert reply.status == 200
    (item,) = reply.body["results"]
    assert (item["status"], item["contact"]) == ("error", None)
    assert reply.body["error_count"] == 1
    assert await api.ok("GET", "/contacts") == []
    error: str = item["error"]
    return error


async def test_version_4(api: Api) -> None:
    contact = await imported(api, VERSION_4)
    assert contact["preferred_name"] == "Ada Lovelace"
    names = ("family_name", "given_name", "middle_name", "name_prefix", "name_suffix")
    assert [contact[name] for name in names] == ["Lovelace", "Ada", "King Noel", "Lady", "I"]
    assert contact["company_name"] == "Analytical Engines, Ltd."
    assert (contact["job_title"], contact["birthday"]) == ("Analyst", "1815-12-10")
    assert contact["notes"] == "Likes machines; not letters\nat all"
    assert contact["emails"] == [
        {"label": "work", "value": "ada@work.example", "is_primary": False},
        {"label": "home", "value": "ada@home.example", "is_primary": True},
    ]
    assert contact["phones"] == [{"label": "cell", "value_e164": "+15551234567", "is_primary": False}]
    assert contact["websites"] == [{"label": None, "url": "https://example.com/a,b;c"}]
    assert contact["addresses"] == [
        {
            "label": "home",
            "street": "1 Way",
            "city": "London",
            "region": None,
            "postal": "W1",
            "country": "GB",
        }
    ]
    assert contact["dates"] == [{"label": "anniversary", "date": "1835-07-08"}]
    assert contact["custom_fields"] == [{"label": "tier", "value": "gold"}]
    assert contact["creation_source"] == "vcard"
    assert [row["identity_id"] for row in contact["access"]] == [None]
    assert await api.ok("GET", f"/contacts/{contact['id']}") == contact


async def test_version_3(api: Api) -> None:
    contact = await imported(api, VERSION_3)
    assert contact["preferred_name"] == "Bob Bobson"
    assert contact["emails"] == [{"label": "work", "value": "bob@work.example", "is_primary": True}]
    assert contact["phones"] == [{"label": "Front desk", "value_e164": "+442071234567", "is_primary": False}]
    assert contact["dates"] == [{"label": "anniversary", "date": "2019-06-01"}]
    assert contact["addresses"][0]["street"] == "Line 1\nLine 2"
    assert contact["birthday"] is None, "there is no room for a birthday without a year"
    assert contact["custom_fields"] == []


async def test_version_2_1_is_read_as_far_as_it_goes(api: Api) -> None:
    contact = await imported(api, VERSION_2_1)
    assert contact["preferred_name"] == "Jürgen"
    assert contact["phones"] == [{"label": "cell", "value_e164": "+15551234567", "is_primary": False}]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["EMAIL:no-name@example.com"], "FN is missing"),
        (["FN:", "N:Lovelace;Ada;;;"], "FN is missing"),
        (["FN:Ada", "TEL:555-1234"], "phones.0.value_e164"),
        (["FN:Ada", "TEL:+15551234567", "TEL:tel:+1-555-123-4567"], "phones.1.value_e164"),
        (["FN:Ada", "EMAIL:nobody"], "emails.0.value"),
        (["FN:Ada", *(f"EMAIL:a{i}@example.com" for i in range(51))], "emails: "),
        (["FN:Ada", *(f"URL:https://{i}.example" for i in range(26))], "websites: "),
        (["FN:Ada", *(f"ADR:;;;City {i};;;" for i in range(11))], "addresses: "),
        ([f"FN:{'a' * 256}"], "preferred_name: "),
        (["FN:Ada", "no property at all"], "no property at all"),
        (["FN;CHARSET=klingon;ENCODING=QUOTED-PRINTABLE:Ada=20"], "FN cannot be decoded"),
    ],
)
async def test_a_bad_card_says_what_is_wrong(api: Api, lines: list[str], reason: str) -> None:
    assert reason in await refused(api, card(*lines))


async def test_every_card_stands_for_itself(api: Api) -> None:
    text = "".join(
        (
            card("FN:First"),
            "BEGIN:VCARD\nFN:Never ended\n",
            card("EMAIL:nameless@example.com"),
            "a line between cards\n\n",
            card("FN:Last").lower().replace("fn:last", "fn:Last"),
            "begin:vcard\nFN:Cut off",
        )
    )
    result = (await send(api, text)).body
    assert (result["created_count"], result["error_count"]) == (2, 3)
    assert [item["index"] for item in result["results"]] == [0, 1, 2, 3, 4]
    outcomes = [item["status"] for item in result["results"]]
    assert outcomes == ["created", "error", "error", "created", "error"]
    assert result["results"][1]["error"] == "END:VCARD is missing"
    assert await api.names(order="recent") == ["Last", "First"]


async def test_limits_of_the_file(api: Api) -> None:
    for content_type in ("text/plain", "application/json", "application/octet-stream"):
        assert (await send(api, card("FN:Ada"), content_type)).status == 415
    for content_type in ("text/x-vcard", "TEXT/VCARD; charset=utf-8"):
        assert (await send(api, card("FN:Ada"), content_type)).status == 200
    huge = card("FN:Ada", "NOTE:" + "a" * (5 * 1024 * 1024))
    assert (await send(api, huge)).status == 413
    assert (await send(api, b"\xff" * (5 * 1024 * 1024 + 1))).status == 413, "size comes before encoding"
    assert (await send(api, b"BEGIN:VCARD\nFN:\xff\nEND:VCARD\n")).status == 400
    for text in ("", "hello", "BEGIN:VCARD\nFN:Ada\n", "END:VCARD\n"):
        assert (await send(api, text)).status == 422
    assert (await send(api, card("FN:Ada") * 1001)).status == 413
    assert len(await api.names(limit="200")) == 2, "a refused file leaves nothing behind"
    assert (await send(api, "\ufeff" + card("FN:Marked"))).body["created_count"] == 1


async def test_a_thousand_cards(api: Api) -> None:
    text = "".join(card(f"FN:Person {i:04}", f"EMAIL:p{i}@example.com") for i in range(1000))
    assert (await send(api, text)).body["created_count"] == 1000
    assert await api.names(offset="999") == ["Person 0999"]


async def test_agents_do_not_import(api: Api) -> None:
    agent = await api.agent("scout")
    assert (await send(agent, card("FN:Ada"))).status == 403


async def test_export_is_a_vcard_4_that_comes_back_the_same(api: Api) -> None:
    contact = await api.contact(
        preferred_name="Ada, Countess; of \\ Lovelace " + "日本" * 30,
        family_name="Love;lace",
        name_prefix="Lady",
        company_name="A;B, C",
        job_title="Analyst",
        birthday="0815-12-10",
        notes="line 1\nline 2, and; more\\n",
        emails=[{"label": "work", "value": "ada@example.com", "is_primary": True}, {"value": "a@b.example"}],
        phones=[{"label": "Front desk", "value_e164": "+15551234567"}],
        websites=[{"label": "Blog", "url": "https://example.com/a,b;c?d=e:f"}],
        dates=[{"label": "anniversary", "date": "2019-06-01"}, {"label": "first met", "date": "2020-02-29"}],
        addresses=[{"label": "office", "street": "1 Way", "city": "London", "region": "GL", "postal": "W1"}],
        custom_fields=[{"label": "tier: 1", "value": "gold, silver"}, {"label": "pref", "value": "none"}],
    )
    reply = await api.call("GET", f"/contacts/{contact['id']}.vcf")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "text/vcard; charset=utf-8"
    disposition = reply.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="Ada_ Countess_ of _ Lovelace _.vcf"')
    assert "filename*=UTF-8''Ada%2C%20Countess" in disposition
    text = reply.body.decode()
    assert text.startswith("BEGIN:VCARD\r\nVERSION:4.0\r\n")
    assert text.endswith("END:VCARD\r\n")
    assert text.count("\n") == text.count("\r\n")
    assert vobject.readOne(text).fn.value == contact["preferred_name"]

    again = await imported(api, text)
    fields = {*contact} - {
        "id",
        "access",
        "created_at",
        "updated_at",
        "creation_source",
        "preferred_name_source",
    }
    assert {name: again[name] for name in fields} == {name: contact[name] for name in fields}


async def test_a_url_cannot_smuggle_a_line_into_a_card(api: Api) -> None:
    body = {"given_name": "Ada", "websites": [{"url": "https://example.com\r\nNOTE:smuggled"}]}
    assert (await api.call("POST", "/contacts", body)).status == 422


async def test_export_follows_visibility(api: Api) -> None:
    agent = await api.agent("scout")
    seen = await api.contact(preferred_name="\x01\r\n")
    hidden = await api.contact(access_identity_ids=[])
    reply = await agent.call("GET", f"/contacts/{seen['id']}.vcf")
    assert (reply.status, reply.body.count(b"\r\n")) == (200, 5)
    assert (await agent.call("GET", f"/contacts/{hidden['id']}.vcf")).status == 404
    assert (await api.call("GET", "/contacts/nonsense.vcf")).status == 422

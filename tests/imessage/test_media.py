"""Files: uploads, their limits, the links to them, and messages that carry them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import aiohttp
import pytest

from inkbox_async import AgentIdentity, AsyncInkbox
from inkbox_async.resources.imessages import MAX_MEDIA_BYTES
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, Api, connect

PHOTO = bytes(range(256)) * 40
HOUR = 60 * 60


async def test_an_upload_is_sent_and_fetched(inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    upload = await agent.upload_imessage_media(content=PHOTO, filename="photo.jpg", content_type="image/jpeg")
    assert (upload.content_type, upload.size) == ("image/jpeg", len(PHOTO))
    sent = await agent.send_imessage(to=ANN, media_urls=[upload.media_url])
    assert sent.content is None
    assert sent.media is not None
    [item] = sent.media
    assert (item.content_type, item.size) == ("image/jpeg", len(PHOTO))
    for url in (upload.media_url, item.url):
        async with api.session.get(url) as response:
            assert response.status == 200
            assert response.content_type == "image/jpeg"
            assert await response.read() == PHOTO
            assert "photo.jpg" in response.headers["Content-Disposition"]
    [left] = await inkbox_sandbox.world.outbox("imessage")
    assert left.media_urls == [upload.media_url]


async def test_links_expire_and_messages_show_fresh_ones(
    inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity
) -> None:
    await connect(inkbox_sandbox)
    upload = await agent.upload_imessage_media(content=PHOTO, filename="photo.jpg")
    assert upload.content_type == "application/octet-stream"
    sent = await agent.send_imessage(to=ANN, text="Look", media_urls=[upload.media_url])
    assert sent.media is not None
    inkbox_sandbox.clock.advance(HOUR)
    [shown] = await agent.list_imessages()
    assert shown.media is not None
    expected = {sent.media[0].url: 403, shown.media[0].url: 200, upload.media_url: 200}
    for url, status in expected.items():
        async with api.session.get(url) as response:
            assert response.status == status
    async with api.session.get(upload.media_url.replace("/files/imessage/", "/files/mail/")) as response:
        assert response.status == 403, "a link is for one file of one area"
    inkbox_sandbox.clock.advance(24 * HOUR)
    body = {"to": ANN, "media_urls": [upload.media_url]}
    reply = await api.call("POST", f"/imessage/messages?agent_identity_id={agent.id}", body)
    assert reply.status == 422
    assert "expired" in str(reply.body)


async def test_files_of_other_organizations(inkbox_sandbox: Sandbox, api: Api, agent: AgentIdentity) -> None:
    await connect(inkbox_sandbox)
    other = await api.other_organization()
    async with inkbox_sandbox.client(other.key) as client:
        upload = await client.imessages.upload_media(content=PHOTO, filename="theirs.jpg")
    forged = upload.media_url.replace("/files/imessage/", "/files/imessage/0")
    for url in (upload.media_url, forged):
        body = {"to": ANN, "media_urls": [url]}
        reply = await api.call("POST", f"/imessage/messages?agent_identity_id={agent.id}", body)
        assert reply.status == 422
    assert await agent.list_imessages() == []


@pytest.mark.parametrize("filename", ["photo.jpg", "Übung 1.pdf", 'a"b.png', "写真.jpg", "semi;colon=.txt"])
async def test_names_of_files(api: Api, agent: AgentIdentity, filename: str) -> None:
    upload = await agent.upload_imessage_media(content=b"x", filename=filename)
    async with api.session.get(upload.media_url) as response:
        disposition = response.content_disposition
        assert disposition is not None
        assert disposition.filename == filename.replace('"', "%22")


async def test_the_largest_file(agent: AgentIdentity) -> None:
    upload = await agent.upload_imessage_media(content=bytes(MAX_MEDIA_BYTES), filename="zeros")
    assert upload.size == MAX_MEDIA_BYTES == 10 * 1024 * 1024


@pytest.mark.parametrize(
    ("size", "file", "words"),
    [
        (MAX_MEDIA_BYTES + 1, {}, "at most 10,485,760 bytes"),
        (0, {}, "empty"),
        (1, {"filename": ""}, "filename"),
        (1, {"content_type": "jpeg"}, "MIME type"),
        (1, {"content_type": "image/png\r\nX-Evil: 1"}, "MIME type"),
    ],
    ids=["too large", "empty", "nameless", "no type", "header injection"],
)
async def test_files_that_are_not_even_sent(
    inkbox: AsyncInkbox, inkbox_sandbox: Sandbox, size: int, file: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        await inkbox.imessages.upload_media(content=bytes(size), **{"filename": "x", **file})
    assert inkbox_sandbox.requests() == []


@dataclass(frozen=True)
class Field:
    """One field of a form: a text, or a file of some size."""

    name: str = "file"
    filename: str | None = "x"
    size: int = 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([Field()], 201),
        ([Field(filename=None)], 422),
        ([Field("photo")], 422),
        ([Field(), Field("caption", None)], 422),
        ([Field(size=0)], 422),
        ([Field(size=MAX_MEDIA_BYTES)], 201),
        ([Field(size=MAX_MEDIA_BYTES + 1)], 413),
    ],
    ids=["good", "no filename", "other name", "more fields", "empty", "largest", "too large"],
)
async def test_the_form(api: Api, fields: list[Field], status: int) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    for field in fields:
        if field.filename is None:
            form.add_field(field.name, "words")
        else:
            form.add_field(field.name, io.BytesIO(bytes(field.size)), filename=field.filename)
    assert await posted(api, form) == status


@pytest.mark.parametrize(
    "part",
    [
        b'Content-Disposition: form-data; name="\xe2\x80\xa8\x00"\r\n\r\nx',
        b'Content-Disposition: form-data; name="file"\r\nno header\r\n\r\nx',
        b'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Transfer-Encoding: x\r\n\r\nx',
        b'Content-Disposition: form-data; name="f"\r\nContent-Type: text/plain; charset=none\r\n\r\nx',
    ],
)
async def test_a_form_that_cannot_be_read(api: Api, part: bytes) -> None:
    reply = await api.call(
        "POST",
        "/imessage/media",
        data=b"--x\r\n" + part + b"\r\n--x--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert reply.problem == (["body"], "multipart_invalid")


async def test_no_form(api: Api) -> None:
    assert await posted(api, b"not a form") == 422


async def posted(api: Api, data: aiohttp.FormData | bytes) -> int:
    """The status of an upload."""
    url = f"{api.sandbox.base_url}/api/v1/imessage/media"
    async with api.session.post(url, data=data, headers={"X-API-Key": api.key}) as response:
        return response.status

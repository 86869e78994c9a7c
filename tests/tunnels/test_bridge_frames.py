"""Frames and envelopes inside a bridge."""

from __future__ import annotations

import base64
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.tunnels.bridge_frames import (
    Close,
    EnvelopeParser,
    FrameError,
    FrameParser,
    Message,
    MessageTooBig,
    Opcode,
    apply_mask,
    decode_envelope,
    encode_close,
    encode_envelope,
    encode_frame,
)

KEY = bytes((1, 2, 3, 4))
MESSAGES = st.one_of(st.text(), st.binary(), st.builds(Close, st.integers(1000, 4999), st.text()))


def pieces(parser: FrameParser, data: bytes, cuts: list[int]) -> list[tuple[Opcode, bytes]]:
    """Feed data cut at arbitrary places; adjoining pieces of data are joined."""
    found: list[tuple[Opcode, bytes]] = []
    borders = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(borders):
        for opcode, payload in parser.feed(data[start:end]):
            if found and opcode is Opcode.BINARY and found[-1][0] is Opcode.BINARY:
                found[-1] = (opcode, found[-1][1] + payload)
            else:
                found.append((opcode, payload))
    return found


class TestVectors:
    """The bytes of the documented examples."""

    text = bytes.fromhex("0000001b7b2274797065223a2274657874222c2264617461223a226869227d")

    def test_text_envelope(self) -> None:
        assert encode_envelope("hi") == self.text

    def test_masked_frame(self) -> None:
        expected = "829f010203040102031f7a20777d716721 3e2376667c75202f26656377652338216c68207e".replace(
            " ", ""
        )
        assert encode_frame(Opcode.BINARY, self.text, mask_key=KEY).hex() == expected

    def test_unmasked_frame_is_read(self) -> None:
        assert FrameParser(allow_text=True).feed(b"\x82\x1f" + self.text) == [(Opcode.BINARY, self.text)]

    def test_binary_and_close_envelopes(self) -> None:
        assert encode_envelope(b"\x00\xff") == b'\x00\x00\x00\x1f{"type":"binary","data":"AP8="}'
        assert encode_envelope(Close()) == b'\x00\x00\x00\x28{"type":"close","code":1000,"reason":""}'

    def test_close_frames(self) -> None:
        assert encode_frame(Opcode.CLOSE, b"\x03\xe8", mask_key=KEY).hex() == "88820102030402ea"
        clean = encode_frame(Opcode.CLOSE, b"\x03\xe8clean-eof", mask_key=KEY)
        assert clean.hex() == "888b0102030402ea606864 63 6d2964 6d65".replace(" ", "")

    def test_an_empty_ping(self) -> None:
        assert FrameParser(allow_text=False).feed(b"\x89\x00") == [(Opcode.PING, b"")]

    def test_keys_are_random(self) -> None:
        assert len({encode_frame(Opcode.PING, b"")[2:6] for _ in range(50)}) > 40

    def test_a_long_close_reason_is_cut_at_a_character(self) -> None:
        ((opcode, payload),) = FrameParser(allow_text=False).feed(encode_close(1000, "é" * 200))
        assert opcode is Opcode.CLOSE
        assert payload[2:].decode() == "é" * 61


class TestFrames:
    @given(st.binary(max_size=70_000), st.binary(min_size=4, max_size=4), st.lists(st.integers(0)))
    def test_what_is_sent_arrives_however_it_is_cut(self, data: bytes, key: bytes, cuts: list[int]) -> None:
        found = pieces(FrameParser(allow_text=True), encode_frame(Opcode.BINARY, data, mask_key=key), cuts)
        assert found == ([(Opcode.BINARY, data)] if data else [])

    @given(st.binary(), st.binary(min_size=4, max_size=4), st.integers(0, 9))
    def test_a_mask_is_its_own_inverse(self, data: bytes, key: bytes, offset: int) -> None:
        assert apply_mask(apply_mask(data, key, offset), key, offset) == data
        assert apply_mask(data, key, offset) == bytes(b ^ key[(i + offset) % 4] for i, b in enumerate(data))

    def test_fragments_and_pings_between_them(self) -> None:
        data = b"\x02\x02ab" + b"\x89\x01p" + b"\x00\x01c" + b"\x80\x01d" + b"\x82\x01e"
        found = pieces(FrameParser(allow_text=False), data, [])
        assert found == [(Opcode.BINARY, b"ab"), (Opcode.PING, b"p"), (Opcode.BINARY, b"cde")]

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"\xc2\x00", "reserved"),
            (b"\x83\x00", "opcode"),
            (b"\x81\x00", "text"),
            (b"\x80\x00", "continuation without start"),
            (b"\x02\x00\x82\x00", "inside"),
            (b"\x09\x00", "control"),
            (b"\x89\x7e\x00\x7e", "control"),
            (b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "length"),
        ],
    )
    def test_broken_frames_are_refused(self, data: bytes, why: str) -> None:
        with pytest.raises(FrameError, match=why):
            FrameParser(allow_text=False).feed(data)

    def test_text_is_data_where_it_is_allowed(self) -> None:
        assert FrameParser(allow_text=True).feed(b"\x81\x02hi") == [(Opcode.BINARY, b"hi")]

    @given(st.binary(max_size=300), st.lists(st.integers(0), max_size=5))
    def test_noise_is_frames_or_an_error_and_nothing_else(self, data: bytes, cuts: list[int]) -> None:
        parser = FrameParser(allow_text=False)
        try:
            found = pieces(parser, data, cuts)
        except FrameError:
            return
        assert sum(len(payload) for _, payload in found) <= len(data)


class TestEnvelopes:
    @given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(0)))
    def test_messages_survive_any_cutting(self, messages: list[Message], cuts: list[int]) -> None:
        data = b"".join(map(encode_envelope, messages))
        parser = EnvelopeParser(1 << 20)
        borders = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        texts: list[bytes] = []
        for start, end in itertools.pairwise(borders):
            texts += parser.feed(data[start:end])
        assert [decode_envelope(text) for text in texts] == messages

    def test_a_message_over_the_limit_is_refused_by_its_announcement(self) -> None:
        with pytest.raises(MessageTooBig):
            EnvelopeParser(10).feed(b"\x00\x00\x00\x0b")

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ({"type": "novelty", "data": "x"}, None),
            ({"type": "binary", "data": "not base64!"}, None),
            ({"type": "text", "data": 7}, None),
            ({"type": "close"}, Close(1000, "")),
            ({"type": "close", "code": "x", "reason": 7}, Close(1000, "")),
            ({"type": "close", "code": 70000}, Close(1000, "")),
            ({"data": " x ", "type": "text"}, " x "),
            ({"type": "binary", "data": base64.b64encode(b"\x00").decode()}, b"\x00"),
        ],
    )
    def test_what_documents_mean(self, document: dict[str, object], message: Message | None) -> None:
        assert decode_envelope(json.dumps(document, indent=1).encode()) == message

    @given(st.binary(max_size=200))
    def test_noise_is_a_message_or_an_error(self, data: bytes) -> None:
        try:
            decode_envelope(data)
        except FrameError:
            return

    @pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b"7"])
    def test_what_is_no_object_is_refused(self, text: bytes) -> None:
        with pytest.raises(FrameError):
            decode_envelope(text)

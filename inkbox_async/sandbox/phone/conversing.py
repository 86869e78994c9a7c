"""What goes over the line of one call: an agent at its WebSocket, and a person or another agent."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp

from inkbox_async.sandbox.clock import Clock
from inkbox_async.sandbox.phone import audio
from inkbox_async.sandbox.phone.handshake import Line
from inkbox_async.sandbox.phone.wire import Utterance, Wire

PATIENCE = 5.0
"""Seconds (real ones, for agents work in real time) a person waits for an agent to begin to speak."""
LONGEST_TURN = 60.0
"""Seconds after which a person takes an agent's turn for over."""
PAUSE = 0.3
"""Seconds of silence after which an agent's turn is over."""

MAX_KEPT = 64 * 1024 * 1024
"""Characters of an agent's frames that are kept, those of a whole hour of sound. Later ones are forgotten."""

LOCAL, REMOTE = "local", "remote"

Frame = dict[str, Any]  # JSON values of every type
Said = Callable[[str, str], Awaitable[None]]
"""`(party, text)`: stores what was said."""


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody outside does in a call.

    Attributes:
        script: Lines with `party` and `text`: what the person says (`remote`), and where they wait for the
            agent (`local`).
        sound: What they sound like, as mu-law samples; without it, a hum takes the place of each line.
        leaves: Whether they hang up when everything is said.
    """

    script: Sequence[Mapping[str, str]] = ()
    sound: bytes = b""
    leaves: bool = False


class Conversation:
    """Both ends of one call, from the first frame on: `listen` to the agent, and `speak` or `relay` to it."""

    def __init__(
        self, line: Line, said: Said, clock: Clock, person: Person | None = None, wire: Wire | None = None
    ) -> None:
        """Prepare it.

        Args:
            line: The WebSocket to the agent.
            said: Stores what was said.
            clock: Sound goes over the line at the pace at which it shows the time.
            person: The other end, where it is a person, who hears nothing.
            wire: Takes what the agent says to the other end, where that is an agent.
        """
        self.frames: list[str] = []
        self._kept = 0
        self._line = line
        self._said = said
        self._clock = clock
        self._person = person or Person()
        self._wire = wire
        self._stream_id = f"st-{uuid.uuid4()}"
        self._speech: list[str] = []  # what the agent has begun to say
        self._is_sounding = False
        self._turns = 0
        self._last_heard = 0.0
        self._changed = asyncio.Event()
        self._samples = 0  # of the sound that was sent
        self._sound_due = clock.now()

    async def start(self, call_id: str) -> None:
        """Tell the agent that the line is open."""
        form = {"encoding": "PCMU", "sample_rate": audio.SAMPLE_RATE, "channels": 1}
        start = {"call_control_id": call_id, "media_format": form}
        await self._send({"event": "start", "stream_id": self._stream_id, "start": start})

    async def stop(self, reason: str) -> None:
        """Tell the agent that the call is over, and close the WebSocket."""
        await self._send({"event": "stop", "stream_id": self._stream_id, "reason": reason})
        await self._line.socket.close()

    async def listen(self) -> bool:
        """Take in what the agent sends. True when it hangs up, False when its WebSocket just ends."""
        async for message in self._line.socket:
            await asyncio.sleep(0)  # an agent that never pauses holds up nobody, and can be hung up on
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            try:
                frame = json.loads(message.data)
            except (ValueError, RecursionError):
                continue
            if isinstance(frame, dict):
                self._remember(message.data)
                if frame.get("event") == "stop":
                    return True
                await self._take(frame)
        return False

    async def speak(self) -> bool:
        """Act as the person. True when they hang up, False when they stay and say nothing more."""
        person = self._person
        turns, waits = self._turns, False
        if person.sound and not self._line.stt:
            await self._sound(person.sound)
        for line in person.script:
            if line["party"] != REMOTE:
                await self._wait_for_turn(turns)
                turns, waits = self._turns, False
                continue
            if waits:
                await self._wait_for_turn(turns)
            turns, waits = self._turns, True
            text = line["text"]
            await self._say(Utterance(text, b"" if person.sound else audio.hum(text)))
        if not person.leaves:
            return False
        if waits or not person.script:
            await self._wait_for_turn(turns)
        return True

    async def relay(self, wire: Wire) -> None:
        """Tell the agent what the agent at the other end says, for as long as it is not cancelled.

        Words take as long as it takes to say them: programs that answer at once would never come to an end.
        """
        while True:
            utterance = await wire.get()
            if utterance.text:
                await self._say(utterance, len(utterance.sound) / audio.SAMPLE_RATE)
            elif not self._line.stt:
                await self._sound(utterance.sound)

    async def _take(self, frame: Frame) -> None:
        self._last_heard = asyncio.get_running_loop().time()
        match frame.get("event"):
            case "text" if self._line.tts:
                if isinstance(delta := frame.get("delta"), str):
                    self._speech.append(delta)
                if frame.get("done") is True:
                    spoken, self._speech = whole("".join(self._speech)).strip(), []
                    if spoken:
                        await self._said(LOCAL, spoken)
                        self._pass_on(spoken, audio.hum(spoken))
                    self._turn_is_over()
            case "media" if not self._line.tts:
                self._is_sounding = True
                self._pass_on("", _sound_in(frame))
            case "audio_done" if not self._line.tts:
                self._turn_is_over()
            case "clear":
                self._speech, self._is_sounding = [], False
                if self._wire is not None:
                    self._wire.clear()
            case "transcript":
                await self._take_transcript(frame)
        self._notice()

    async def _take_transcript(self, frame: Frame) -> None:
        """Words that the agent has written down itself: those of whom Inkbox did not listen to."""
        party, text = frame.get("party"), frame.get("text")
        is_theirs = (party == REMOTE and not self._line.stt) or (party == LOCAL and not self._line.tts)
        if is_theirs and frame.get("is_final") is not False and isinstance(text, str) and text.strip():
            await self._said(str(party), whole(text).strip())
            if party == LOCAL:
                self._pass_on(whole(text).strip(), b"")

    def _pass_on(self, text: str, sound: bytes) -> None:
        """Let the other end hear what the agent says."""
        if self._wire is not None and (text or sound):
            self._wire.put(Utterance(text, sound))

    async def _say(self, utterance: Utterance, seconds: float = 0.0) -> None:
        """Let the agent hear words, as text after `seconds`, or as sound."""
        text, turn_id = utterance.text, f"turn-{uuid.uuid4()}"
        await self._barge_in(text, turn_id)
        if not self._line.stt:
            await self._sound(utterance.sound)
            return
        words = text.split()
        if len(words) > 1:
            begun = " ".join(words[: len(words) // 2])
            await self._send({"event": "transcript", "text": begun, "is_final": False, "turn_id": turn_id})
        await self._clock.sleep(seconds)
        await self._said(REMOTE, text)
        await self._send({"event": "transcript", "text": text, "is_final": True, "turn_id": turn_id})

    async def _barge_in(self, text: str, turn_id: str) -> None:
        """Whoever speaks while the agent does interrupts it; sound alone tells of no interruption."""
        is_speaking = bool(self._speech) or self._is_sounding
        if is_speaking and (self._line.stt or self._line.tts):
            frame = {"event": "barge_in", "trigger": "caller_speech", "turn_id": turn_id}
            await self._send({**frame, "tts_interrupted": bool(self._speech), "text": text})
        self._speech, self._is_sounding = [], False

    async def _sound(self, sound: bytes) -> None:
        """Send sound, each piece when the clock shows that it has been made: a line knows no hurry."""
        for piece in audio.frames(sound):
            length = timedelta(seconds=len(piece) / audio.SAMPLE_RATE)
            self._sound_due = max(self._sound_due, self._clock.now()) + length
            await self._clock.sleep_until(self._sound_due)
            payload = base64.b64encode(piece).decode()
            media = {
                "payload": payload,
                "track": "inbound",
                "timestamp": str(self._samples * 1000 // audio.SAMPLE_RATE),
            }
            await self._send({"event": "media", "stream_id": self._stream_id, "media": media})
            self._samples += len(piece)

    async def _wait_for_turn(self, turns: int) -> None:
        """Wait until the agent has said something after `turns` turns and pauses, or says nothing at all."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            now = loop.time()
            is_speaking = bool(self._speech) or self._is_sounding
            if self._turns > turns and not is_speaking:
                until = self._last_heard + PAUSE
            else:
                until = begun + (LONGEST_TURN if is_speaking else PATIENCE)
            if until <= now or self._line.socket.closed:
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(until - now):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _remember(self, frame: str) -> None:
        """Keep a frame as it was, unless the agent has sent more than anybody will look at."""
        self._kept += len(frame)
        if self._kept <= MAX_KEPT:
            self.frames.append(frame)

    def _turn_is_over(self) -> None:
        self._turns += 1
        self._is_sounding = False

    def _notice(self) -> None:
        self._changed.set()

    async def _send(self, frame: Frame) -> None:
        """Send a frame; one to a dead WebSocket is lost, as on a dead line."""
        try:
            await self._line.socket.send_str(json.dumps(frame, ensure_ascii=False))
        except (aiohttp.ClientError, ConnectionError, RuntimeError):
            return


def _sound_in(frame: Frame) -> bytes:
    """The samples of a media frame; none where it holds none."""
    media = frame.get("media")
    payload = media.get("payload") if isinstance(media, dict) else None
    try:
        return base64.b64decode(payload, validate=True) if isinstance(payload, str) else b""
    except (binascii.Error, ValueError):
        return b""


def whole(text: str) -> str:
    """The text without halves of characters (lone surrogates), which JSON lets through and UTF-8 does not."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

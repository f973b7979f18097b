"""One Socket Mode connection: reads frames, answers pings, hands envelopes over, acknowledges them where they came from.

Made and replaced by ``bot.slack.socket_mode``, which decides what an envelope means and when a connection has had its day.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import structlog
from aiohttp import WSMessage, WSMsgType

MOST_IN_HAND = 64
"""Envelopes worked on at once; beyond that the connection is not read, and TCP holds Slack back. No queue grows."""
SEND_TIMEOUT_S = 5.0

_CLOSED = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)

Departure = Literal["refresh_requested", "warning", "link_disabled", "too_many_websockets", "silence", "closed", "fault", "other"]
"""Why a connection needs a successor: four words of Slack's, then ours. "other": a word of Slack's that is new to us."""

_TOLD: dict[str, Departure] = {
    "refresh_requested": "refresh_requested",
    "warning": "warning",
    "link_disabled": "link_disabled",
    "too_many_websockets": "too_many_websockets",
}

log = structlog.get_logger("muster.socket_mode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What Slack sends in one frame (docs.slack.dev/apis/events-api/using-socket-mode). ``payload`` is not looked at yet."""

    id: str
    kind: str
    payload: Any
    accepts_response_payload: bool
    retry_attempt: int
    retry_reason: str


class Connection:
    """See the module. It begins to read when it is made.

    ``answer(envelope)`` gives the acknowledgement as JSON, or None when there must be none: then Slack sends it again.
    ``departing`` resolves once, when a successor is needed; until it is closed the connection goes on serving.
    ``on_change()`` is called when ``is_up`` may have changed.
    """

    def __init__(
        self,
        ws: aiohttp.ClientWebSocketResponse,
        *,
        name: str,
        answer: Callable[[Envelope], Awaitable[dict[str, Any] | None]],
        silence_s: float,
        on_change: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.departing: asyncio.Future[Departure] = loop.create_future()
        self._ws = ws
        self._answer = answer
        self._silence_s = silence_s
        self._on_change = on_change
        self._hello: asyncio.Future[None] = loop.create_future()
        self._is_lost = False
        self._in_hand: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(MOST_IN_HAND)
        self._reading = asyncio.create_task(self._read(), name=name)

    @property
    def is_up(self) -> bool:
        """Slack has greeted us here, and there are signs of life."""
        return self._hello.done() and not self._is_lost

    async def greeted(self, timeout_s: float) -> Departure | None:
        """None as soon as Slack said hello; else why it did not: "silence" after ``timeout_s`` seconds."""
        await asyncio.wait((self._hello, self.departing), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if self._hello.done():
            return None
        return self.departing.result() if self.departing.done() else "silence"

    async def retire(self, *, linger_s: float, grace_s: float) -> None:
        """Serve on until Slack closes it, ``linger_s`` at the most; one that is dead, not at all. Then ``close``."""
        if self.is_up:
            await asyncio.wait((self._reading,), timeout=linger_s)
        await self.close(grace_s=grace_s)

    async def close(self, *, grace_s: float) -> None:
        """Take nothing more, finish what is in hand within ``grace_s`` seconds, close."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        in_hand = list(self._in_hand)
        if in_hand:
            await asyncio.wait(in_hand, timeout=grace_s)
        for task in in_hand:
            task.cancel()
        await asyncio.gather(*in_hand, return_exceptions=True)
        await self._ws.close()

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        reason: Departure = "fault"  # whatever ends this task other than the peer
        try:
            while True:
                message = await self._next()
                if message is None:
                    self._lose("silence")
                elif message.type in _CLOSED:
                    break
                elif message.type is WSMsgType.PING:
                    await self._send(self._ws.pong(message.data))
                elif message.type is WSMsgType.TEXT:
                    await self._hear(message.data)
            reason = "closed"
        except (aiohttp.ClientError, OSError):  # a pong that could not be sent
            reason = "closed"
        except Exception:  # a fault of ours must not leave a place empty: it is logged, and the place is filled again
            log.exception("socket_reader_failed", connection=self.name)
        finally:
            self._lose(reason)

    async def _next(self) -> WSMessage | None:
        """The next frame of any kind; None when there was none for too long."""
        try:
            return await self._ws.receive(timeout=self._silence_s)
        except TimeoutError:
            return None

    async def _hear(self, text: str) -> None:
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            log.warning("socket_frame_unreadable", characters=len(text))
        elif said.get("type") == "hello":
            self._greet()
        elif said.get("type") == "disconnect":
            self._depart(_TOLD.get(str(said.get("reason")), "other"))
        elif isinstance(said.get("envelope_id"), str):
            await self._places.acquire()
            task = asyncio.create_task(self._take(_read_envelope(said)), name=f"{self.name} envelope")
            self._in_hand.add(task)
            task.add_done_callback(self._in_hand.discard)

    def _greet(self) -> None:
        if not self._hello.done():
            self._hello.set_result(None)
            self._on_change()

    def _lose(self, reason: Departure) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._on_change()
        self._depart(reason)

    def _depart(self, reason: Departure) -> None:
        if not self.departing.done():
            self.departing.set_result(reason)

    # -- answering -------------------------------------------------------------------------------------------------

    async def _take(self, envelope: Envelope) -> None:
        try:
            answer = await self._answer(envelope)
            if answer is not None:
                await self._send(self._ws.send_str(json.dumps(answer)))
        except (aiohttp.ClientError, OSError) as error:  # it was done, and Slack will send it again: then it is a duplicate
            log.warning("envelope_not_acknowledged", type=envelope.kind, reason=type(error).__name__)
        finally:
            self._places.release()

    async def _send(self, sending: Awaitable[None]) -> None:
        """Raises: ConnectionError, TimeoutError."""
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await sending


def _read_envelope(said: dict[str, Any]) -> Envelope:
    attempt = said.get("retry_attempt")
    return Envelope(
        id=str(said["envelope_id"]),
        kind=str(said.get("type")),
        payload=said.get("payload"),
        accepts_response_payload=said.get("accepts_response_payload") is True,
        retry_attempt=attempt if isinstance(attempt, int) else 0,
        retry_reason=str(said.get("retry_reason") or ""),
    )

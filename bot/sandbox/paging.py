"""Phones, text messages, mail and PagerDuty as the page shows them, and what a person does with them there.

Between `control` (its routes) and the stand-ins of `world`. Without a world that has them there is nothing to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bot.domain.errors import UserError
from bot.sandbox.clock import SandboxClock
from bot.sandbox.feed import Feed
from bot.sandbox.models import Json
from bot.sandbox.world import World
from bot.sandbox.world.phone_calls import Call

SHOWN: Final = 30
"""So many of each are shown, the newest."""


class PagingDesk:
    """``names`` is the phone book: whose number or address it is, where that is known."""

    def __init__(self, world: object, clock: SandboxClock, feed: Feed, names: Mapping[str, str]) -> None:
        self._world = world if isinstance(world, World) else None
        self._clock = clock
        self._feed = feed
        self._names = names

    async def start(self) -> None:
        """The world lives by the sandbox's clock from now on, and tells the page what changes."""
        if self._world is not None:
            self._world.on_paging = self._changed
            await self._world.start(self._clock)

    async def stop(self) -> None:
        """Undo `start`. Safe to repeat."""
        if self._world is not None:
            await self._world.stop()

    def calls(self) -> list[str]:
        """The sids of all calls so far."""
        return [] if self._world is None else list(self._world.twilio.calls)

    def snapshot(self) -> Json | None:
        """Everything as it is now, the newest last; None when there is nothing to show it of."""
        world = self._world
        if world is None:
            return None
        world.twilio.settle()
        now = self._clock.now()
        bounced = {(bounce.address, bounce.message_id) for bounce in world.smtp.bounces}
        return {
            "calls": [self._call(call) for call in list(world.twilio.calls.values())[-SHOWN:]],
            "texts": [
                {"sid": one.sid, "to": one.to, "who": self._name(one.to), "body": one.body, "at": one.created_at}
                | {"status": one.status(now)}
                for one in list(world.twilio.messages.values())[-SHOWN:]
            ],
            "mails": [
                {"n": number, "at": one.at, "to": list(one.recipients), "who": [self._name(to) for to in one.recipients]}
                | {"subject": one.subject, "text": one.text}
                | {"bounced": any((to, one.message_id) in bounced for to in one.recipients)}
                for number, one in list(enumerate(world.smtp.mails))[-SHOWN:]
            ],
            "pagerduty": [
                {"id": one.id, "key": one.key, "summary": one.summary, "status": one.status, "at": one.created_at}
                | {"triggers": one.triggers, "by": one.acknowledged_by}
                for one in world.pagerduty.incidents[-SHOWN:]
            ],
        }

    async def phone(self, body: Json) -> Json:
        """A person takes a call, turns it away, lets the mailbox take it, or presses a key. Raises: UserError."""
        sid, act = str(body.get("sid") or ""), body.get("act")
        exchange = self._real().twilio
        heard = True
        match act:
            case "answer":
                exchange.answer(sid)
            case "decline":
                exchange.decline(sid)
            case "voicemail":
                exchange.voicemail(sid)
            case "press":
                heard = await exchange.press(sid, str(body.get("key") or ""))
            case _:
                raise UserError("act must be answer, decline, voicemail or press.")
        return {"ok": True, "heard": heard, "paging": self.snapshot()}

    async def pagerduty(self, body: Json) -> Json:
        """A person acknowledges or resolves in PagerDuty. Raises: UserError."""
        key, act = str(body.get("key") or ""), body.get("act")
        match act:
            case "acknowledge":
                self._real().pagerduty.acknowledge(key)
            case "resolve":
                self._real().pagerduty.resolve(key)
            case _:
                raise UserError("act must be acknowledge or resolve.")
        return {"ok": True, "paging": self.snapshot()}

    def _real(self) -> World:
        if self._world is None:
            raise UserError("This sandbox is Slack alone: it has no telephone and no PagerDuty.")
        return self._world

    def _call(self, call: Call) -> dict[str, Any]:
        return {
            "sid": call.sid,
            "to": call.to,
            "who": self._name(call.to),
            "at": call.created_at,
            "status": call.status,
            "text": call.text,
            "transcript": [{"at": line.at, "who": line.who, "text": line.text} for line in call.transcript],
        }

    def _name(self, address: str) -> str:
        return self._names.get(address, "")

    def _changed(self) -> None:
        """Tell the page; it gets what is true when the event is sent, not what was when it was written down."""
        self._feed.publish("paging", lambda _viewer: {"paging": self.snapshot()})

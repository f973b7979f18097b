"""What the incidents channel is told beside the incidents: hand-overs of the duty, and that Muster itself is not well.

Built by ``bot.app`` for the performers of ``bot.services.handover`` and ``bot.services.audit``. Refused reloads are told by
``bot.reload``. When something is said is not decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain.incident import Incident
from bot.services.audit import Trouble
from bot.services.handover import HandoverNews, Somebody
from bot.slack.blocks.messages import room_link
from bot.slack.blocks.parts import context, escape, named, person, section, when
from bot.slack.client import SlackApi
from bot.slack.drawing import Block, Drawn
from bot.slack.posting import opaque_key, post_once

SHOWN_MOST = 10


class IncidentsChannel:
    """The channel, as the performers see it."""

    def __init__(self, slack: SlackApi, channel_id: str) -> None:
        self._slack = slack
        self._channel_id = channel_id

    async def announce(self, news: HandoverNews, *, key: str, look_first: bool, since: datetime) -> None:
        """See ``bot.services.handover.Announce``."""
        await self._post(draw_handover(news), key, look_first=look_first, since=since)

    async def tell(self, troubles: Sequence[Trouble], *, key: str, since: datetime) -> None:
        """See ``bot.services.audit.Tell``. Trouble is rare, so the look before is always worth its call."""
        await self._post(draw_troubles(troubles), f"audit:{key}", look_first=True, since=since)

    async def _post(self, drawn: Drawn, key: str, *, look_first: bool, since: datetime) -> None:
        await post_once(
            self._slack,
            channel_id=self._channel_id,
            drawn=drawn,
            key=opaque_key("notice", key),
            look_first=look_first,
            since=since,
        )


def draw_handover(news: HandoverNews) -> Drawn:
    """Who had it, who has it, and what is open at this moment."""
    outgoing, incoming = _shown(news.outgoing, news), _shown(news.incoming, news)
    lines = [f"🔁 *{escape(news.rotation)}:* {outgoing} → {incoming}"]
    if news.cover:
        lines.append(f"{person(news.cover.user_id)} covers until {when(news.cover.until_at)}.")
    lines.append(_open_line(news))
    blocks: list[Block] = [section("\n".join(lines))]
    if news.incidents:
        blocks.append(section("\n".join(_incident_line(incident) for incident in news.incidents[:SHOWN_MOST])))
    more = len(news.incidents) - SHOWN_MOST
    if more > 0:
        blocks.append(context(f"… and {more} more."))
    text = f"{news.rotation}: {_said(news.outgoing, news)} → {_said(news.incoming, news)}"
    return Drawn(text=escape(text), blocks=tuple(blocks))


def draw_troubles(troubles: Sequence[Trouble]) -> Drawn:
    """What is not well, and what to do; without troubles, that it is well again."""
    if not troubles:
        text = "Muster is well again: everything that must happen is booked, and nothing is overdue."
        return Drawn(text=text, blocks=(section(f"🟢 {text}"),))
    text = "Muster is not well: pages may come late or not at all."
    lines = [f"⚠️ *{text}*", *(escape(trouble.text) for trouble in troubles)]
    return Drawn(text=text, blocks=(section("\n".join(lines)), context("Whoever runs Muster has to look: `muster doctor`.")))


def _open_line(news: HandoverNews) -> str:
    private = news.private_incidents
    hidden = f"{private} private incident{'s' * (private != 1)}" if private else ""
    if news.incidents:
        return f"Open incidents{f' (and {hidden})' if hidden else ''}:"
    return f"Open incidents: {hidden}." if hidden else "Open incidents: none."


def _incident_line(incident: Incident) -> str:
    holder = f"{named(incident, incident.acknowledged.by)} has it" if incident.acknowledged else "nobody has it"
    return f"• *{incident.severity.value}* {escape(incident.title)} · {room_link(incident)} · {holder}"


def _shown(somebody: Somebody | None, news: HandoverNews) -> str:
    if somebody and somebody.user_id:
        return person(somebody.user_id)
    return escape(_said(somebody, news))


def _said(somebody: Somebody | None, news: HandoverNews) -> str:
    if somebody:
        return somebody.name
    return "whoever PagerDuty says" if news.by_pagerduty else "nobody"

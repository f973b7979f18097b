"""Which workspace this is and which channel gets the announcements: asked once, at start-up."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from bot.domain.errors import ConfigError, MusterError, PermanentError
from bot.domain.incident import Incident
from bot.slack.client import SlackApi


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Who Muster is here."""

    team_id: str
    team: str
    bot_user_id: str
    bot_id: str
    app_id: str
    """ "" when Slack does not tell."""
    url: str = ""
    """Its address, ending in a slash; "" when Slack does not tell."""


def room_address(workspace: Workspace, incident: Incident) -> str | None:
    """The address of an incident's room, for whoever reads it outside of Slack; None while it has no room."""
    if not (workspace.url and incident.channel_id):
        return None
    return f"{workspace.url}archives/{incident.channel_id}"


async def introduce(slack: SlackApi) -> Workspace:
    """Raises: PermanentError for a token that is missing, wrong or revoked; TemporaryError when Slack cannot be reached."""
    answer = await slack.call("auth.test")
    bot_id = str(answer.get("bot_id") or "")
    return Workspace(
        team_id=str(answer["team_id"]),
        team=str(answer.get("team") or ""),
        bot_user_id=str(answer["user_id"]),
        bot_id=bot_id,
        app_id=await _app_id(slack, bot_id),
        url=str(answer.get("url") or ""),
    )


async def _app_id(slack: SlackApi, bot_id: str) -> str:
    try:
        answer = await slack.call("bots.info", bot=bot_id)
    except MusterError as error:  # requests are then judged by their workspace alone
        structlog.get_logger("muster.workspace").warning("app_id_unknown", error=str(error))
        return ""
    return str((answer.get("bot") or {}).get("app_id") or "")


async def find_incidents_channel(slack: SlackApi, name_or_id: str) -> str:
    """The id of the channel. Raises: ConfigError when there is none, or Muster is not in it."""
    wanted = name_or_id.removeprefix("#")
    channels = slack.each(
        "conversations.list", "channels", types="public_channel,private_channel", exclude_archived=True, limit=1000
    )
    try:
        found = await anext((one async for one in channels if wanted in (one.get("id"), one.get("name"))), None)
    except PermanentError as error:
        raise ConfigError(f"MUSTER_INCIDENTS_CHANNEL cannot be looked up: {error}") from error
    if found is None:
        raise ConfigError(
            f"MUSTER_INCIDENTS_CHANNEL: there is no channel “{wanted}” that Muster can see; "
            "create it and invite Muster, or set another name or id"
        )
    if not found.get("is_member"):
        raise ConfigError(f"MUSTER_INCIDENTS_CHANNEL: Muster is not in #{found.get('name')}; write “/invite @muster” there")
    return str(found["id"])

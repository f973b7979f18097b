"""What the method files share: the context of a call, finding the channel and the scope for it, paging through lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.models import BOT_USER_ID, Channel, Json, User
from bot.sandbox.socket_mode import SocketHub
from bot.sandbox.state import State
from bot.sandbox.triggers import Triggers
from bot.sandbox.uploads import Uploads
from bot.sandbox.views import Views


@dataclass(frozen=True)
class MethodCall:
    """One call that has passed the token and the method's scopes."""

    arguments: Arguments
    state: State
    views: Views
    triggers: Triggers
    uploads: Uploads
    sockets: SocketHub
    base_url: str

    @property
    def scopes(self) -> frozenset[str]:
        """What the app was granted."""
        return self.state.app.scopes


@dataclass(frozen=True)
class Method:
    """A method and the scopes of which the app needs at least one (none needed: empty); ``app_level``: it takes that token."""

    handler: Callable[[MethodCall], Json]
    scopes: Sequence[str] = field(default=())
    app_level: bool = False


def _kinds(channel: str, group: str, im: str, mpim: str) -> Mapping[str, tuple[str, ...]]:
    return {
        "channel": tuple(channel.split()),
        "group": tuple(group.split()),
        "im": tuple(im.split()),
        "mpim": tuple(mpim.split()),
    }


# What one does with a channel → its kind → the scopes of which one is needed (the methods' pages on docs.slack.dev)
READ = _kinds("channels:read", "groups:read", "im:read", "mpim:read")
HISTORY = _kinds("channels:history", "groups:history", "im:history", "mpim:history")
MANAGE = _kinds("channels:manage", "groups:write", "im:write", "mpim:write")
INVITE = _kinds("channels:manage channels:write.invites", "groups:write groups:write.invites", "im:write", "mpim:write")
TOPIC = _kinds(
    "channels:manage channels:write.topic",
    "groups:write groups:write.topic",
    "im:write im:write.topic",
    "mpim:write mpim:write.topic",
)


def scopes_of(access: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """All scopes that allow this on some kind of channel."""
    return tuple(scope for scopes in access.values() for scope in scopes)


def need_scope(call_scopes: frozenset[str], wanted: Sequence[str]) -> None:
    """Raise SlackRefusal ``missing_scope`` unless one of ``wanted`` is granted."""
    if wanted and not call_scopes.intersection(wanted):
        raise SlackRefusal("missing_scope", needed=",".join(wanted), provided=",".join(sorted(call_scopes)))


def visible_channel(call: MethodCall, name: str = "channel") -> Channel:
    """The channel that an argument names by id. A private one that the bot is not in does not exist for it."""
    channel = call.state.channels.get(call.arguments.get_text(name, "channel_not_found"))
    if channel is None or (not channel.is_open and BOT_USER_ID not in channel.members):
        raise SlackRefusal("channel_not_found")
    return channel


def channel_for(call: MethodCall, access: Mapping[str, tuple[str, ...]], name: str = "channel") -> Channel:
    """``visible_channel``, with the scope that its kind needs."""
    channel = visible_channel(call, name)
    need_scope(call.scopes, access[channel.kind])
    return channel


def member_channel(
    call: MethodCall, access: Mapping[str, tuple[str, ...]], *, kinds: Iterable[str] = ("channel", "group")
) -> Channel:
    """A channel of one of these kinds, not archived, that the bot is in."""
    channel = channel_for(call, access)
    if channel.kind not in kinds:
        raise SlackRefusal("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackRefusal("is_archived")
    if BOT_USER_ID not in channel.members:
        raise SlackRefusal("not_in_channel")
    return channel


def known_user(call: MethodCall, user_id: str | None, error: str = "user_not_found") -> User:
    """A user by id. Raises ``error``."""
    user = call.state.users.get(user_id or "")
    if user is None:
        raise SlackRefusal(error)
    return user


def message_at(call: MethodCall, channel: Channel, name: str, missing: str = "message_not_found") -> Json:
    """The message that a ts argument names. Raises ``bad_timestamp`` via ``missing`` where the method says so."""
    message = channel.messages.get(call.arguments.get_text(name, missing))
    if message is None:
        raise SlackRefusal(missing)
    return message


def paged(call: MethodCall, items: Sequence[Json], *, default: int, maximum: int = 1000) -> tuple[list[Json], str]:
    """One page and the cursor of the next, "" after the last. Raises ``invalid_cursor`` and ``invalid_limit``."""
    limit = call.arguments.limit(default, maximum)
    start = _position(call.arguments.find_text("cursor"))
    end = start + limit
    return list(items[start:end]), _cursor(end) if end < len(items) else ""


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"position:{position}".encode()).decode()


def _position(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise SlackRefusal("invalid_cursor") from error
    if word != "position" or not number.isdecimal():
        raise SlackRefusal("invalid_cursor")
    return int(number)

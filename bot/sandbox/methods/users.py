"""users.*: the people of the workspace. Their channels are in ``conversations``.

Errors: docs.slack.dev/reference/methods/users.<name>
"""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall, known_user, paged
from bot.sandbox.models import Json, User


def _shown(call: MethodCall, user: User) -> Json:
    return user.as_slack(with_email="users:read.email" in call.scopes, at=call.state.clock.now())


def info(call: MethodCall) -> Json:
    """users.info."""
    user = known_user(call, call.arguments.find_text("user"))
    return {"user": _shown(call, user)}


def list_all(call: MethodCall) -> Json:
    """users.list."""
    rows = [_shown(call, user) for user in call.state.users.values()]
    page, cursor = paged(call, rows, default=1000)
    return {"members": page, "cache_ts": int(call.state.clock.now()), "response_metadata": {"next_cursor": cursor}}


def lookup_by_email(call: MethodCall) -> Json:
    """users.lookupByEmail."""
    email = call.arguments.get_text("email", "users_not_found").lower()
    for user in call.state.users.values():
        if user.email and user.email.lower() == email and not user.deleted:
            return {"user": _shown(call, user)}
    raise SlackRefusal("users_not_found")


METHODS = {
    "users.info": Method(info, ("users:read",)),
    "users.list": Method(list_all, ("users:read",)),
    "users.lookupByEmail": Method(lookup_by_email, ("users:read.email",)),
}

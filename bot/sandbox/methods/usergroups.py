"""usergroups.*: groups such as @incident-responders. Errors: docs.slack.dev/reference/methods/usergroups.list"""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall
from bot.sandbox.models import Json


def list_all(call: MethodCall) -> Json:
    """usergroups.list."""
    with_users = call.arguments.flag("include_users")
    return {"usergroups": [group.as_slack(with_users=with_users) for group in call.state.groups.values()]}


def users(call: MethodCall) -> Json:
    """usergroups.users.list."""
    group = call.state.groups.get(call.arguments.get_text("usergroup", "no_such_subteam"))
    if group is None:
        raise SlackRefusal("no_such_subteam")
    return {"users": list(group.users)}


METHODS = {
    "usergroups.list": Method(list_all, ("usergroups:read",)),
    "usergroups.users.list": Method(users, ("usergroups:read",)),
}

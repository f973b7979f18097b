"""views.*: forms and Home tabs. The rules of the stack are in ``bot.sandbox.views``; here are the triggers.

Errors and limits: docs.slack.dev/reference/methods/views.<name>
"""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall, known_user
from bot.sandbox.models import Json
from bot.sandbox.triggers import Trigger


def _trigger(call: MethodCall) -> Trigger:
    return call.triggers.check(call.arguments.get_text("trigger_id"))


def _definition(call: MethodCall) -> object:
    definition = call.arguments.find_json("view")
    if definition is None:
        raise SlackRefusal("invalid_arguments", "[ERROR] missing required field: view")
    return definition


def open_view(call: MethodCall) -> Json:
    """views.open: within three seconds of what the person did, once."""
    trigger = _trigger(call)
    view = call.views.open(trigger.user_id, _definition(call))
    trigger.exchanged = True
    return {"view": view}


def push(call: MethodCall) -> Json:
    """views.push: only in answer to something done in a modal."""
    trigger = _trigger(call)
    if trigger.view_id is None:
        raise SlackRefusal("invalid_trigger_id")
    view = call.views.push(trigger.user_id, _definition(call))
    trigger.exchanged = True
    return {"view": view}


def update(call: MethodCall) -> Json:
    """views.update: an open modal, by its id or external_id."""
    view_id, external_id = call.arguments.find_text("view_id"), call.arguments.find_text("external_id")
    if not view_id and not external_id:
        raise SlackRefusal("invalid_arguments", "[ERROR] one of view_id and external_id is required")
    view = call.views.find(view_id, external_id)
    return {"view": call.views.update(view, _definition(call), call.arguments.find_text("hash"))}


def publish(call: MethodCall) -> Json:
    """views.publish: one user's Home tab."""
    user = known_user(call, call.arguments.find_text("user_id"))
    if not call.state.app.home_tab:
        raise SlackRefusal("not_enabled")
    return {"view": call.views.publish(user.id, _definition(call), call.arguments.find_text("hash"))}


METHODS = {
    "views.open": Method(open_view),
    "views.push": Method(push),
    "views.update": Method(update),
    "views.publish": Method(publish),
}

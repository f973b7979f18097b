"""Who the app and the workspace are: auth.test, api.test, team.info, bots.info."""

from __future__ import annotations

from bot.sandbox.errors import SlackRefusal
from bot.sandbox.methods.base import Method, MethodCall
from bot.sandbox.models import APP_ID, BOT_ID, BOT_USER_ID, TEAM_DOMAIN, TEAM_ID, TEAM_NAME, Json


def auth_test(call: MethodCall) -> Json:
    """auth.test: whose token this is."""
    return {
        "url": f"{call.base_url}/",
        "team": TEAM_NAME,
        "user": call.state.users[BOT_USER_ID].name,
        "team_id": TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def api_test(call: MethodCall) -> Json:
    """api.test: says back what it was told."""
    if error := call.arguments.find_text("error"):
        raise SlackRefusal(error, args=call.arguments.values)
    return {"args": call.arguments.values}


def team_info(call: MethodCall) -> Json:
    """team.info."""
    if call.arguments.find_text("team") not in (None, "", TEAM_ID):
        raise SlackRefusal("team_not_found")
    return {
        "team": {
            "id": TEAM_ID,
            "name": TEAM_NAME,
            "url": f"{call.base_url}/",
            "domain": TEAM_DOMAIN,
            "email_domain": "example.com",
            "icon": {"image_default": True},
            "is_verified": False,
        }
    }


def bots_info(call: MethodCall) -> Json:
    """bots.info."""
    if call.arguments.find_text("bot") not in (None, "", BOT_ID):
        raise SlackRefusal("bot_not_found")
    return {
        "bot": {
            "id": BOT_ID,
            "deleted": False,
            "name": call.state.app.display_name,
            "updated": 1700000000,
            "app_id": APP_ID,
            "user_id": BOT_USER_ID,
            "icons": {},
        }
    }


METHODS = {
    "auth.test": Method(auth_test),
    "api.test": Method(api_test),
    "team.info": Method(team_info, ("team:read",)),
    "bots.info": Method(bots_info, ("users:read",)),
}

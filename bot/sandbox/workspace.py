"""What the people of the workspace see and do: look, write, command, click, fill in forms, join and leave.

The tests call it directly and the page through ``control``. Each act is checked as Slack's client would (a button that is
not there cannot be clicked: UserError), changes the state, is delivered to the bot, and comes back as a ``Result`` once the
bot has answered::

    result = await workspace.command("developer", "general", "/incident clerk down")
    said = await workspace.say("support-agent", "support", "auth not working")
    await workspace.click("oncall", room.name, card["ts"], "acknowledge")
    await workspace.submit_view("developer", view["id"], {"severity": {"severity": "SEV1"}})
    workspace.messages("support", user="developer")     # what is there, and what only this person sees

docs/sandbox.md has all acts and looks, and whole programs that use them; a test runs these.
"""

from __future__ import annotations

from bot.sandbox.commands import Commands
from bot.sandbox.forms import Forms
from bot.sandbox.membership import Membership
from bot.sandbox.results import Result
from bot.sandbox.writing import Writing

__all__ = ["Result", "Workspace"]


class Workspace(Writing, Membership, Commands, Forms):
    """The people's side, in one object.

    Users are given by id or handle, channels by id or name, messages by their ``ts``; "@muster" is the talk with the bot. An
    act of somebody who may not do it raises ForbiddenError, one that makes no sense UserError; what the bot did wrong is in
    the ``Result`` instead (``ok``, ``error``, ``errors``).
    """

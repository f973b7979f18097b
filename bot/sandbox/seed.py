"""Who and what is in a fresh workspace: people by their roles, three channels, one user group. Called once by ``server``."""

from __future__ import annotations

from bot.sandbox.models import BOT_USER_ID, User, UserGroup, Words
from bot.sandbox.state import State

DEVELOPER = "U0DEVELOPER"
SUPPORT = "U0SUPPORT"
ONCALL = "U0ONCALL"
LEAD = "U0LEAD"
CTO = "U0CTO"
GUEST = "U0GUEST"

_PEOPLE = (
    User(DEVELOPER, "developer", "Developer", "Software engineer", "developer@example.com", color="1264a3"),
    User(
        SUPPORT,
        "support-agent",
        "Support agent",
        "Customer support",
        "support@example.com",
        color="2bac76",
        tz="America/New_York",
    ),
    User(ONCALL, "oncall", "On-call engineer", "Primary on-call", "oncall@example.com", color="e01e5a"),
    User(LEAD, "engineering-lead", "Engineering lead", "Engineering lead", "lead@example.com", color="ecb22e"),
    User(CTO, "cto", "CTO", "Chief technology officer", "cto@example.com", color="611f69", is_owner=True),
    User(GUEST, "guest", "Guest", "Contractor", "guest@example.net", is_guest=True, color="868686"),
)
_MEMBERS = (BOT_USER_ID, DEVELOPER, SUPPORT, ONCALL, LEAD, CTO)


def populate(state: State) -> None:
    """Fill an empty workspace. Nothing of it is told to the bot, as nothing is that was there before the app came."""
    bot = User(BOT_USER_ID, "muster", state.app.display_name, is_bot=True)
    for user in (bot, *_PEOPLE):
        state.users[user.id] = User(**vars(user))
    group = UserGroup("S0RESPONDERS", "incident-responders", "Incident responders", [ONCALL, LEAD])
    state.groups[group.id] = group
    for name, purpose, members in (
        ("general", "Everything that concerns everybody", _MEMBERS),
        ("support", "What customers tell us", (*_MEMBERS, GUEST)),
        ("incidents", "Every incident is announced here", _MEMBERS),
    ):
        channel = state.create_channel(name, creator=CTO, channel_id=f"C0{name.upper()}", is_general=name == "general")
        for member in members:
            state.join(channel, member)
        channel.purpose = Words(value=purpose)
        channel.messages.clear()
    for person in _PEOPLE:
        state.open_direct(person.id, BOT_USER_ID)
    state.outbox.clear()

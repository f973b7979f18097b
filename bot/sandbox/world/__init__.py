"""The systems around the application, to try Muster with: Clerk, its status page, Vercel, the application itself, and
PagerDuty, a telephone exchange and a mail server to be woken by.

`bot.sandbox` mounts a `World` beside its Slack; tests mount one alone. The stand-ins know nothing of the bot's code:
they speak the vendors' shapes, as strictly as the vendors document them. Slack is not here.
"""

from bot.sandbox.world.world import World

__all__ = ["World"]

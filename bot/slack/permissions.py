"""Who may do what, by policy.yml, the room of the incident and Slack's user groups."""

from __future__ import annotations

from bot.domain.incident import Incident
from bot.domain.run import Run


class Permissions:
    """``bot.services.ports.Gate``, and what the listeners ask when a click arrives."""

    async def refusal(self, incident: Incident, run: Run) -> str:
        """See ``bot.services.ports.Gate``."""
        return ""

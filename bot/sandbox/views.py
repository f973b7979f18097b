"""Open forms and Home tabs: the stack of modals in front of each person, and what is typed into them.

Changed by ``methods.views`` (the bot) and ``workspace`` (people). Rules: docs.slack.dev/surfaces/modals
"""

from __future__ import annotations

import secrets

from bot.sandbox.blocks import check_view, elements_of
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.feed import Feed
from bot.sandbox.inputs import initial_value
from bot.sandbox.models import APP_ID, BOT_ID, TEAM_ID, Json
from bot.sandbox.state import State, with_ids

STACK_LIMIT = 3


class Views:
    """All views. A view is the JSON object that Slack makes of it; its ``state`` holds what the person last sent."""

    def __init__(self, state: State, feed: Feed) -> None:
        self._state = state
        self._feed = feed
        self._open: dict[str, Json] = {}
        self._stacks: dict[str, list[str]] = {}
        self._homes: dict[str, Json] = {}

    def stack(self, user_id: str) -> list[Json]:
        """The modals in front of this person, the one that is seen last."""
        return [self._open[view_id] for view_id in self._stacks.get(user_id, [])]

    def home(self, user_id: str) -> Json | None:
        """The Home tab that was published for this person."""
        return self._homes.get(user_id)

    def owner(self, view_id: str) -> str | None:
        """Whose screen the modal is on, or None when it is not open."""
        return next((user_id for user_id, stack in self._stacks.items() if view_id in stack), None)

    def find(self, view_id: str | None, external_id: str | None) -> Json:
        """An open modal. Raises SlackRefusal ``not_found``."""
        for view in self._open.values():
            if (view_id and view["id"] == view_id) or (external_id and view["external_id"] == external_id):
                return view
        raise SlackRefusal("not_found")

    def open(self, user_id: str, definition: object) -> Json:
        """Put a modal in front of the person in place of whatever of ours is there."""
        check_view(definition, kind="modal")
        view = self._made(definition)
        self.clear(user_id)
        self._show(user_id, view, previous=None)
        return view

    def push(self, user_id: str, definition: object) -> Json:
        """Lay another modal on top. Raises SlackRefusal ``push_limit_reached``, or ``not_found`` when nothing is open."""
        check_view(definition, kind="modal")
        stack = self._stacks.get(user_id) or []
        if not stack:
            raise SlackRefusal("not_found")
        if len(stack) >= STACK_LIMIT:
            raise SlackRefusal("push_limit_reached")
        view = self._made(definition)
        self._show(user_id, view, previous=self._open[stack[-1]])
        return view

    def update(self, view: Json, definition: object, expected_hash: str | None = None) -> Json:
        """Draw an open modal anew; what was typed in blocks that stay is kept. Raises ``hash_conflict``."""
        check_view(definition, kind="modal")
        if expected_hash and expected_hash != view["hash"]:
            raise SlackRefusal("hash_conflict")
        fresh = self._made(definition, replaces=view)
        kept = view["state"]["values"]
        view |= {name: fresh[name] for name in fresh if name not in ("id", "root_view_id", "previous_view_id")}
        values = view["state"]["values"]
        for block_id, actions in values.items():
            for action_id, value in actions.items():
                before = kept.get(block_id, {}).get(action_id)
                if before is not None and before["type"] == value["type"]:
                    actions[action_id] = before
        owner = self.owner(view["id"])
        if owner is not None:
            self._feed.publish("view", {"action": "updated", "view": view}, [owner])
        return view

    def publish(self, user_id: str, definition: object, expected_hash: str | None = None) -> Json:
        """Set somebody's Home tab. Raises ``hash_conflict``."""
        check_view(definition, kind="home")
        before = self._homes.get(user_id)
        if expected_hash and before is not None and expected_hash != before["hash"]:
            raise SlackRefusal("hash_conflict")
        view = self._made(definition, replaces=before)
        if before is not None:
            view["id"] = view["root_view_id"] = before["id"]
        self._homes[user_id] = view
        self._feed.publish("home", {"view": view}, [user_id])
        return view

    def remove(self, user_id: str, view_id: str) -> Json:
        """Take one modal away from the person's screen."""
        view = self._open.pop(view_id)
        self._stacks[user_id].remove(view_id)
        self._feed.publish("view", {"action": "closed", "view": view}, [user_id])
        return view

    def clear(self, user_id: str) -> list[Json]:
        """Take all modals away; the topmost first."""
        return [self.remove(user_id, view_id) for view_id in reversed(self._stacks.get(user_id, []).copy())]

    def _show(self, user_id: str, view: Json, previous: Json | None) -> None:
        if previous is not None:
            view |= {"previous_view_id": previous["id"], "root_view_id": previous["root_view_id"]}
        self._open[view["id"]] = view
        self._stacks.setdefault(user_id, []).append(view["id"])
        self._feed.publish("view", {"action": "opened", "view": view}, [user_id])

    def _made(self, definition: object, replaces: Json | None = None) -> Json:
        assert isinstance(definition, dict)  # noqa: S101 - check_view has seen it
        external_id = definition.get("external_id", "")
        held = [*self._open.values(), *self._homes.values()]
        if external_id and any(view["external_id"] == external_id and view is not replaces for view in held):
            raise SlackRefusal("duplicate_external_id")
        view_id = self._state.new_id("V")
        blocks = with_ids(definition["blocks"])
        return {
            "id": view_id,
            "team_id": TEAM_ID,
            "type": definition["type"],
            "blocks": blocks,
            "private_metadata": definition.get("private_metadata", ""),
            "callback_id": definition.get("callback_id", ""),
            "state": {"values": initial_values(blocks)},
            "hash": f"{int(self._state.clock.now())}.{secrets.token_urlsafe(6)}",
            "title": definition.get("title"),
            "clear_on_close": definition.get("clear_on_close", False),
            "notify_on_close": definition.get("notify_on_close", False),
            "close": definition.get("close"),
            "submit": definition.get("submit"),
            "previous_view_id": None,
            "root_view_id": view_id,
            "app_id": APP_ID,
            "external_id": external_id,
            "app_installed_team_id": TEAM_ID,
            "bot_id": BOT_ID,
        }


def initial_values(blocks: list[Json]) -> Json:
    """``state.values`` of a form that nobody has touched: ``{block_id: {action_id: value}}``."""
    values: Json = {}
    for block in blocks:
        for element in elements_of(block):
            if (value := initial_value(element)) is not None:
                values.setdefault(block["block_id"], {})[element["action_id"]] = value
    return values

"""Filling in, sending and closing forms, and the Home tab. A part of ``workspace``; the bot's side is ``methods.views``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.domain.errors import UserError
from bot.sandbox import payloads
from bot.sandbox.blocks import elements_of
from bot.sandbox.delivery import Delivery
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.inputs import REQUIRED, action_of, chosen, fault_of, find_element, initial_value, is_empty
from bot.sandbox.looking import Looking
from bot.sandbox.models import Json, User
from bot.sandbox.results import TROUBLE, Result, failed, interacted


class Forms(Looking):
    """What people do with modals and with the Home tab."""

    async def view_action(
        self,
        user: str,
        view_id: str,
        action_id: str,
        block_id: str | None = None,
        values: Mapping[str, Mapping[str, Any]] | None = None,
        **value: Any,
    ) -> Result:
        """Use an element of a form that acts at once; ``values`` is what else is filled in (as for submit_view)."""
        person, view = self._form(user, view_id)
        if values is not None:
            self._fill(view, values)
        block, element = find_element(view["blocks"], action_id, block_id)
        if block["type"] == "input" and not block.get("dispatch_action"):
            raise UserError(f"{action_id} is sent with the form, not by itself.")
        action = action_of(block, element, value, self._state.next_ts())
        if initial_value(element) is not None:
            view["state"]["values"].setdefault(block["block_id"], {})[element["action_id"]] = chosen(element, value)
        trigger_id = self._triggers.issue(person.id, view["id"])
        body = payloads.view_actions(person, view, action, trigger_id=trigger_id)
        return interacted(await self._courier.send_interaction(body))

    async def submit_view(self, user: str, view_id: str, values: Mapping[str, Mapping[str, Any]] | None = None) -> Result:
        """Send a form. ``values`` is ``{block_id: {action_id: value}}``; a value is Slack's state object or just what is
        chosen ("SEV2", "text", ["a", "b"]). What is required and missing never leaves the client, as in Slack.
        """
        person, view = self._form(user, view_id)
        if view["submit"] is None:
            raise UserError("This form has no button to send it with.")
        self._fill(view, values or {})
        if errors := _incomplete(view):
            return Result(ok=False, errors=errors)
        urls = self._response_urls_of(person, view)
        trigger_id = self._triggers.issue(person.id, view["id"])
        body = payloads.view_submission(person, view, trigger_id=trigger_id, response_urls=urls)
        delivery = await self._courier.send_interaction(body)
        return await self._submitted(person, view, delivery)

    def _form(self, user: str, view_id: str) -> tuple[User, Json]:
        person = self.user(user)
        home = self._views.home(person.id)
        for view in [*self._views.stack(person.id), *([home] if home else [])]:
            if view["id"] == view_id:
                return person, view
        raise UserError(f"{person.real_name} has no form {view_id} open.")

    def _fill(self, view: Json, values: Mapping[str, Mapping[str, Any]]) -> None:
        for block_id, actions in values.items():
            for action_id, value in actions.items():
                block, element = find_element(view["blocks"], action_id, block_id)
                given = value if isinstance(value, Mapping) and "type" in value else {"value": value}
                view["state"]["values"].setdefault(block["block_id"], {})[action_id] = chosen(element, given)

    def _response_urls_of(self, person: User, view: Json) -> list[Json]:
        urls = []
        for block in view["blocks"]:
            for element in elements_of(block):
                if not element.get("response_url_enabled"):
                    continue
                value = view["state"]["values"][block["block_id"]][element["action_id"]]
                channel_id = value.get("selected_conversation") or value.get("selected_channel")
                if channel_id:
                    url = self._response_urls.issue(person.id, channel_id)
                    where = {"block_id": block["block_id"], "action_id": element["action_id"]}
                    urls.append({**where, "channel_id": channel_id, "response_url": url})
        return urls

    async def _submitted(self, person: User, view: Json, delivery: Delivery) -> Result:
        result = Result(deliveries=[delivery])
        attempt = delivery.attempts[0]
        if not attempt.ok or attempt.status != 200:
            return failed(result, TROUBLE)
        answer = attempt.json() or {}
        if attempt.body.strip() and not isinstance(attempt.json(), dict):
            return failed(result, TROUBLE)
        action = answer.get("response_action")
        try:
            if action == "errors":
                result.errors = _named_errors(view, answer.get("errors"))
                result.ok = False
            elif action == "update":
                self._views.update(view, answer.get("view"))
            elif action == "push":
                self._views.push(person.id, answer.get("view"))
            elif action == "clear":
                await self._cleared(person, self._views.clear(person.id), but=view["id"])
            elif action is None:
                self._closed_by_answer(person, view)
            else:
                return failed(result, TROUBLE)
        except SlackRefusal as refusal:
            return failed(result, f"{TROUBLE} ({refusal.code}{''.join(f' {one}' for one in refusal.reasons)})")
        return result

    def _closed_by_answer(self, person: User, view: Json) -> None:
        """The bot may have replaced or closed it meanwhile."""
        if self._views.owner(view["id"]) == person.id:
            self._views.remove(person.id, view["id"])

    async def close_view(self, user: str, view_id: str, *, clear: bool = False) -> Result:
        """Close a form with Cancel, or with ``clear`` all of them with the X. The bot hears of it if it asked to."""
        person, view = self._form(user, view_id)
        everything = clear or view["clear_on_close"]
        removed = self._views.clear(person.id) if everything else [self._views.remove(person.id, view["id"])]
        return await self._cleared(person, removed, but=None, is_cleared=clear)

    async def _cleared(self, person: User, removed: list[Json], *, but: str | None, is_cleared: bool = True) -> Result:
        result = Result()
        for view in removed:
            if view["notify_on_close"] and view["id"] != but:
                body = payloads.view_closed(person, view, is_cleared=is_cleared)
                result.deliveries.append(await self._courier.send_interaction(body))
        return result

    async def open_home(self, user: str) -> Result:
        """Open the app's Home tab."""
        person = self.user(user)
        home = self._views.home(person.id)
        event: Json = {"type": "app_home_opened", "user": person.id, "channel": self.im(user).id, "tab": "home"}
        self._state.emit(event | ({"view": home} if home else {}))
        return await self._told(Result())


def _incomplete(view: Json) -> dict[str, str]:
    errors: dict[str, str] = {}
    for block in view["blocks"]:
        if block["type"] != "input":
            continue
        element = block["element"]
        value = view["state"]["values"].get(block["block_id"], {}).get(element["action_id"])
        if value is None:
            continue
        if is_empty(value) and not block.get("optional"):
            errors[block["block_id"]] = REQUIRED
        elif fault := fault_of(element, value):
            errors[block["block_id"]] = fault
    return errors


def _named_errors(view: Json, errors: Any) -> dict[str, str]:
    """The errors of a ``response_action``. Raises SlackRefusal unless each names an input block of the form."""
    inputs = {block["block_id"] for block in view["blocks"] if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        raise SlackRefusal("invalid_errors", f"errors must name input blocks: {', '.join(sorted(inputs))}")
    return {str(block_id): str(text) for block_id, text in errors.items()}

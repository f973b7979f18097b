"""Commands, shortcuts and clicks on messages. A part of ``workspace``."""

from __future__ import annotations

from typing import Any

from bot.domain.errors import UserError
from bot.sandbox import payloads
from bot.sandbox.composer import as_command
from bot.sandbox.delivery import Courier, Delivery
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.inputs import action_of, chosen, find_element, initial_value
from bot.sandbox.looking import Looking
from bot.sandbox.models import Channel, Json, User
from bot.sandbox.response_urls import ResponseUrl, ResponseUrls
from bot.sandbox.results import Result, failed, interacted
from bot.sandbox.state import State
from bot.sandbox.triggers import Triggers
from bot.sandbox.views import Views, initial_values


class Commands(Looking):
    """What people ask the app to do, and what its immediate answers become."""

    def __init__(self, state: State, views: Views, triggers: Triggers, response_urls: ResponseUrls, courier: Courier) -> None:
        super().__init__(state, views, triggers, response_urls, courier)
        self._typed: dict[tuple[str, str], Json] = {}  # (user, message ts) → state.values of that message

    async def command(self, user: str, channel: str, text: str) -> Result:
        """Type a slash command ("/incident clerk down"). The person need not be a member, nor need the bot.

        An error is worded as Slack shows it after the command: ``failed with the error "operation_timeout"``.
        """
        person = self.user(user)
        place = self._visible(person, channel)
        name, _, rest = text.strip().partition(" ")
        command = next((one for one in self._state.app.commands if one.command == name), None)
        if command is None:
            return Result(ok=False, error="is not a valid command. In Slack, you can send messages that start with a slash")
        rest = as_command(rest.strip(), self._command_names() if command.should_escape else {})
        url = self._response_urls.issue(person.id, place.id)
        fields = payloads.command_form(person, place, name, rest, response_url=url, trigger_id=self._triggers.issue(person.id))
        delivery = await self._courier.send_form(f"command {name}", fields)
        return self._answered_at_once(delivery, ResponseUrl(person.id, place.id, None, 0.0))

    def _command_names(self) -> dict[str, str]:
        """With ``should_escape`` a command's mentions carry the name too."""
        names = self._names()
        return names | {f"@{one.name}": f"<@{one.id}|{one.name}>" for one in self._state.users.values()}

    def _answered_at_once(self, delivery: Delivery, target: ResponseUrl) -> Result:
        """A command's HTTP answer may itself be a message, as text or as JSON."""
        result = Result(deliveries=[delivery])
        attempt = delivery.attempts[0]
        if not attempt.ok or attempt.status != 200:
            word = "operation_timeout" if attempt.reason == "http_timeout" else "dispatch_failed"
            return failed(result, f'failed with the error "{word}"')
        if not attempt.body.strip():
            return result
        body = attempt.json() if attempt.content_type == "application/json" else None
        if not isinstance(body, dict):
            body = {"text": attempt.body.decode(errors="replace")}
        if not body:
            return result
        try:
            result.response = self._response_urls.apply(target, body)
        except SlackRefusal as refusal:
            return failed(result, f'failed with the error "{refusal.code}"' + "".join(f" {one}" for one in refusal.reasons))
        self._courier.flush()
        return result

    async def shortcut(self, user: str, callback_id: str, channel: str | None = None, ts: str | None = None) -> Result:
        """Use a shortcut; one on a message needs its channel and ts."""
        person = self.user(user)
        shortcut = next((one for one in self._state.app.shortcuts if one.callback_id == callback_id), None)
        if shortcut is None:
            raise UserError(f"The app has no shortcut {callback_id}.")
        trigger_id, action_ts = self._triggers.issue(person.id), self._state.next_ts()
        if shortcut.type == "global":
            body = payloads.global_shortcut(person, callback_id, trigger_id=trigger_id, action_ts=action_ts)
            return interacted(await self._courier.send_interaction(body))
        if channel is None or ts is None:
            raise UserError(f"The shortcut {callback_id} is for messages: say which one.")
        place = self._visible(person, channel)
        message = place.messages.get(ts)
        if message is None:
            raise UserError(f"There is no message {ts} in this channel.")
        url = self._response_urls.issue(person.id, place.id, None)
        body = payloads.message_shortcut(
            person, place, message, callback_id, trigger_id=trigger_id, response_url=url, action_ts=action_ts
        )
        return interacted(await self._courier.send_interaction(body))

    async def click(self, user: str, channel: str, ts: str, action_id: str, block_id: str | None = None, **value: Any) -> Result:
        """Use an element of a message: a button, or a select with its choice (``selected_option="SEV2"`` …).

        Raises UserError when the message has no such element, or several and ``block_id`` does not say which.
        """
        person = self.user(user)
        place = self._visible(person, channel)
        message, ephemeral = self._message_for(person, place, ts)
        block, element = find_element(message.get("blocks", []), action_id, block_id)
        values = self._typed.setdefault((person.id, ts), initial_values(message.get("blocks", [])))
        action = action_of(block, element, value, self._state.next_ts())
        if initial_value(element) is not None:
            values.setdefault(block["block_id"], {})[element["action_id"]] = chosen(element, value)
        body = payloads.message_actions(
            person,
            place,
            message,
            action,
            values=values,
            trigger_id=self._triggers.issue(person.id),
            response_url=self._response_urls.issue(person.id, place.id, ts),
            ephemeral=ephemeral,
        )
        return interacted(await self._courier.send_interaction(body))

    def _message_for(self, person: User, place: Channel, ts: str) -> tuple[Json, bool]:
        viewer, message = place.ephemeral.get(ts, ("", {}))
        if viewer == person.id:
            return message, True
        if ts not in place.messages:
            raise UserError(f"There is no message {ts} in this channel (any more).")
        return place.messages[ts], False

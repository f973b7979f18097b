"""What the people of the workspace do: write, command, click, fill in forms, join and leave.

The tests call it directly and the page through ``control``. Each act is checked as Slack's client would (a button that is
not there cannot be clicked: UserError), changes the state, is delivered to the bot, and comes back as a ``Result``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.domain.errors import ForbiddenError, UserError
from bot.sandbox import payloads
from bot.sandbox.blocks import elements_of
from bot.sandbox.composer import as_command, as_message, rich_text
from bot.sandbox.delivery import Attempt, Courier, Delivery
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.inputs import REQUIRED, action_of, chosen, fault_of, initial_value, is_empty
from bot.sandbox.models import BOT_USER_ID, TEAM_ID, Channel, Json, User
from bot.sandbox.response_urls import ResponseUrl, ResponseUrls
from bot.sandbox.state import State, is_system
from bot.sandbox.triggers import Triggers
from bot.sandbox.views import Views, initial_values

TROUBLE = "We had some trouble connecting. Try again?"


@dataclass
class Result:
    """What became of an act. ``ok`` False: the person sees ``error``, or ``errors`` beside the fields of a form.

    ``status``, ``body`` and ``duration_ms`` are the bot's first answer (None when nothing was delivered or answered);
    ``response`` is what an immediate answer put into the channel, ``ts`` the message that the person wrote.
    """

    ok: bool = True
    error: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    response: Json | None = None
    ts: str | None = None
    deliveries: list[Delivery] = field(default_factory=list, repr=False)

    @property
    def attempts(self) -> list[Attempt]:
        """Every attempt of the first delivery so far."""
        return self.deliveries[0].attempts if self.deliveries else []

    @property
    def status(self) -> int | None:
        """HTTP status of the bot's first answer."""
        return self.attempts[0].status if self.attempts else None

    @property
    def body(self) -> bytes:
        """Body of the bot's first answer."""
        return self.attempts[0].body if self.attempts else b""

    @property
    def duration_ms(self) -> float | None:
        """How long the first answer took."""
        return self.attempts[0].duration_ms if self.attempts else None


class Workspace:
    """The people's side. Users are given by id or handle, channels by id or name; "@muster" is the talk with the bot."""

    def __init__(self, state: State, views: Views, triggers: Triggers, response_urls: ResponseUrls, courier: Courier) -> None:
        self._state = state
        self._views = views
        self._triggers = triggers
        self._response_urls = response_urls
        self._courier = courier
        self._typed: dict[tuple[str, str], Json] = {}  # (user, message ts) → state.values of that message

    # Looking

    def user(self, reference: str) -> User:
        """A user by id or handle. Raises UserError."""
        return self._state.get_user(reference)

    def channel(self, reference: str) -> Channel:
        """A channel by id or name. Raises UserError."""
        return self._state.get_channel(reference)

    def find_channel(self, reference: str) -> Channel | None:
        """A channel by id or name, or None."""
        try:
            return self._state.get_channel(reference)
        except UserError:
            return None

    @property
    def channels(self) -> list[Channel]:
        """Every channel, archived ones and direct messages too, in the order of their making."""
        return list(self._state.channels.values())

    def im(self, user: str) -> Channel:
        """The direct conversation of a user and the bot."""
        return self._state.open_direct(self.user(user).id, BOT_USER_ID)

    def messages(
        self,
        channel: str,
        user: str | None = None,
        *,
        system: bool = False,
        thread_ts: str | None = None,
    ) -> list[Json]:
        """Copies of what is in a channel, oldest first, replies included; with ``user`` also what only they see.

        Slack's own lines (joins, topics) come with ``system``; ``thread_ts`` gives one thread only, its root first.
        """
        place = self._place(user or BOT_USER_ID, channel)
        shown = list(place.messages.values())
        if user is not None:
            viewer = self.user(user).id
            shown += [message for seen_by, message in place.ephemeral.values() if seen_by == viewer]
        if thread_ts is not None:
            shown = [one for one in shown if thread_ts in (one["ts"], one.get("thread_ts"))]
        kept = [dict(one) for one in shown if system or not is_system(one)]
        return sorted(kept, key=lambda one: float(one["ts"]))

    def dm(self, user: str) -> list[Json]:
        """The messages between the bot and this user, oldest first."""
        return [dict(message) for message in self.im(user).messages.values()]

    def views(self, user: str) -> list[Json]:
        """The forms in front of this user; the one that is seen is last."""
        return [dict(view) for view in self._views.stack(self.user(user).id)]

    def home(self, user: str) -> Json | None:
        """The Home tab that the bot published for this user."""
        return self._views.home(self.user(user).id)

    def _place(self, user: str, channel: str) -> Channel:
        if channel.removeprefix("@") in (BOT_USER_ID, self._state.users[BOT_USER_ID].name):
            return self.im(user)
        return self._state.get_channel(channel)

    def _visible(self, user: User, channel: str) -> Channel:
        place = self._place(user.id, channel)
        if not self._state.sees(user.id, place):
            raise ForbiddenError(f"{user.real_name} cannot see this channel: it is private and they are not in it.")
        return place

    def _joined(self, user: User, channel: str) -> Channel:
        place = self._visible(user, channel)
        if user.id not in place.members:
            raise ForbiddenError(f"{user.real_name} is not in #{place.name}: join it first.")
        if place.is_archived:
            raise UserError(f"#{place.name} is archived: nobody can write there.")
        return place

    def add_user(
        self,
        handle: str,
        real_name: str,
        *,
        is_guest: bool = False,
        deleted: bool = False,
        team_id: str = TEAM_ID,
        channels: Iterable[str] = ("general",),
    ) -> User:
        """One more person, in these channels; with another ``team_id`` somebody of another workspace (Slack Connect)."""
        user = User(self._state.new_id("U"), handle, real_name, is_guest=is_guest, deleted=deleted, team_id=team_id)
        user.email = f"{handle}@example.com"
        self._state.users[user.id] = user
        for name in channels:
            self._state.join(self.channel(name), user.id)
        self._courier.flush()
        return user

    # Writing

    async def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Result:
        """Write a message. "@handle" and "#name" become mentions; ``<``, ``>``, ``&`` are escaped, as Slack's client does.

        Returns when the bot has answered the first attempts; redeliveries go on (``await delivery.finished()``).
        """
        person = self.user(user)
        place = self._joined(person, channel)
        if thread_ts is not None and thread_ts not in place.messages:
            raise UserError(f"There is no message {thread_ts} in #{place.name} to reply to.")
        sent = as_message(text.strip(), self._names())
        if not sent:
            raise UserError("There is nothing to send: the message is empty.")
        message = self._state.post_as_user(place.id, person.id, sent, thread_ts=thread_ts, blocks=rich_text(sent))
        self._mention(place, message)
        return await self._told(Result(ts=message["ts"]))

    def _mention(self, place: Channel, message: Json) -> None:
        if f"<@{BOT_USER_ID}>" in message["text"] and BOT_USER_ID in place.members and not place.is_im:
            event = {name: value for name, value in message.items() if name not in ("reply_count", "reply_users")}
            self._state.emit(event | {"type": "app_mention", "channel": place.id, "event_ts": message["ts"]})

    async def say_as_other_bot(self, channel: str, text: str, *, name: str = "Deploy bot") -> Result:
        """A message of another app."""
        message = self._state.post_as_other_bot(self.channel(channel).id, text, name=name)
        return await self._told(Result(ts=message["ts"]))

    def _names(self) -> dict[str, str]:
        names = {f"@{user.name}": f"<@{user.id}>" for user in self._state.users.values()}
        names |= {f"@{group.handle}": f"<!subteam^{group.id}>" for group in self._state.groups.values()}
        names |= {f"#{one.name}": f"<#{one.id}|{one.name}>" for one in self._state.channels.values() if one.name}
        return names | {"@channel": "<!channel>", "@here": "<!here>", "@everyone": "<!everyone>"}

    async def edit(self, user: str, channel: str, ts: str, text: str) -> Result:
        """Change one's own message."""
        person = self.user(user)
        place = self._joined(person, channel)
        self._own(person, place, ts)
        sent = as_message(text.strip(), self._names())
        self._state.edit_message(place.id, ts, {"text": sent, "blocks": rich_text(sent)}, editor=person.id)
        return await self._told(Result(ts=ts))

    async def delete(self, user: str, channel: str, ts: str) -> Result:
        """Take one's own message back."""
        person = self.user(user)
        place = self._joined(person, channel)
        self._own(person, place, ts)
        self._state.delete_message(place.id, ts)
        return await self._told(Result(ts=ts))

    def _own(self, person: User, place: Channel, ts: str) -> None:
        message = place.messages.get(ts)
        if message is None or message.get("user") != person.id:
            raise UserError(f"{person.real_name} has no message {ts} in this channel.")

    async def react(self, user: str, channel: str, ts: str, name: str, *, remove: bool = False) -> Result:
        """Put an emoji (its name without colons) under a message, or take it away."""
        person = self.user(user)
        place = self._joined(person, channel)
        if ts not in place.messages:
            raise UserError(f"There is no message {ts} in this channel.")
        self._state.react(place, ts, person.id, name.strip(":"), remove=remove)
        return await self._told(Result(ts=ts))

    async def _told(self, result: Result) -> Result:
        """Send what the act made of events, and wait for the bot's first answers."""
        result.deliveries = self._courier.flush()
        await asyncio.gather(*(delivery.attempted() for delivery in result.deliveries))
        return result

    # Channels

    async def create_channel(self, user: str, name: str, *, is_private: bool = False) -> Result:
        """A person makes a channel; the bot is not in it. The result's ``response`` is ``{"id": …}``."""
        person = self.user(user)
        if self._state.named(name) is not None:
            raise UserError(f"There is a channel #{name} already.")
        channel = self._state.create_channel(name, creator=person.id, is_private=is_private)
        return await self._told(Result(response={"id": channel.id}))

    async def join(self, user: str, channel: str) -> Result:
        """Go into a public channel."""
        person = self.user(user)
        place = self._visible(person, channel)
        self._open(place)
        self._state.join(place, person.id)
        return await self._told(Result())

    async def leave(self, user: str, channel: str) -> Result:
        """Go out of a channel."""
        person = self.user(user)
        self._state.leave(self._visible(person, channel), person.id)
        return await self._told(Result())

    async def invite(self, user: str, channel: str, *users: str) -> Result:
        """Bring others in, the bot too ("@muster")."""
        person = self.user(user)
        place = self._joined(person, channel)
        self._open(place)
        for invited in users:
            self._state.join(place, self.user(invited).id, inviter=person.id)
        return await self._told(Result())

    async def kick(self, user: str, channel: str, kicked: str) -> Result:
        """Put somebody out, the bot too."""
        person = self.user(user)
        self._state.leave(self._joined(person, channel), self.user(kicked).id, kicked_by=person.id)
        return await self._told(Result())

    async def archive(self, user: str, channel: str, *, archived: bool = True) -> Result:
        """Archive a channel, or with ``archived=False`` open it again."""
        person = self.user(user)
        self._state.archive(self._visible(person, channel), person.id, archived=archived)
        return await self._told(Result())

    async def rename(self, user: str, channel: str, name: str) -> Result:
        """Give a channel another name."""
        person = self.user(user)
        self._state.rename(self._joined(person, channel), name, person.id)
        return await self._told(Result())

    def _open(self, place: Channel) -> None:
        if place.is_im or place.is_mpim:
            raise UserError("Nobody can join a direct message.")
        if place.is_archived:
            raise UserError(f"#{place.name} is archived.")

    # Commands and shortcuts

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
            return _failed(result, f'failed with the error "{word}"')
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
            return _failed(result, f'failed with the error "{refusal.code}"' + "".join(f" {one}" for one in refusal.reasons))
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
            return self._interacted(await self._courier.send_interaction(body))
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
        return self._interacted(await self._courier.send_interaction(body))

    def _interacted(self, delivery: Delivery) -> Result:
        attempt = delivery.attempts[0]
        result = Result(deliveries=[delivery])
        if attempt.ok:
            return result
        if attempt.status is None:
            return _failed(result, "This app did not respond." if attempt.reason == "http_timeout" else TROUBLE)
        return _failed(result, f"This app responded with Status Code {attempt.status}.")

    # Clicks

    async def click(self, user: str, channel: str, ts: str, action_id: str, block_id: str | None = None, **value: Any) -> Result:
        """Use an element of a message: a button, or a select with its choice (``selected_option="SEV2"`` …).

        Raises UserError when the message has no such element, or several and ``block_id`` does not say which.
        """
        person = self.user(user)
        place = self._visible(person, channel)
        message, ephemeral = self._message_for(person, place, ts)
        block, element = _find(message.get("blocks", []), action_id, block_id)
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
        return self._interacted(await self._courier.send_interaction(body))

    def _message_for(self, person: User, place: Channel, ts: str) -> tuple[Json, bool]:
        viewer, message = place.ephemeral.get(ts, ("", {}))
        if viewer == person.id:
            return message, True
        if ts not in place.messages:
            raise UserError(f"There is no message {ts} in this channel (any more).")
        return place.messages[ts], False

    # Forms

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
        block, element = _find(view["blocks"], action_id, block_id)
        if block["type"] == "input" and not block.get("dispatch_action"):
            raise UserError(f"{action_id} is sent with the form, not by itself.")
        action = action_of(block, element, value, self._state.next_ts())
        if initial_value(element) is not None:
            view["state"]["values"].setdefault(block["block_id"], {})[element["action_id"]] = chosen(element, value)
        trigger_id = self._triggers.issue(person.id, view["id"])
        body = payloads.view_actions(person, view, action, trigger_id=trigger_id)
        return self._interacted(await self._courier.send_interaction(body))

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
                block, element = _find(view["blocks"], action_id, block_id)
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
            return _failed(result, TROUBLE)
        answer = attempt.json() or {}
        if attempt.body.strip() and not isinstance(attempt.json(), dict):
            return _failed(result, TROUBLE)
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
                return _failed(result, TROUBLE)
        except SlackRefusal as refusal:
            return _failed(result, f"{TROUBLE} ({refusal.code}{''.join(f' {one}' for one in refusal.reasons)})")
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


def _failed(result: Result, error: str) -> Result:
    result.ok, result.error = False, error
    return result


def _find(blocks: list[Json], action_id: str, block_id: str | None) -> tuple[Json, Json]:
    """The one element with these ids. Raises UserError that lists what there is."""
    there = [(block, element) for block in blocks for element in elements_of(block)]
    found = [
        (block, element)
        for block, element in there
        if element["action_id"] == action_id and block_id in (None, block["block_id"])
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{block['block_id']}/{element['action_id']}" for block, element in there) or "none"
    problem = "is no element" if not found else "are several elements"
    raise UserError(f"There {problem} {block_id or '*'}/{action_id} here: there are {names}.")


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

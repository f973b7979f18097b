"""The control API under ``/sandbox/``: what the page does on behalf of a person, and what it shows.

Mounted by ``server`` behind ``guard``. Every answer is JSON; a refusal has ``error`` and a sentence in ``message``. What a
person may do is judged in ``workspace``; here is only the translation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable

from aiohttp import web

from bot.domain.errors import ForbiddenError, UserError
from bot.sandbox.clock import SandboxClock
from bot.sandbox.event_stream import EventStream
from bot.sandbox.feed import Feed
from bot.sandbox.ledger import Ledger
from bot.sandbox.models import TEAM_DOMAIN, TEAM_ID, TEAM_NAME, Channel, Json, User
from bot.sandbox.night import Night
from bot.sandbox.paging import PagingDesk
from bot.sandbox.state import State, is_reply
from bot.sandbox.switchboard import SlackSwitches, Switchboard, WorldSwitches
from bot.sandbox.workspace import Result, Workspace
from bot.sandbox.world import World

PAGE_OF_MESSAGES = 200
PAGE_OF_LEDGER = 200


class Control:
    """The handlers. ``world`` is None when the sandbox is Slack alone; ``slack`` are the switches of Slack itself."""

    def __init__(
        self,
        *,
        state: State,
        workspace: Workspace,
        feed: Feed,
        stream: EventStream,
        ledger: Ledger,
        clock: SandboxClock,
        world: WorldSwitches | None,
        paging: PagingDesk,
        night: Night,
        slack: SlackSwitches | None = None,
    ) -> None:
        self._state = state
        self._workspace = workspace
        self._feed = feed
        self._stream = stream
        self._ledger = ledger
        self._clock = clock
        self._switchboard = Switchboard(slack, world)
        self._paging = paging
        self._night = night
        if isinstance(world, World):
            world.on_change = ledger.absorb_world  # mail comes by no request of this server

    def routes(self) -> list[web.RouteDef]:
        """Every route of the control API."""
        gets = {"state": self._get_state, "messages": self._get_messages, "world": self._get_world}
        gets |= {"ledger": self._get_ledger, "ledger/page": self._get_ledger_page, "ledger/entry": self._get_ledger_entry}
        gets |= {"clock": self._get_clock, "paging": self._get_paging}
        posts: dict[str, Callable[[Json], Awaitable[Json]]] = {
            "say": self._say,
            "command": self._command,
            "click": self._click,
            "view/action": self._view_action,
            "view/submit": self._view_submit,
            "view/close": self._view_close,
            "shortcut": self._shortcut,
            "react": self._react,
            "join": self._join,
            "leave": self._leave,
            "invite": self._invite,
            "home": self._open_home,
            "world": self._set_world,
            "clock": self._advance,
            "night": self._play_night,
            "phone": self._paging.phone,
            "pagerduty": self._paging.pagerduty,
        }
        return [
            *(web.get(f"/sandbox/{name}", _answering(handler)) for name, handler in gets.items()),
            *(web.post(f"/sandbox/{name}", _acting(handler)) for name, handler in posts.items()),
            web.get("/sandbox/stream", _answering(self._get_stream)),
        ]

    # What the page shows

    def _viewer(self, request: web.Request) -> User:
        reference = request.query.get("user")
        if reference:
            return self._workspace.user(reference)
        return next(user for user in self._state.users.values() if not user.is_bot)

    async def _get_state(self, request: web.Request) -> web.StreamResponse:
        viewer = self._viewer(request)
        channels = [one for one in self._state.channels.values() if self._state.sees(viewer.id, one)]
        body = {
            "team": {"id": TEAM_ID, "name": TEAM_NAME, "domain": TEAM_DOMAIN},
            "now": self._clock.now(),
            "me": viewer.id,
            "users": [_person(user) for user in self._state.users.values()],
            "channels": [self._state.channel_for(one, viewer.id) for one in channels],
            "commands": [
                {"command": one.command, "description": one.description, "usage_hint": one.usage_hint}
                for one in self._state.app.commands
            ],
            "shortcuts": [vars(one) for one in self._state.app.shortcuts],
            "views": self._workspace.views(viewer.id),
            "home": self._workspace.home(viewer.id),
            "home_tab": self._state.app.home_tab,
            "groups": [{"id": one.id, "handle": one.handle, "name": one.name} for one in self._state.groups.values()],
            "paging": self._paging.snapshot(),
            "night": self._night.state(),
            "event_id": self._feed.last_id,
        }
        return web.json_response(body)

    async def _get_messages(self, request: web.Request) -> web.StreamResponse:
        viewer = self._viewer(request)
        channel = self._workspace.channel(request.query.get("channel", ""))
        if not self._state.sees(viewer.id, channel):
            raise ForbiddenError(f"{viewer.real_name} cannot see this channel: it is private and they are not in it.")
        rows = _rows(channel, viewer.id, request.query.get("thread_ts"))
        if before := request.query.get("before"):
            earlier_than = _number(before, "before")
            rows = [row for row in rows if float(row["ts"]) < earlier_than]
        limit = max(1, min(int(_number(request.query.get("limit", "50"), "limit")), PAGE_OF_MESSAGES))
        return web.json_response({"messages": rows[-limit:], "has_more": len(rows) > limit})

    async def _get_world(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"switches": self._switchboard.all()})

    async def _get_ledger(self, request: web.Request) -> web.StreamResponse:
        after = int(_number(request.query.get("after", "0"), "after"))
        return web.json_response(self._ledger.after(after))

    async def _get_ledger_page(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        before = query.get("before")
        page = self._ledger.page(
            after=int(_number(query.get("after", "0"), "after")),
            before=None if before is None else int(_number(before, "before")),
            limit=max(1, min(int(_number(query.get("limit", "100"), "limit")), PAGE_OF_LEDGER)),
            provider=query.get("provider", ""),
            errors=query.get("errors") == "true",
        )
        return web.json_response(page)

    async def _get_ledger_entry(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"entry": self._ledger.entry(int(_number(request.query.get("n", ""), "n")))})

    async def _get_clock(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"now": self._clock.now(), "offset_s": self._clock.offset_s})

    async def _get_paging(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"paging": self._paging.snapshot(), "night": self._night.state()})

    async def _get_stream(self, request: web.Request) -> web.StreamResponse:
        return await self._stream.serve(request, self._viewer(request).id)

    # What the person does

    async def _say(self, body: Json) -> Json:
        if _text(body, "text").startswith("/"):
            if body.get("thread_ts"):
                return {"ok": False, "error": f"{_text(body, 'text').split()[0]} is not supported in threads. Sorry!"}
            return await self._command(body)
        result = await self._workspace.say(
            _text(body, "user"), _text(body, "channel"), _text(body, "text"), body.get("thread_ts")
        )
        return _answer(result) | {"ts": result.ts}

    async def _command(self, body: Json) -> Json:
        line = f"{body.get('command') or ''} {body.get('text') or ''}".strip()
        result = await self._workspace.command(_text(body, "user"), _text(body, "channel"), line)
        return _answer(result) | {"response": result.response}

    async def _click(self, body: Json) -> Json:
        where = (_text(body, "channel"), _text(body, "message_ts"), _text(body, "action_id"), body.get("block_id"))
        return _answer(await self._workspace.click(_text(body, "user"), *where, **_choice(body)))

    async def _view_action(self, body: Json) -> Json:
        where = (_text(body, "view_id"), _text(body, "action_id"), body.get("block_id"), body.get("values"))
        return _answer(await self._workspace.view_action(_text(body, "user"), *where, **_choice(body)))

    async def _view_submit(self, body: Json) -> Json:
        result = await self._workspace.submit_view(_text(body, "user"), _text(body, "view_id"), body.get("values"))
        return _answer(result) | ({"errors": result.errors} if result.errors else {})

    async def _view_close(self, body: Json) -> Json:
        clear = body.get("clear") is True
        return _answer(await self._workspace.close_view(_text(body, "user"), _text(body, "view_id"), clear=clear))

    async def _shortcut(self, body: Json) -> Json:
        where = (body.get("channel"), body.get("message_ts"))
        return _answer(await self._workspace.shortcut(_text(body, "user"), _text(body, "callback_id"), *where))

    async def _react(self, body: Json) -> Json:
        where = (_text(body, "channel"), _text(body, "message_ts"), _text(body, "name"))
        remove = body.get("remove") is True
        return _answer(await self._workspace.react(_text(body, "user"), *where, remove=remove))

    async def _join(self, body: Json) -> Json:
        return _answer(await self._workspace.join(_text(body, "user"), _text(body, "channel")))

    async def _leave(self, body: Json) -> Json:
        return _answer(await self._workspace.leave(_text(body, "user"), _text(body, "channel")))

    async def _invite(self, body: Json) -> Json:
        users = body.get("users")
        if not isinstance(users, list) or not all(isinstance(one, str) for one in users):
            raise UserError("users must be a list of user ids.")
        return _answer(await self._workspace.invite(_text(body, "user"), _text(body, "channel"), *users))

    async def _open_home(self, body: Json) -> Json:
        return _answer(await self._workspace.open_home(_text(body, "user")))

    async def _advance(self, body: Json) -> Json:
        advance_s = body.get("advance_s")
        if not isinstance(advance_s, int | float) or isinstance(advance_s, bool):
            raise UserError("advance_s must be a number of seconds.")
        now = await self._clock.advance(advance_s)
        return {"ok": True, "now": now}

    async def _play_night(self, body: Json) -> Json:
        match body.get("act"):
            case "play":
                self._night.play(stop_when_ringing=body.get("stop_when_ringing") is not False)
            case "stop":
                await self._night.stop()
            case _:
                raise UserError("act must be play or stop.")
        return {"ok": True, "night": self._night.state()}

    async def _set_world(self, body: Json) -> Json:
        """One switch, or with ``all_good`` all of them."""
        if body.get("all_good") is True:
            self._switchboard.set_all_good()
        else:
            self._switchboard.set(_text(body, "switch"), _text(body, "value"))
        switches = self._switchboard.all()
        self._feed.publish("world", {"switches": switches})
        return {"ok": True, "switches": switches}


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _answering(handler: Handler) -> Handler:
    """Turn what a person did wrong into an answer."""

    async def answering(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ForbiddenError as error:
            return _refusal(403, "forbidden", str(error))
        except UserError as error:
            return _refusal(400, "refused", str(error))

    return answering


def _acting(act: Callable[[Json], Awaitable[Json]]) -> Handler:
    async def acting(request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise UserError("The body must be a JSON object.")
        return web.json_response(await act(body))

    return _answering(acting)


def _refusal(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"ok": False, "error": code, "message": message}, status=status)


def _answer(result: Result) -> Json:
    return {"ok": result.ok} | ({"error": result.error} if result.error else {})


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise UserError(f"{name} is missing.")
    return value


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name} must be a number.")
    return number


def _choice(body: Json) -> Json:
    """What was chosen: ``value`` and every ``selected_…``."""
    return {name: value for name, value in body.items() if name == "value" or name.startswith("selected_")}


def _person(user: User) -> Json:
    return {
        "id": user.id,
        "name": user.name,
        "real_name": user.real_name,
        "title": user.title,
        "is_bot": user.is_bot,
        "is_guest": user.is_guest,
        "color": user.color,
    }


def _rows(channel: Channel, viewer: str, thread_ts: str | None) -> list[Json]:
    """What this person sees of the channel, or of one thread in it, oldest first."""
    rows = [{**message, "ephemeral": False} for message in channel.messages.values()]
    rows += [{**message, "ephemeral": True} for seen_by, message in channel.ephemeral.values() if seen_by == viewer]
    if thread_ts:
        rows = [row for row in rows if thread_ts in (row["ts"], row.get("thread_ts"))]
    else:
        rows = [row for row in rows if not is_reply(row) or row.get("subtype") == "thread_broadcast"]
    return sorted(rows, key=lambda row: float(row["ts"]))

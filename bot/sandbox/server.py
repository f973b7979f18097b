"""The sandbox as one server on loopback: puts all parts together, starts and stops them.

Built by ``muster demo`` and by tests; ``Sandbox`` is the whole interface of this package.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.domain.errors import ConfigError
from bot.sandbox.app_manifest import read_manifest
from bot.sandbox.arguments import Arguments
from bot.sandbox.clock import SandboxClock
from bot.sandbox.control import Control
from bot.sandbox.delivery import Attempt, Courier, Delivery
from bot.sandbox.errors import SlackRefusal
from bot.sandbox.event_stream import EventStream
from bot.sandbox.faults import Faults
from bot.sandbox.feed import Feed
from bot.sandbox.guard import guard
from bot.sandbox.ledger import Call, Ledger
from bot.sandbox.methods.base import MethodCall
from bot.sandbox.night import Night
from bot.sandbox.paging import PagingDesk
from bot.sandbox.rate_limits import RateLimits
from bot.sandbox.response_urls import ResponseUrls
from bot.sandbox.seed import populate
from bot.sandbox.socket_mode import PING_S, SocketConnection, SocketHub
from bot.sandbox.state import State
from bot.sandbox.switchboard import SlackSwitches
from bot.sandbox.triggers import Triggers
from bot.sandbox.uploads import Uploads
from bot.sandbox.views import Views
from bot.sandbox.web_api import Tokens, WebApi, sleep_until
from bot.sandbox.workspace import Workspace

PAGE = Path(__file__).parent / "page"
BODY_BYTES = 16 * 1024 * 1024
# Nothing that this server does is worth waiting for when it stops: hanging faults and live streams least of all.
SHUTDOWN_S = 0.2

Answer = TypeVar("Answer")


class World(Protocol):
    """The stand-ins of the other systems, mounted beside Slack. ``ledger`` has a row for each call that they got."""

    @property
    def ledger(self) -> list[dict[str, Any]]:
        """A row for each finished call."""

    def add_routes(self, app: web.Application) -> None:
        """Add the routes of all systems."""

    def switches(self) -> Mapping[str, Any]:
        """All switches, each ``{"value", "options", "title"}``."""

    def set(self, name: str, value: str) -> None:
        """Turn a switch."""


class Sandbox:
    """A workspace with one installed app, the bot.

    Arguments:
        signing_secret: what deliveries to the bot are signed with.
        bot_token: the token that the Web API takes.
        manifest: the app's parsed ``manifest.yml``; scopes, events, commands and shortcuts come from it.
        world: stand-ins of other systems, or None for Slack alone.
        latency_s: how long each Web API call takes.
        retry_scale: factor on the delays of event redelivery (0, 60, 300 s); tests make it small.
        ack_timeout_s: how long the bot has to answer a delivery; Slack gives 3 seconds.
        app_token: the token that opens Socket Mode connections, or None for an app without. Deliveries go by a connection
            when there is one, else by HTTP.
        ping_s: how often each of those connections is pinged.

    Raises:
        ConfigError: Slack would not install this manifest.
    """

    def __init__(
        self,
        *,
        signing_secret: str,
        bot_token: str,
        manifest: Mapping[str, Any],
        world: World | None = None,
        latency_s: float = 0.0,
        retry_scale: float = 1.0,
        ack_timeout_s: float = 3.0,
        app_token: str | None = None,
        ping_s: float = PING_S,
    ) -> None:
        app = read_manifest(manifest)
        self.feed = Feed()
        self.clock = SandboxClock(self.feed)
        self.faults = Faults()
        self.state = State(self.clock, self.feed, app)
        self.world = world
        self.phone_book: dict[str, str] = {}
        """Names for the page, by telephone number or mail address."""
        self._paging = PagingDesk(world, self.clock, self.feed, self.phone_book)
        self.night = Night(self.clock, self.feed, self._paging.calls)
        self._ledger = Ledger(self.feed, world.ledger if world is not None else (), self.clock)
        self._tokens = Tokens(bot_token, app_token)
        self.socket_hub = SocketHub(self.feed, patience_s=ack_timeout_s, ping_s=ping_s)
        self._uploads = Uploads()
        self._views = Views(self.state, self.feed)
        self._triggers = Triggers(self.clock)
        self._response_urls = ResponseUrls(self.state, self.clock)
        self._stream = EventStream(self.feed)
        self._runner: web.AppRunner | None = None
        self._url: str | None = None
        self.courier = Courier(
            self.state,
            self.clock,
            self._ledger,
            signing_secret=signing_secret,
            retry_scale=retry_scale,
            timeout_s=ack_timeout_s,
            sockets=self.socket_hub,
        )
        self.workspace = Workspace(self.state, self._views, self._triggers, self._response_urls, self.courier)
        self.web_api = WebApi(
            self._method_call,
            scopes=app.scopes,
            tokens=self._tokens,
            ledger=self._ledger,
            courier=self.courier,
            faults=self.faults,
            limits=RateLimits(self.clock),
            place_of=self.state.place_of,
            latency_s=latency_s,
        )
        populate(self.state)

    # Where it is and where the bot is

    @property
    def url(self) -> str:
        """The page, without a slash at the end. Raises RuntimeError before ``start``."""
        if self._url is None:
            raise RuntimeError("The sandbox has not been started")
        return self._url

    @property
    def slack_api_url(self) -> str:
        """What to set SLACK_API_URL to; ends in a slash, as slack_sdk needs."""
        return f"{self.url}/api/"

    @property
    def bot_url(self) -> str:
        """Where the bot listens; deliveries go to this + /slack/events."""
        return self.courier.bot_url

    @bot_url.setter
    def bot_url(self, url: str) -> None:
        self.courier.bot_url = url

    @property
    def rate_limits(self) -> bool:
        """Whether Slack's rate limits hold (off at first)."""
        return self.web_api.rate_limits

    @rate_limits.setter
    def rate_limits(self, on: bool) -> None:
        self.web_api.rate_limits = on

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Raises ConfigError when ``host`` is not this machine alone, OSError when the port is taken."""
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise ConfigError(f"The sandbox listens on this machine only, not on {host}: use 127.0.0.1.")
        await self.courier.start()
        await self._paging.start()
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        self._runner = runner
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError:
            await self.stop()
            raise
        bound: Sequence[Any] = runner.addresses[0]
        self._url = f"http://{f'[{host}]' if ':' in host else host}:{bound[1]}"
        self._response_urls.base_url = self._url

    async def stop(self) -> None:
        """Stop listening and give up what is still on its way. Safe to repeat."""
        self._stream.close()
        await self.night.stop()
        await self._paging.stop()
        await self.socket_hub.close()
        await self.courier.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # What tests look at and plant

    @property
    def calls(self) -> list[Call]:
        """Every Web API call in the order of their start, those under way too; a response_url counts as a method."""
        return self._ledger.calls

    @property
    def deliveries(self) -> list[Delivery]:
        """Everything sent to the bot, in order."""
        return self.courier.deliveries

    @property
    def sockets(self) -> list[SocketConnection]:
        """The Socket Mode connections that are open now, oldest first: ``refresh()``, ``silence()`` or ``drop()`` them."""
        return list(self.socket_hub.connections)

    @property
    def ringing(self) -> list[str]:
        """Whose telephones ring now, by their names in ``phone_book``, else by their numbers."""
        calls = (self._paging.snapshot() or {"calls": []})["calls"]
        return [call["who"] or call["to"] for call in calls if call["status"] == "ringing"]

    async def wait_for(self, predicate: Callable[[], Answer], timeout_s: float = 5, what: str = "") -> Answer:
        """The predicate's first true answer, looked for at each change. Raises TimeoutError naming ``what``."""
        return await self.feed.wait_for(predicate, timeout_s, what)

    async def verify_url(self) -> bool:
        """Ask the bot to prove that it listens at ``bot_url``, as Slack does when the address is entered: url_verification."""
        return await self.courier.challenge()

    async def settled(self) -> None:
        """Wait until nothing is on its way to the bot any more, the redeliveries of failed events included."""
        await self.courier.settled()

    async def redeliver(self, delivery: Delivery) -> Attempt:
        """Send the identical signed bytes again."""
        return await self.courier.redeliver(delivery)

    def revoke_token(self) -> None:
        """From now on the bot's token answers ``token_revoked``."""
        self._tokens.revoked.add(self._tokens.good)

    # The server

    def _method_call(self, arguments: Arguments) -> MethodCall:
        return MethodCall(
            arguments=arguments,
            state=self.state,
            views=self._views,
            triggers=self._triggers,
            uploads=self._uploads,
            sockets=self.socket_hub,
            base_url=self.url,
        )

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES, middlewares=[guard, self._note])
        control = Control(
            state=self.state,
            workspace=self.workspace,
            feed=self.feed,
            stream=self._stream,
            ledger=self._ledger,
            clock=self.clock,
            world=self.world,
            paging=self._paging,
            night=self.night,
            slack=SlackSwitches(self.faults, self.web_api),
        )
        app.add_routes(control.routes())
        app.add_routes(
            [
                web.route("*", "/api/{method}", self.web_api.handle),
                web.get("/link", self.socket_hub.link),
                web.post("/response/{key}", self._response),
                web.route("*", "/upload/{file_id}", self._upload),
                web.get("/files/{file_id}/{name}", self._file),
                web.get("/archives/{channel}/{message}", self._permalink),
                web.get("/", self._page),
            ]
        )
        if PAGE.is_dir():
            app.router.add_static("/static/", PAGE)
        if self.world is not None:
            self.world.add_routes(app)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """After every request something may have changed, in the world too."""
        try:
            response = await handler(request)
        finally:
            self._ledger.absorb_world()
            self.feed.ring()
        if request.path.startswith("/static/"):  # after an upgrade a browser must not mix old modules with new ones
            response.headers["Cache-Control"] = "no-cache"
        return response

    async def _response(self, request: web.Request) -> web.Response:
        began_at = asyncio.get_running_loop().time()
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError):
            body = None
        call = self._ledger.begin("response_url", body if isinstance(body, dict) else {})
        await sleep_until(began_at + self.web_api.latency_s)
        try:
            self._response_urls.use(request.match_info["key"], body)
            response = web.Response(text="ok")
        except SlackRefusal as refusal:
            gone = refusal.code in ("used_url", "expired_url", "invalid_url")
            call.error = refusal.code
            response = web.json_response(refusal.answer(), status=404 if gone else 400)
        call.ok = call.error is None
        self.courier.flush()
        self._ledger.end(call, status=response.status)
        return response

    async def _upload(self, request: web.Request) -> web.Response:
        upload = self._uploads.find(request.match_info["file_id"])
        if upload is None:
            return web.Response(status=404, text="not found")
        if request.content_type == "multipart/form-data":
            form = await request.post()
            part = next((value for value in form.values() if isinstance(value, web.FileField)), None)
            upload.content = part.file.read() if part is not None else b""
        else:
            upload.content = await request.read()
        return web.Response(text=f"OK - {len(upload.content)}")

    async def _file(self, request: web.Request) -> web.Response:
        upload = self._uploads.find(request.match_info["file_id"])
        if upload is None or upload.content is None:
            return web.Response(status=404, text="not found")
        return web.Response(body=upload.content, headers={"Content-Disposition": "attachment"})

    async def _permalink(self, request: web.Request) -> web.Response:
        digits = request.match_info["message"].removeprefix("p")
        raise web.HTTPFound(f"/#channel={request.match_info['channel']}&message={digits[:-6]}.{digits[-6:]}")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        index = PAGE / "index.html"
        if not index.is_file():
            return web.Response(text="The sandbox runs; its page is not installed.")
        return web.FileResponse(index, headers={"Cache-Control": "no-cache"})

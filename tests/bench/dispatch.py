"""What a command or a click costs when a hundred of them are registered, beside one: our tables, and Bolt's own listeners.

In process, and only the way to the handler: Bolt's request, authorization and middleware, the catch-all, the table. The handlers
do nothing.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox import payloads
from bot.sandbox.models import APP_ID, BOT_ID, BOT_USER_ID, TEAM_ID, Channel, User
from bot.slack.client import SlackApi, make_client, make_session
from bot.slack.listeners import bolt
from bot.slack.listeners.clicks import ACTS, Click
from bot.slack.listeners.commands import Asked
from bot.slack.listeners.tools import Tools
from tests.bench.load import FORM_TYPE
from tests.bench.report import Row, at_most, plain, ratio, table

GOAL = 1.1
MANY = 100
ROUNDS, SMOKE_ROUNDS = 25, 3
COUNT, SMOKE_COUNT = 200, 50
PERSON = User("U0DEVELOPER", "developer", "Developer")
PLACE = Channel("C0SUPPORT", "support", creator=PERSON.id, created=0)


async def measure(quick: bool) -> str:
    """The table."""
    rounds, count = (SMOKE_ROUNDS, SMOKE_COUNT) if quick else (ROUNDS, COUNT)
    rows: list[Row] = []
    async with _tools() as tools:
        ours = bolt.make_app(tools, bot_token="xoxb-bench", signing_secret="bench")
        for name, body in (("a command", _command()), ("a click", _click())):
            one, many = [], []
            for _ in range(rounds):
                with _registered(1):
                    one.append(await _cost_us(ours, body, count))
                with _registered(MANY):
                    many.append(await _cost_us(ours, body, count))
            rows.append(plain(f"Muster, {name}, one registered", min(one), "µs", digits=0))
            rows.append(plain(f"Muster, {name}, {MANY} registered", min(many), "µs", digits=0))
            rows.append(at_most(f"{MANY} ÷ one", ratio(many, one), GOAL, "×"))
        theirs = {number: _bolt(number) for number in (1, MANY)}
        costs: dict[int, list[float]] = {number: [] for number in theirs}
        for _ in range(rounds):
            for number, app in theirs.items():
                costs[number].append(await _cost_us(app, _command(), count))
    rows.append(plain(f"Bolt, a listener for each command: {MANY} ÷ one", ratio(costs[MANY], costs[1]), "×"))
    return table(f"{rounds} rounds of {count}, interleaved; processor time of each; the last one registered is asked for", rows)


async def _cost_us(app: AsyncApp, body: Mapping[str, Any], count: int) -> float:
    headers = {"content-type": FORM_TYPE}
    began = time.process_time()
    for _ in range(count):
        answer = await bolt.dispatch(app, body, headers)
        if answer.status != 200:
            raise RuntimeError(f"Bolt answered {answer.status}: {answer.body}")
    return (time.process_time() - began) / count * 1e6


@contextlib.contextmanager
def _registered(number: int) -> Iterator[None]:
    """The tables with ``number`` entries, of which the last is asked for, instead of their own."""

    async def command(tools: Tools, asked: Asked) -> None:
        return

    async def act(tools: Tools, pressed: Click) -> None:
        return

    kept_commands, kept_acts = dict(bolt.COMMANDS), dict(ACTS)
    try:
        for table_of, name, entry in ((bolt.COMMANDS, "/bench", command), (ACTS, "bench", act)):
            entries: dict[str, Any] = table_of
            entries.clear()
            entries.update({f"{name}-{each}": entry for each in range(MANY - number, MANY)})
        yield
    finally:
        bolt.COMMANDS.clear()
        bolt.COMMANDS.update(kept_commands)
        ACTS.clear()
        ACTS.update(kept_acts)


@contextlib.asynccontextmanager
async def _tools() -> AsyncIterator[Tools]:
    """As much of the listeners' tools as a handler that does nothing needs; nothing is ever asked of Slack or of a desk."""
    async with make_session() as session:
        slack = SlackApi(make_client(session, token="xoxb-bench", base_url="http://127.0.0.1:9/api/"))
        nobody: Any = None
        yield Tools(
            desk=nobody,
            clock=nobody,
            slack=slack,
            people=nobody,
            permissions=nobody,
            answers=nobody,
            actions={},
            team_id=TEAM_ID,
            app_id=APP_ID,
            bot_user_id=BOT_USER_ID,
            bot_id=BOT_ID,
            duty=nobody,
            covers=nobody,
            incidents_channel_id="C0BENCH",
        )


def _bolt(number: int) -> AsyncApp:
    """Bolt with ``number`` listeners, of which the last one matches, and with Muster's options otherwise."""
    result = AuthorizeResult(enterprise_id=None, team_id=TEAM_ID, bot_token="xoxb-bench", bot_id=BOT_ID, bot_user_id=BOT_USER_ID)

    async def authorize(**_: Any) -> AuthorizeResult:
        return result

    async def on_command(ack: AsyncAck) -> None:
        await ack()

    app = AsyncApp(
        logger=logging.getLogger("slack_bolt.bench"),
        client=AsyncWebClient(),
        signing_secret="bench",
        authorize=authorize,
        process_before_response=True,
        request_verification_enabled=False,
    )
    for each in range(MANY - number, MANY):
        app.command(f"/bench-{each}")(on_command)
    return app


def _command() -> Mapping[str, Any]:
    name = f"/bench-{MANY - 1}"
    return payloads.command_form(PERSON, PLACE, name, "now", response_url="", trigger_id="bench")


def _click() -> Mapping[str, Any]:
    action = {"type": "button", "block_id": "b", "action_id": f"bench-{MANY - 1}", "value": "inc-1", "action_ts": "1.000001"}
    return payloads.message_actions(
        PERSON, PLACE, {"ts": "1.000001"}, action, values={}, trigger_id="bench", response_url="", ephemeral=False
    )

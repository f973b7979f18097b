"""The ways against the sandbox's PagerDuty, telephone and mail server, which are strict and remember everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web

from bot.domain.errors import PermanentError, TemporaryError, UnknownOutcome
from bot.domain.escalation import Way
from bot.notify.phone import PhoneWay
from bot.notify.sms import text_of
from bot.notify.table import NotifyConfig, ways
from bot.notify.twilio_signature import is_genuine
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.sandbox.world import World
from bot.sandbox.world.misbehaving import Misbehaviour
from bot.services.ports import Accepted, Followed, PageWay
from bot.settings import Settings, load_settings
from tests.notify.conftest import TO, summons

START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


class Clock:
    """The sandbox's time, which stands until a test moves it."""

    def __init__(self) -> None:
        self.at = START.timestamp()
        self._moved = asyncio.Event()

    def now(self) -> float:
        """Epoch seconds."""
        return self.at

    async def sleep(self, duration_s: float) -> None:
        """Until so much of it has passed."""
        until = self.at + duration_s
        while self.at < until:
            self._moved = asyncio.Event()
            await self._moved.wait()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.at += seconds
        self._moved.set()


@pytest.fixture
def clock() -> Clock:
    """See ``Clock``."""
    return Clock()


async def _listen(app: web.Application, runners: list[web.AppRunner]) -> str:
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    runners.append(runner)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return "http://{}:{}".format(*runner.addresses[0][:2])


@pytest.fixture
async def runners() -> AsyncIterator[list[web.AppRunner]]:
    """Servers that end with the test."""
    started: list[web.AppRunner] = []
    yield started
    for runner in started:
        await runner.cleanup()


@pytest.fixture
async def world(clock: Clock) -> AsyncIterator[World]:
    """Everything that can be reached, with its mail server's port open."""
    made = World(clock=clock.now)
    await made.start(clock)
    yield made
    await made.stop()


@pytest.fixture
async def settings(world: World, runners: list[web.AppRunner]) -> Settings:
    """Those that the sandbox hands out."""
    app = web.Application()
    world.add_routes(app)
    return load_settings({"MUSTER_ENV_FILE": "", **world.environment(await _listen(app, runners), paging=True)})


@pytest.fixture
async def table(settings: Settings) -> AsyncIterator[dict[Way, PageWay]]:
    """All ways, as the sandbox's environment sets them up."""
    providers = Providers(
        ProviderConfig(
            **{name: getattr(settings, name) for name in ProviderConfig.model_fields if name.startswith(("pagerduty", "twilio"))}
        )
    )
    async with providers:
        yield ways(NotifyConfig(smtp_url=settings.smtp_url, smtp_from=settings.smtp_from), providers)


def trouble_of(world: World, way: Way) -> Misbehaviour:
    """How the stand-in of a way fails."""
    stand_in = {Way.PAGERDUTY: world.pagerduty, Way.PHONE: world.twilio, Way.SMS: world.twilio, Way.EMAIL: world.smtp}[way]
    return stand_in.trouble


def reached(world: World, way: Way) -> int:
    """How often somebody was really reached."""
    return {
        Way.PAGERDUTY: sum(incident.pages for incident in world.pagerduty.incidents),
        Way.PHONE: len(world.twilio.calls),
        Way.SMS: len(world.twilio.messages),
        Way.EMAIL: len({mail.message_id for mail in world.smtp.mails}),
    }[way]


OUTSIDE = [Way.PAGERDUTY, Way.PHONE, Way.SMS, Way.EMAIL]


@pytest.mark.parametrize("way", OUTSIDE)
async def test_a_page_arrives_once(world: World, table: dict[Way, PageWay], way: Way) -> None:
    """As strict as the stand-ins are."""
    accepted = await table[way].send(summons())
    assert accepted.reference
    assert reached(world, way) == 1


@pytest.mark.parametrize("way", OUTSIDE)
async def test_what_was_refused_for_now_can_be_sent_later(world: World, table: dict[Way, PageWay], way: Way) -> None:
    """Nobody was reached meanwhile."""
    trouble_of(world, way).fail_next("429")
    with pytest.raises(TemporaryError):
        await table[way].send(summons())
    assert reached(world, way) == 0
    await table[way].send(summons(look_first=True))
    assert reached(world, way) == 1


@pytest.mark.parametrize("way", OUTSIDE)
async def test_a_broken_connection_behind_the_deed_reaches_nobody_twice(
    world: World, table: dict[Way, PageWay], way: Way
) -> None:
    """The next attempt finds it, or has the same key."""
    trouble_of(world, way).fail_next("reset_after_accept")
    with pytest.raises(UnknownOutcome):
        await table[way].send(summons())
    assert reached(world, way) == 1
    await table[way].send(summons(look_first=True))
    assert reached(world, way) == 1


@pytest.mark.parametrize("way", [Way.PAGERDUTY, Way.PHONE, Way.SMS])
async def test_a_failure_of_the_provider_is_none_of_the_person(world: World, table: dict[Way, PageWay], way: Way) -> None:
    """It is tried again, and then they are reached once."""
    trouble_of(world, way).fail_next("500")
    with pytest.raises((TemporaryError, UnknownOutcome)):
        await table[way].send(summons())
    await table[way].send(summons(look_first=True))
    assert reached(world, way) == 1


@pytest.mark.parametrize(
    ("switch", "value", "way", "words"),
    [
        ("pagerduty", "key_revoked", Way.PAGERDUTY, "PAGERDUTY_ROUTING_KEY"),
        ("telephone", "token_revoked", Way.PHONE, "TWILIO_AUTH_TOKEN"),
        ("telephone", "token_revoked", Way.SMS, "TWILIO_AUTH_TOKEN"),
        ("mail", "password_changed", Way.EMAIL, "user and password in SMTP_URL"),
    ],
)
async def test_a_revoked_secret_is_named(
    world: World, table: dict[Way, PageWay], settings: Settings, switch: str, value: str, way: Way, words: str
) -> None:
    """By its variable, and not told."""
    world.set(switch, value)
    with pytest.raises(PermanentError, match=words) as caught:
        await table[way].send(summons())
    assert not any(secret in str(caught.value) for secret in settings.secret_values())
    assert reached(world, way) == 0


async def test_pagerduty_goes_along_with_the_incident(world: World, table: dict[Way, PageWay]) -> None:
    """An acknowledgement there is found out, and one here is told there; the end closes it."""
    way = table[Way.PAGERDUTY]
    key = (await way.send(summons())).reference
    assert await way.follow(key, summons(), wanted="open") == Followed(state="pending")
    world.pagerduty.acknowledge(key, by="cto@example.com")
    assert await way.follow(key, summons(), wanted="open") == Followed(state="acknowledged", by="cto@example.com")
    assert await way.follow(key, summons(), wanted="over") == Followed(state="closed")
    assert world.pagerduty.status_of(key) == "resolved"
    assert (await way.follow(key, summons(), wanted="open")).state == "closed"

    second = (await way.send(summons(key="inc-43/g1/level-1/cto"))).reference
    await way.follow(second, summons(), wanted="acknowledged")
    assert world.pagerduty.status_of(second) == "acknowledged"
    assert await way.follow(second, summons(), wanted="open") == Followed(state="acknowledged")


async def test_who_is_on_call_in_pagerduty(settings: Settings) -> None:
    """Of a schedule, and of a level of a policy."""
    config = ProviderConfig(pagerduty_api_token=settings.pagerduty_api_token, pagerduty_api_url=settings.pagerduty_api_url)
    async with Providers(config) as providers:
        rest = providers.pagerduty_rest()
        assert await rest.on_call(schedule="PSANDBOX1") == [("On-call engineer", "oncall@example.com")]
        assert await rest.on_call(escalation_policy="PSANDBOX2", level=2) == [("Engineering lead", "lead@example.com")]


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("answers", Followed(state="answered")),
        ("voicemail", Followed(state="failed", reason="voicemail took the call")),
        ("busy", Followed(state="failed", reason="the line was busy")),
        ("failed", Followed(state="failed", reason="the call could not be connected")),
        ("rings", Followed(state="failed", reason="nobody answered within 40 s")),
    ],
)
async def test_what_becomes_of_a_call(
    world: World, table: dict[Way, PageWay], clock: Clock, behaviour: str, expected: Followed
) -> None:
    """As people are."""
    world.twilio.behave(TO, behaviour)  # type: ignore[arg-type]
    way = table[Way.PHONE]
    sid = (await way.send(summons())).reference
    assert await way.follow(sid, summons(), wanted="open") == Followed(state="pending")
    clock.advance(300)
    assert await way.follow(sid, summons(), wanted="open") == expected


async def test_a_call_is_taken_back_when_somebody_else_was_faster(world: World, table: dict[Way, PageWay], clock: Clock) -> None:
    """The telephone stops ringing."""
    way = table[Way.PHONE]
    sid = (await way.send(summons())).reference
    clock.advance(2)
    assert await way.follow(sid, summons(), wanted="acknowledged") == Followed(state="closed")
    assert world.twilio.calls[sid].status == "canceled"


async def test_numbers_that_cannot_be_called(world: World, table: dict[Way, PageWay]) -> None:
    """The field of the contact is named."""
    for behaviour in ("invalid", "unreachable"):
        world.twilio.behave(TO, behaviour)  # type: ignore[arg-type]
        with pytest.raises(PermanentError, match="check phone of the contact “cto”"):
            await table[Way.PHONE].send(summons())
    assert reached(world, Way.PHONE) == 0


async def test_a_text_arrives_or_not(world: World, table: dict[Way, PageWay], clock: Clock) -> None:
    """The network says so a little later."""
    way = table[Way.SMS]
    sid = (await way.send(summons())).reference
    assert world.twilio.messages[sid].body == text_of(summons())
    assert await way.follow(sid, summons(), wanted="open") == Followed(state="pending")
    clock.advance(60)
    assert await way.follow(sid, summons(), wanted="open") == Followed(state="answered")
    world.twilio.behave(TO, "failed")
    lost = (await way.send(summons(key="another"))).reference
    clock.advance(60)
    assert (await way.follow(lost, summons(), wanted="open")).state == "failed"


async def test_a_mailbox_that_does_not_exist(world: World, table: dict[Way, PageWay]) -> None:
    """The field of the contact is named."""
    world.smtp.behave("cto@example.com", "unknown")
    with pytest.raises(PermanentError, match="check email of the contact “cto”"):
        await table[Way.EMAIL].send(summons())


async def test_a_mail_says_what_the_others_say(world: World, table: dict[Way, PageWay]) -> None:
    """And is known by its id."""
    assert await table[Way.EMAIL].send(summons()) == Accepted(reference="<inc-42.g1.level-2.cto@muster>")
    (mail,) = world.smtp.mails
    assert (mail.message_id, mail.subject) == ("<inc-42.g1.level-2.cto@muster>", "SEV1 incident 42: Nobody can sign in")
    assert "Nobody has acknowledged for 15 min." in mail.text


async def test_a_pressed_key_is_asked_for_and_comes_signed(
    world: World, table: dict[Way, PageWay], clock: Clock, settings: Settings, runners: list[web.AppRunner]
) -> None:
    """What is asked at the answer's address is genuinely the telephone's, and what is answered is played."""
    pressed: list[tuple[bool, str]] = []

    async def answer(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        assert settings.twilio_auth_token
        genuine = is_genuine(settings.twilio_auth_token, str(request.url), form, request.headers["X-Twilio-Signature"])
        pressed.append((genuine, form["Digits"]))
        return web.Response(text="<Response><Say>Thank you. It is yours.</Say></Response>", content_type="text/xml")

    app = web.Application()
    app.router.add_post("/pages/phone/{token}", answer)
    address = await _listen(app, runners)
    way = table[Way.PHONE]
    assert isinstance(way, PhoneWay)
    sid = (await way.send(summons(answer_url=f"{address}/pages/phone/abc"))).reference
    clock.advance(2)
    world.twilio.answer(sid)
    clock.advance(1)
    assert await world.twilio.press(sid, "1")
    assert pressed == [(True, "1")]
    clock.advance(60)
    assert await way.follow(sid, summons(), wanted="open") == Followed(state="answered")
    assert "Thank you. It is yours." in [line.text for line in world.twilio.calls[sid].transcript]

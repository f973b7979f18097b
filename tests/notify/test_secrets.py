"""No secret of a way gets into an error, its traceback or a log, however it fails."""

from __future__ import annotations

import logging
import traceback

import pytest
from pydantic import SecretStr

from bot.domain.errors import MusterError
from bot.domain.escalation import Way
from bot.notify.table import NotifyConfig, ways
from bot.providers.table import Providers
from tests.notify.conftest import API_TOKEN, AUTH_TOKEN, ROUTING_KEY, TO, Vendor, config, summons
from tests.notify.mail_server import END, GREETING, FaultyMailServer

PASSWORD = "CANARYofTheMail"
STATUSES = [200, 400, 401, 403, 404, 429, 500, 503]


@pytest.mark.parametrize("status", STATUSES)
async def test_a_vendor_that_repeats_our_secrets(vendor: Vendor, caplog: pytest.LogCaptureFixture, status: int) -> None:
    """Nothing of it is passed on: neither while sending nor while following."""
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    async with Providers(config(vendor.url)) as providers:
        for name, way in ways(NotifyConfig(), providers).items():
            reference, sending, following = {
                Way.PAGERDUTY: ("muster/k", ROUTING_KEY, API_TOKEN),
                Way.PHONE: ("CA01", AUTH_TOKEN, AUTH_TOKEN),
                Way.SMS: ("SM01", AUTH_TOKEN, AUTH_TOKEN),
            }[name]
            for secret, attempt in (
                (sending, way.send(summons())),
                (following, way.follow(reference, summons(), wanted="open")),
            ):
                echo = {"message": f"{secret} {TO}", "errors": [secret], "code": secret, "status": secret}
                vendor.replies = [(status, {**echo, "error": echo})]
                with pytest.raises(MusterError) as caught:
                    await attempt
                told += ["".join(traceback.format_exception(caught.value)), repr(caught.value)]
    assert len(told) == 12
    shown = "\n".join([*told, caplog.text])
    assert not [secret for secret in (ROUTING_KEY, API_TOKEN, AUTH_TOKEN) if secret in shown]


@pytest.mark.parametrize("point", [GREETING, "EHLO", "AUTH", "RCPT", END])
@pytest.mark.parametrize("answer", ["reset", "535 5.7.8 no", "421 4.3.0 later", "nonsense"])
async def test_a_mail_server_that_fails(caplog: pytest.LogCaptureFixture, point: str, answer: str) -> None:
    """The password is in no trace of it."""
    caplog.set_level(logging.DEBUG)
    server = FaultyMailServer(answers={point: answer, **({"HELO": answer} if point == "EHLO" else {})})
    await server.start()
    url = SecretStr(f"smtp://bot%40example.com:{PASSWORD}@127.0.0.1:{server.port}")
    async with Providers(config()) as providers:
        way = ways(NotifyConfig(smtp_url=url), providers)[Way.EMAIL]
    with pytest.raises(MusterError) as caught:
        await way.send(summons())
    await server.stop()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    assert PASSWORD not in shown

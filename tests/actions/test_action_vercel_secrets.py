"""Secrets planted in everything that Vercel and the application answer: none comes out of an action or its progress."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog

from bot.actions.registry import load_actions
from bot.actions.runner import execute, look, preview
from bot.domain.errors import MusterError
from bot.sandbox.world.vercel import VALUE_CANARY, RefusalError
from bot.sandbox.world.vercel_data import variable
from tests.actions.vercel_ground import Ground, vercel_ground

TEXT = "sk_live_CANARYclerk whsec_CANARYhook postgres://canary:hunter2CANARY@db/app eyJCANARYheader.CANARYpayload.CANARYsignature"
ACTIONS = (
    "vercel.env",
    "vercel.deployments",
    "vercel.logs",
    "vercel.redeploy",
    "vercel.rollback",
    "vercel.promote",
    "bypass.ready",
    "clerk.emergency_bypass",
    "clerk.emergency_bypass_off",
)


def poison(ground: Ground) -> None:
    """A secret wherever somebody can write something."""
    vercel = ground.world.vercel
    for one in vercel.deployments:
        one["meta"] = dict.fromkeys(one["meta"], TEXT)
        one |= {"name": TEXT, "errorCode": TEXT, "errorMessage": TEXT, "inspectorUrl": f"https://vercel.com/{TEXT}", "url": TEXT}
        one["creator"]["username"] = TEXT
    for one in vercel.variables:
        one |= {"comment": TEXT, "updatedAt": vercel.deployments[-1]["created"], "gitBranch": None}
    vercel.variables.append(variable("env_8", TEXT, ["production", TEXT], updatedAt=vercel.deployments[-1]["created"]))
    vercel.runtime_lines = [
        {"level": "error", "message": TEXT, "requestPath": f"/{TEXT}", "requestMethod": TEXT, "responseStatusCode": 500}
    ]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("refused", [False, True])
async def test_no_canary_comes_out(action: str, refused: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Well-formed replies, and refusals whose code is a secret."""
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        async with vercel_ground() as ground:
            poison(ground)
            ground.world.vercel.refusals = [RefusalError(422, "sk_live_CANARYcode", limit=TEXT) for _ in range(3) if refused]
            given: dict[str, Any] = {
                "names": ["CLERK_SECRET_KEY"],
                "listen_s": 1,
                "app_url": f"{ground.url}/app",
                "protected_path": "/dashboard",
                "deployment_id": "dpl_sandbox3",
            }
            spec = load_actions()[action]
            params = {name: value for name, value in given.items() if name in spec.params.model_fields}
            shown = []
            if spec.preview:
                shown.append(await _previewed(ground, action, params))
            shown.append((await execute(spec, params, ground.context)).model_dump_json())
            shown.append((await look(spec, params, ground.context)).model_dump_json())
            everything = "\n".join([*shown, *ground.lines, json.dumps(logs, default=str), caplog.text])
    assert "CANARY" not in everything
    assert VALUE_CANARY not in everything


async def _previewed(ground: Ground, action: str, params: dict[str, Any]) -> str:
    try:
        return (await preview(load_actions()[action], params, ground.context)).model_dump_json()
    except MusterError as error:
        return f"{error} {error.__cause__}"

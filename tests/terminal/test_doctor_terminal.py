"""`muster doctor` as a process: exit codes, one line per finding, JSON, and no secret anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.logs import REDACTED
from bot.terminal.findings import Finding, draw_table, fault, ok, presentable, warn
from tests.scenarios.conftest import Stage

LINE = re.compile(r"(ok|warn|fault) +(\S[^:]*): +(\S.*)")


@dataclass
class Ran:
    """What a process left."""

    code: int
    out: str
    err: str


async def run(environment: Mapping[str, str], *arguments: str) -> Ran:
    """``python -m bot doctor`` with these settings and no others, in this event loop's company: the sandbox answers it."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "doctor", *arguments),
        env={**inherited, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), err.decode())


async def test_a_healthy_muster_ends_with_0(patient: Stage) -> None:
    """One line per finding, in columns, and the sum at the end."""
    ran = await run(patient.environment)
    assert (ran.code, ran.err) == (0, "")
    *lines, empty, total = ran.out.splitlines()
    assert empty == ""
    assert re.fullmatch(r"0 faults, 2 warnings, \d+ ok", total)  # time travel is on here, and the application has no database
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert len({re.match(r".{5}  .*?: +", line).end() for line in lines if len(line) > 40}) == 1  # type: ignore[union-attr]


async def test_a_fault_ends_with_1_and_no_secret_is_shown(unstarted: Stage) -> None:
    """Also not where the address of Redis holds a password, and the key of Clerk is refused."""
    unstarted.sandbox.revoke_token()
    canaries = {
        "REDIS_URL": "redis://muster:redis-canary-1@127.0.0.1:1/0",
        "CLERK_SECRET_KEY": "sk_test_clerkCanary2",
        "SMTP_URL": "smtp://user%40example.com:mail-canary-3@127.0.0.1:1",
        "TWILIO_AUTH_TOKEN": "twilio-canary-4",
        "MUSTER_HEARTBEAT_URL": "https://watch.example.com/beat-canary-5",
        "PAGERDUTY_ROUTING_KEY": "routing-canary-6",
    }
    ran = await run({**unstarted.environment, **canaries})
    assert ran.code == 1
    shown = ran.out + ran.err
    secrets = ["SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "VERCEL_TOKEN"]
    for secret in (*canaries.values(), *(unstarted.environment[name] for name in secrets), "-canary-", "clerkCanary2"):
        assert secret not in shown
    faults = [match[2] for line in ran.out.splitlines() if (match := LINE.fullmatch(line)) and match[1] == "fault"]
    assert faults == ["Slack token", "Redis", "Twilio", "Clerk"]


async def test_json(unstarted: Stage) -> None:
    """The same findings, for a machine."""
    ran = await run(unstarted.environment, "--format", "json")
    assert ran.code == 0
    findings = json.loads(ran.out)
    assert {tuple(found) for found in findings} == {("level", "what", "finding", "remedy")}
    assert {found["level"] for found in findings} == {"ok", "warn"}


async def test_with_nothing_set(tmp_path: Path) -> None:
    """A first try: faults for what is missing, and the embedded server works."""
    environment = {"MUSTER_ENV_FILE": "", "MUSTER_DATA_DIR": str(tmp_path), "CLERK_STATUS_URL": "http://127.0.0.1:9"}
    ran = await run(environment)
    assert ran.code == 1
    assert "SLACK_BOT_TOKEN" in ran.out
    assert "started for this check" in ran.out
    assert "Traceback" not in ran.out + ran.err


def test_one_line_each_whatever_was_said() -> None:
    """A name with line breaks and bidi marks stays in its line; short secrets do not eat words."""
    found = presentable([warn("x", "a\nb\u202ec secret-value ok", "do")], ["secret-value", "ok"])
    assert found == [Finding("warn", "x", f"a bc {REDACTED} ok", "do")]


def test_the_table_counts() -> None:
    """Singular and plural, and a finding without a remedy has no semicolon."""
    table = draw_table([ok("a", "fine."), fault("bb", "gone.", "mend it")])
    assert table.splitlines() == ["ok     a:  fine.", "fault  bb: gone; mend it", "", "1 fault, 0 warnings, 1 ok"]

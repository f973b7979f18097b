"""docs/deploying.md agrees with the code: its commands, variables, addresses and manifests are real."""

from __future__ import annotations

import argparse
import re
from typing import Any

import pytest
import yaml

from bot.cli import make_parser
from bot.http.front import Front, make_front
from bot.metrics import Metrics
from bot.settings import load_settings, variable_names
from bot.storage.durability import check_durability
from tests.conftest import ROOT

DOCUMENT = (ROOT / "docs" / "deploying.md").read_text("utf-8")
PREFIXES = ("SLACK_", "MUSTER_", "REDIS_", "LOG_", "CLERK_", "VERCEL_")


def objects() -> dict[tuple[str, str], dict[str, Any]]:
    """The Kubernetes objects by kind and name."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(block)}


def container(kind: str, name: str) -> dict[str, Any]:
    """Its only container."""
    (found,) = objects()[kind, name]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_every_variable_is_a_setting() -> None:
    """What the document tells to set, is read."""
    named = set(re.findall(rf"\b(?:{'|'.join(PREFIXES)})[A-Z_]+\b", DOCUMENT))
    assert len(named) >= 10
    assert named <= set(variable_names())


def test_every_command_exists() -> None:
    """With the options that are shown."""
    (action,) = [item for item in make_parser()._actions if isinstance(item, argparse._SubParsersAction)]
    named = set(re.findall(r"\bmuster (serve|[a-z]+)(?=[ `)]|$)", " ".join(re.findall(r"`([^`\n]+)`", DOCUMENT))))
    assert {"serve", "doctor", "check", "manifest", "canary"} <= named <= set(action.choices)
    make_parser().parse_args(["manifest", "--url", "https://muster.example.com", "--command", "/outage"])
    make_parser().parse_args(["doctor", "--format", "json"])
    for line in re.findall(r"^    .*\* +muster (canary .*?) \|\|", DOCUMENT, re.MULTILINE):
        make_parser().parse_args(line.split())
    options = set(re.findall(r"^\| `(--[a-z-]+)", DOCUMENT, re.MULTILINE))
    assert options == {"--contact", "--via", "--timeout", "--wait-for-answer", "--format"}
    assert load_settings({"MUSTER_ENV_FILE": "", "MUSTER_COMMAND": "/outage"}).muster_command == "/outage"


def served() -> set[str]:
    """The paths that the front door has."""

    async def handle(*_: Any) -> Any:
        raise AssertionError

    front = Front(
        signing_secret=b"x",
        handle=handle,
        is_worth_handling=lambda _event: False,
        ready=handle,
        metrics=lambda: b"",
        observe=lambda _kind, _seconds: None,
    )
    return {resource.canonical for resource in make_front(front).router.resources()}


def test_every_address_is_served() -> None:
    """Probes and Slack find something there."""
    addresses = r"`(?:GET |POST )?(/(?:slack/events|pages/phone/\{token\}|healthz|readyz|metrics|alerts[^`]*))`"
    named = set(re.findall(addresses, DOCUMENT))
    named |= {
        container("Deployment", "muster")[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert {"/slack/events", "/pages/phone/{token}", "/healthz", "/readyz", "/metrics"} <= named <= served()


def test_the_deployment_fits_together() -> None:
    """Two replicas, the port that is listened on, and time to end."""
    deployment, muster = objects()["Deployment", "muster"], container("Deployment", "muster")
    settings = load_settings({"MUSTER_ENV_FILE": "", **{item["name"]: item["value"] for item in muster["env"]}})
    assert deployment["spec"]["replicas"] == 2
    assert muster["ports"] == [{"name": "http", "containerPort": settings.port}]
    assert settings.redis_url is not None
    assert ("Service", "muster-redis") in objects()
    assert settings.redis_url.get_secret_value() == "redis://muster-redis:6379/0"
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 30
    for name in ("muster", "muster-redis"):
        owner = objects().get(("Deployment", name)) or objects()["StatefulSet", name]
        assert objects()["Service", name]["spec"]["selector"] == owner["spec"]["template"]["metadata"]["labels"]


def test_the_canary_of_the_example_flies() -> None:
    """A command that there is, the Redis of the bot, its settings, and no second try: one test page is enough."""
    job = objects()["CronJob", "muster-canary"]["spec"]
    spec = job["jobTemplate"]["spec"]["template"]["spec"]
    (canary,) = spec["containers"]
    muster = container("Deployment", "muster")
    assert canary["args"][0] == "muster"
    make_parser().parse_args(canary["args"][1:])
    assert (canary["image"], canary["env"], canary["envFrom"]) == (muster["image"], muster["env"], muster["envFrom"])
    assert (job["jobTemplate"]["spec"]["backoffLimit"], spec["restartPolicy"]) == (0, "Never")


def test_every_metric_exists() -> None:
    """What is named is measured."""
    named = set(re.findall(r"`(muster_[a-z_]+)`", DOCUMENT))
    measured = {line.split()[2] for line in Metrics().text().decode().splitlines() if line.startswith("# TYPE")}
    assert {"muster_due_age_seconds", "muster_audit_age_seconds", "muster_page_late_seconds"} <= named <= measured


def test_the_redis_of_the_example_would_be_taken_without_a_word() -> None:
    """Its arguments are what the start looks for."""
    words = container("StatefulSet", "muster-redis")["args"]
    config = {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}
    found = check_durability({"role": "master"}, config, dev=False)
    assert (found.faults, found.warnings) == ((), ())


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({"appendonly": "no"}, True),
        ({"maxmemory-policy": "allkeys-lru"}, True),
        ({"appendfsync": "everysec"}, False),
        ({"appendfsync": "no"}, False),
    ],
)
def test_the_table_of_managed_servers_is_what_the_start_does(config: dict[str, str], refused: bool) -> None:
    """What refuses, and what only warns."""
    good = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    found = check_durability({"role": "master"}, {**good, **config}, dev=False)
    assert bool(found.faults) is refused
    assert bool(found.warnings) is not refused
    (name,) = config
    assert f"`{name}" in DOCUMENT

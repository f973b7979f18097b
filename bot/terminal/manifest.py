"""``muster manifest``: the app manifest for one's own address and command name.

``read_manifest`` gives the same manifest, parsed, to the demo's sandbox and to the doctor, who compares scopes with it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from bot.domain.errors import ConfigError, MusterError
from bot.settings import COMMAND_PATTERN, RUNBOOK_COMMAND, inspect_settings

EXPECTED = (MusterError,)

EVENTS_PATH = "/slack/events"
PLACEHOLDER = f"https://muster.example.com{EVENTS_PATH}"
"""The address in manifest.yml."""
DEFAULT_COMMAND = "/incident"
TAKEN = {RUNBOOK_COMMAND: "finds runbooks", "/oncall": "says who is on call"}
"""The names of the other slash commands, and what those do."""


def run(options: argparse.Namespace) -> int:
    """Print it. 2 for an address or a name that Slack would not take."""
    given = (("--url", options.url, url_problem), ("--command", options.slash_command, command_problem))
    wrong = [f"{name}: {problem}" for name, value, judge in given if value is not None and (problem := judge(value))]
    if wrong:
        sys.stderr.write("".join(f"muster: {line}\n" for line in wrong))
        return 2
    settings, _ = inspect_settings(os.environ)  # somebody else's fault is not in the way here
    if options.url is None and settings.muster_url is not None and (problem := url_problem(settings.muster_url)):
        raise ConfigError(f"MUSTER_URL: {problem}")
    sys.stdout.write(
        personal_manifest(
            manifest_text(),
            url=settings.muster_url if options.url is None else options.url,
            command=settings.muster_command if options.slash_command is None else options.slash_command,
        )
    )
    return 0


def manifest_text() -> str:
    """manifest.yml: beside the package, or inside it when installed from a wheel."""
    packaged = resources.files("bot") / "_manifest.yml"
    return packaged.read_text("utf-8") if packaged.is_file() else (Path(__file__).parents[2] / "manifest.yml").read_text("utf-8")


def read_manifest() -> dict[str, object]:
    """The same, parsed. Raises: ConfigError when the file was damaged."""
    loaded = yaml.safe_load(manifest_text())
    if not isinstance(loaded, dict):
        raise ConfigError("manifest.yml is not a manifest; restore it from the repository")
    return loaded


def personal_manifest(text: str, *, url: str | None, command: str) -> str:
    """``text`` (of manifest.yml) with this address and this name of the slash command, its comments kept.

    ``url``: None leaves the placeholder and says so. ``url`` and ``command`` are ones without a problem.
    """
    body = re.sub(r"\A(?:#[^\n]*\n)*", "", text)
    body = re.sub(rf"{DEFAULT_COMMAND}\b", command, body)  # before the address, which may hold these letters as well
    header = ["# The Slack app: api.slack.com/apps > Create New App > From a manifest > YAML."]
    if command != DEFAULT_COMMAND:
        header.append(f"# Tell the bot the name of its command: MUSTER_COMMAND={command}")
    if url is None:
        header.append("# Put your own address in place of https://muster.example.com: muster manifest --url https://…")
    else:
        body = body.replace(PLACEHOLDER, events_address(url))
    return "\n".join([*header, body])


def events_address(url: str) -> str:
    """Where Slack sends everything: ``https://host`` and ``https://host/slack/events`` mean the same."""
    return url.rstrip("/").removesuffix(EVENTS_PATH) + EVENTS_PATH


def url_problem(url: str) -> str:
    """Why Slack could not send anything there; "" when it could."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL; write https:// and the host at which Slack reaches the bot"
    if parts.scheme != "https":
        return "must begin with https://, Slack sends to nothing else"
    if not host or not re.fullmatch(r"[!-~]+", url) or re.search(r"[\"'\\{}<>]", url):
        return "is not a URL; write https:// and the host at which Slack reaches the bot"
    if parts.username is not None or parts.query or parts.fragment:
        return "must be the address alone, without a user, a query or a fragment"
    if parts.path.rstrip("/") not in ("", EVENTS_PATH):
        return f"must have no path: the bot listens at {EVENTS_PATH}, which is added"
    return ""


def command_problem(name: str) -> str:
    """Why the slash command cannot be called ``name``; "" when it can."""
    if name in TAKEN:
        return f"{name} {TAKEN[name]}; choose another name"
    if not re.fullmatch(COMMAND_PATTERN, name):
        return "must be a slash and 1 to 31 of a-z, 0-9, - and _, for example /outage"
    return ""

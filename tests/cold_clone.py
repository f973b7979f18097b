"""How long a newcomer waits: from a fresh clone by ``make demo`` to the first incident in its room.

A program of its own, no test, since it installs packages: ``python -m tests.cold_clone``. It clones this repository into an
empty folder, runs ``make demo`` there, writes “auth not working” in #support as somebody in the page would, and waits for the
card with the whole diagnosis. Packages come from pip's cache where that is warm; ``--cold`` lets pip have none.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

MOST_S = 60.0
PATIENCE_S = 600.0


def asked(url: str, body: dict[str, Any] | None = None) -> Any:
    """A request to the page's own API."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def card_of(url: str) -> dict[str, Any] | None:
    """The first message of the incident's room, once the diagnosis is in it."""
    state = asked(f"{url}/sandbox/state?user=U0SUPPORT")
    for channel in state["channels"]:
        if channel["name"].startswith("inc-"):
            rows = asked(f"{url}/sandbox/messages?user=U0SUPPORT&channel={channel['id']}")["messages"]
            cards = [row for row in rows if "run_diagnostics" in json.dumps(row.get("blocks", []))]
            return cards[0] if cards else None
    return None


def main() -> int:
    """Prints each part in seconds; 1 when all of it took more than a minute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cold", action="store_true", help="without pip's cache")
    options = parser.parse_args()
    environment = {**os.environ, "PIP_NO_CACHE_DIR": "1"} if options.cold else dict(os.environ)
    began_at = time.monotonic()

    def lap(what: str) -> float:
        passed_s = time.monotonic() - began_at
        print(f"{passed_s:6.1f} s  {what}", flush=True)
        return passed_s

    with tempfile.TemporaryDirectory(prefix="muster-clone-") as folder:
        clone = Path(folder, "muster")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        lap("cloned")
        demo = subprocess.Popen(
            ["make", "demo"],
            cwd=clone, env=environment, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            assert demo.stdout is not None
            url, said = "", []
            for line in demo.stdout:
                said.append(line)
                if found := re.search(r"Open\s+(http://\S+)", line):
                    url = found[1]
                    break
            if not url:
                print("".join(said))
                return 1
            lap(f"the page is there: {url}")
            asked(f"{url}/sandbox/world", {"switch": "clerk_status", "value": "down"})
            asked(f"{url}/sandbox/say", {"user": "U0SUPPORT", "channel": "C0SUPPORT", "text": "auth not working"})
            while (card := card_of(url)) is None:
                if time.monotonic() - began_at > PATIENCE_S:
                    print("The room never got its card.")
                    return 1
                time.sleep(0.02)
            total_s = lap(f"the first incident is in its room: {card['text']}")
        finally:
            os.killpg(demo.pid, signal.SIGTERM)
            demo.wait(timeout=30)
    return 0 if total_s <= MOST_S else 1


if __name__ == "__main__":
    sys.exit(main())

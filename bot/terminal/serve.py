"""``muster serve``: the bot, until SIGTERM or SIGINT. SIGHUP reads the runbooks again."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal

import uvloop

from bot.app import running
from bot.domain.errors import MusterError
from bot.logs import configure_logging
from bot.services import crashpoints
from bot.settings import Settings, load_settings

EXPECTED = (MusterError,)


def run(options: argparse.Namespace) -> int:
    """Serve until told to stop."""
    settings = load_settings(os.environ)
    crashpoints.arm(os.environ.get("CRASH_AT"))
    configure_logging(settings.log_level, settings.log_format, settings.secret_values())
    uvloop.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reload = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, _on_hangup, reload, stop, 0 if os.isatty(0) else None)
    async with running(settings) as muster:
        # What start-up made stays. Without this, the first full collection stops the loop for 40 ms, in the first incident.
        gc.collect()
        gc.freeze()
        reloading = asyncio.create_task(muster.reloader.whenever(reload), name="reload")
        await stop.wait()
        reloading.cancel()
        await asyncio.gather(reloading, return_exceptions=True)


def _on_hangup(reload: asyncio.Event, stop: asyncio.Event, terminal: int | None) -> None:
    """SIGHUP also says that the terminal (the descriptor; None: there never was one) was closed, and then nobody is there who
    wants a bot in the background."""
    (stop if terminal is not None and not os.isatty(terminal) else reload).set()

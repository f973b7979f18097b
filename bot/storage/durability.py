"""Would this Redis keep what Muster stores? Judged once at start-up, and by `muster doctor`.

Redis is the only store. One that forgets at a restart, or evicts under memory pressure, loses incidents and pages
without a word (measured: kill -9 without an append-only file lost up to 46,052 acknowledged writes, with one it lost
none). How anything is stored does not belong here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from bot.domain.errors import ConfigError, TemporaryError

Answer = TypeVar("Answer")

_MENDING = "mend it, or set MUSTER_DEV=1 to accept the loss of incidents"


@dataclass(frozen=True)
class Durability:
    """What was found: each a sentence with its remedy. `faults` forbid a start; `warnings` are logged and shown."""

    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def require(self) -> None:
        """Raises: ConfigError, one line per fault, when there is any."""
        if self.faults:
            raise ConfigError("\n".join(self.faults))


def check_durability(info: Mapping[str, object], config: Mapping[str, str], *, dev: bool) -> Durability:
    """Judge what INFO and CONFIG GET said.

    `info`: the fields of INFO by name, numbers as numbers or as text. `config`: `appendonly`, `appendfsync` and
    `maxmemory-policy`. What the server hides is missing in either; managed ones hide CONFIG. `dev`: faults become
    warnings.
    """
    append_only = config.get("appendonly") or {"1": "yes", "0": "no"}.get(str(info.get("aof_enabled", "")))
    policy = config.get("maxmemory-policy") or info.get("maxmemory_policy")
    fsync = config.get("appendfsync")
    faults, warnings = [], []

    if append_only == "no":
        faults.append("Redis forgets at a restart (appendonly no): set `appendonly yes`")
    elif append_only is None:
        warnings.append("Redis does not say whether it keeps an append-only file: ask its provider for persistence")
    elif fsync is None:
        warnings.append("Redis does not say how often it writes to disk (appendfsync): ask its provider")
    elif fsync != "always":
        loss = "up to a second" if fsync == "everysec" else "up to half a minute"
        warnings.append(f"Redis may lose {loss} of writes when its machine dies (appendfsync {fsync}): set `always`")

    if policy is None:
        warnings.append("Redis does not say what it does when its memory is full: ask its provider for `noeviction`")
    elif policy != "noeviction":
        faults.append(f"Redis throws keys away when its memory is full ({policy}): set `maxmemory-policy noeviction`")

    if info.get("role") == "slave":
        faults.append("REDIS_URL points at a replica, which refuses writes: point it at the primary")
    if info.get("aof_last_write_status", "ok") != "ok":
        faults.append("Redis cannot write its append-only file (aof_last_write_status err): see whether its disk is full")

    if dev:
        return Durability(warnings=(*(f"{fault} (accepted by MUSTER_DEV)" for fault in faults), *warnings))
    return Durability(faults=tuple(f"{fault}; {_MENDING}" for fault in faults), warnings=tuple(warnings))


async def inspect(redis: Redis, *, dev: bool) -> Durability:
    """Ask the server (a client that decodes its replies) and judge its answers. Reads only; safe to repeat.

    Raises: ConfigError when it refuses the password, TemporaryError when it cannot be asked or is still loading.
    """
    try:
        info: dict[str, object] = await _unless_hidden(redis.info()) or {}
        config: dict[str, str] = {}
        for setting in ("appendonly", "appendfsync", "maxmemory-policy"):  # Redis before 7 takes one at a time
            found = await _unless_hidden(redis.config_get(setting)) or {}
            config |= {str(name): str(value) for name, value in found.items()}
    except (RedisError, OSError) as error:
        if isinstance(error, AuthenticationError) or isinstance(error.__cause__, AuthenticationError):
            raise ConfigError("Redis refuses the user or password in REDIS_URL: correct it") from error
        raise TemporaryError(f"Redis cannot be asked whether it keeps what it is told: {error}") from error
    return check_durability(info, config, dev=dev)


async def _unless_hidden(answer: Awaitable[Answer]) -> Answer | None:
    """None where a managed server has renamed or forbidden the command."""
    try:
        return await answer
    except ResponseError:
        return None

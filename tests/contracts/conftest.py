"""The running bot, for the contracts that need one."""

from __future__ import annotations

from tests.scenarios.conftest import stage, unstarted

__all__ = ["stage", "unstarted"]

"""The stage of the scenarios, for attacks on the running bot."""

from __future__ import annotations

from tests.scenarios.conftest import stage, unstarted

__all__ = ["stage", "unstarted"]

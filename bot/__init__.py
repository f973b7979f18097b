"""Muster: a ChatOps incident responder for Slack."""

__version__ = "0.1.0"

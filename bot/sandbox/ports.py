"""Ports for servers that are started a moment later, and may be started again."""

from __future__ import annotations

import socket
import sys
from types import TracebackType
from typing import Self


class HeldPort:
    """A port of 127.0.0.1 that nobody else is given until ``close``, and that a server of ours can listen on meanwhile.

    It is bound and not listened on: the kernel gives it to nobody who asks for any port, and Linux lets whoever reuses
    addresses, as servers of asyncio and PostgreSQL do, bind it as well. Elsewhere it is let go at once, and likely to stay free.
    """

    def __init__(self, number: int = 0) -> None:
        """0: any. Raises: OSError when somebody else has it."""
        self._socket = socket.socket()
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(("127.0.0.1", number))
        except OSError:
            self.close()
            raise
        self.number = int(self._socket.getsockname()[1])
        if sys.platform != "linux":
            self.close()

    def close(self) -> None:
        """Let it go. Safe to repeat."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

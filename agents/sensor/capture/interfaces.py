"""Whether an interface can bring packets: is it still the one that was opened, is it up, is there
somebody at the other end? (netdevice(7))"""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import Final

from agents.sensor.capture.capture import InterfaceMissing, index_by, interface_index

_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40
_REQUEST = struct.Struct("16sH14x")
"""struct ifreq with its flags: the name, 16 bits, padding up to 32 bytes."""


class InterfaceWatch:
    """Of the interface that now has the name ``interface``, in the network namespace of the thread
    that makes it; `close` it.

    Raises: InterfaceMissing if there is none.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        self._index = interface_index(interface)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self) -> None:
        """Safe to call twice."""
        self._socket.close()

    def trouble(self) -> str:
        """Why no packet comes from it, in words; empty if one may.

        Raises: InterfaceMissing: it is gone, has another name, or another one has its name.
        """
        index = index_by(self._socket, self.interface)
        if not index:
            raise InterfaceMissing(f"the interface {self.interface!r} is gone")
        if index != self._index:
            raise InterfaceMissing(f"another interface is called {self.interface!r} now")
        try:
            name = self.interface.encode()
            answer = fcntl.ioctl(self._socket, _SIOCGIFFLAGS, _REQUEST.pack(name, 0))
        except OSError as e:
            raise InterfaceMissing(f"the interface {self.interface!r} is gone") from e
        flags = _REQUEST.unpack(answer[: _REQUEST.size])[1]
        if not flags & _IFF_UP:
            return f"interface {self.interface} is down"
        if not flags & _IFF_RUNNING:
            return f"interface {self.interface} has no carrier, nothing is at its other end"
        return ""

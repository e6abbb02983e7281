"""A feed's connection: one DEALER socket, and the news when it is connected again. It belongs to one thread."""
from __future__ import annotations

from typing import Any, Sequence

import zmq

HEARTBEAT = 5000  # ms


class Link:
    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        try:
            self.socket.set(zmq.LINGER, 0)
            self.socket.set(zmq.SNDHWM, 0)  # the credit is the limit
            self.socket.set(zmq.RCVHWM, 0)
            self.socket.set(zmq.IMMEDIATE, 1)  # nothing is queued for a daemon that is not there
            self.socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT)
            self.monitor: zmq.Socket[Any] = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            self.monitor.set(zmq.LINGER, 0)
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ValueError(f"{endpoint}: {error.strerror}") from error

    def close(self) -> None:
        self._context.destroy(linger=0)

    def send(self, frames: Sequence[bytes]) -> bool:
        """All frames or none. False: not now."""
        try:
            self.socket.send_multipart(frames, zmq.NOBLOCK)
            return True
        except zmq.Again:
            return False

    def receive(self) -> list[bytes] | None:
        """The next message, None: there is none."""
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def reconnected(self) -> bool:
        """Was a connection made since the last call?"""
        news = False
        try:
            while True:
                self.monitor.recv_multipart(zmq.NOBLOCK)
                news = True
        except zmq.Again:
            return news

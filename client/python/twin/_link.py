"""A feed's connection: one DEALER socket, and the news when it is there or gone. It belongs to one thread."""
from __future__ import annotations

import sys
from typing import Any, Sequence

import zmq

HEARTBEAT = 5000  # ms
NEWS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED


class Link:
    """Whatever waits in the socket when a connection is lost goes with it, so that nothing piles up for a daemon that is
    away or comes and goes.

    ZMQ_IMMEDIATE is for that, but is not used: with it, libzmq (4.3.4) takes the pipe away whenever the connection is
    lost, also between two frames of a message that is being received, and ends the process ("Assertion failed: !_more").
    """

    def __init__(self, endpoint: str) -> None:
        self.connected = False
        self._endpoint = endpoint
        self._context: zmq.Context[Any] = zmq.Context()
        self.socket: zmq.Socket[Any] = self._context.socket(zmq.DEALER)
        try:
            self.socket.set(zmq.LINGER, 0)
            self.socket.set(zmq.SNDHWM, 0)  # the credit is the limit
            self.socket.set(zmq.RCVHWM, 0)
            self.socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT)
            self.monitor: zmq.Socket[Any] = self.socket.get_monitor_socket(NEWS)
            self.monitor.set(zmq.LINGER, 0)
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise ValueError(f"{endpoint}: {error.strerror}") from error

    def close(self) -> None:
        self._context.destroy(linger=0)

    def send(self, frames: Sequence[bytes]) -> None:
        """To be called while connected. Whether it arrives, an answer tells."""
        self.socket.send_multipart(frames, zmq.NOBLOCK)

    def receive(self) -> list[bytes] | None:
        """The next message, None: there is none."""
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def reconnected(self) -> bool:
        """Was a connection made since the last call? Not to be called between the frames of a message."""
        made = lost = False
        try:
            while True:
                event = self.monitor.recv_multipart(zmq.NOBLOCK)[0]  # its number and a value
                if int.from_bytes(event[:2], sys.byteorder) == zmq.EVENT_DISCONNECTED:
                    lost = True
                else:
                    made = True
        except zmq.Again:
            pass
        if lost:  # one that was made since goes too: it has the old messages before it
            self.socket.disconnect(self._endpoint)
            self.socket.connect(self._endpoint)
        self.connected = not lost and (made or self.connected)
        return made and not lost

"""What the launcher holds for running containers, and the subscribers that get copies of it."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import cast

from orchestra.engine.shim import wire
from orchestra.engine.shim.protocol import Listen
from orchestra.values import dataclass, field

_QUEUE_MAX = 4096


@dataclass(slots=True)
class Holding:
    """Sockets of one container: dns udp and tcp (or none), and listeners in the order of listen."""

    listen: Sequence[Listen] = ()
    dns: list[int] = field(default_factory=list)
    listeners: list[int] = field(default_factory=list)
    told: bool = False
    """Whether the subscribers have been told."""


@dataclass(slots=True)
class Subscriber:
    """One `sockets` conversation, with the containers it has not been told of yet."""

    connection: socket.socket
    queue: list[str] = field(default_factory=list)


class Holdings:
    """Every container's sockets. A message to subscribers is made when it can be sent."""

    def __init__(self) -> None:
        self._holdings: dict[str, Holding] = {}
        self._subscribers: dict[int, Subscriber] = {}

    def take(
        self, container_id: str, message: Mapping[str, object], fds: list[int], *, later: bool
    ) -> None:
        """Hold a container's sockets, and tell the subscribers; what was held before is closed.

        ``message``: a shim's ``hold``. ``later``: they are told by ``tell``, so as not to take the
        processor from its start.
        """
        count = 2 if message.get("dns") else 0
        listen = cast("Sequence[Listen]", message.get("listen", []))
        self._close(self._holdings.pop(container_id, None))
        self._holdings[container_id] = Holding(listen, fds[:count], fds[count:])
        if not later:
            self.tell(container_id)

    def tell(self, container_id: str) -> None:
        """Tell the subscribers of a container's sockets, unless they have been told."""
        holding = self._holdings.get(container_id)
        if holding is not None and not holding.told:
            holding.told = True
            self._announce(container_id)

    def release(self, container_id: str) -> None:
        """Close a container's sockets, and tell the subscribers that it is gone."""
        holding = self._holdings.pop(container_id, None)
        if holding is not None:
            self._close(holding)
            self._announce(container_id)

    def get(self, container_id: str) -> Holding | None:
        """Return what is held for a container."""
        return self._holdings.get(container_id)

    def subscribe(self, connection: socket.socket) -> None:
        """Tell a client of every container that has started, and from now on of every change."""
        queue = sorted(name for name, holding in self._holdings.items() if holding.told)
        self._subscribers[connection.fileno()] = Subscriber(connection, queue)

    def unsubscribe(self, fd: int) -> bool:
        """Forget a client; False when it was none."""
        subscriber = self._subscribers.pop(fd, None)
        if subscriber is None:
            return False
        subscriber.connection.close()
        return True

    def flush(self) -> tuple[list[int], list[int]]:
        """Send what can be sent; return the clients that wait for room, and those that are gone."""
        waiting, gone = [], []
        for fd, subscriber in self._subscribers.items():
            try:
                self._send_queue(subscriber)
            except BlockingIOError:
                waiting.append(fd)
                if len(subscriber.queue) > _QUEUE_MAX:
                    gone.append(fd)
            except OSError:
                gone.append(fd)
        return waiting, gone

    def _send_queue(self, subscriber: Subscriber) -> None:
        while subscriber.queue:
            message, fds = self._message(subscriber.queue[0])
            wire.send(subscriber.connection, message, fds)
            subscriber.queue.pop(0)

    def _message(self, container_id: str) -> tuple[Mapping[str, object], list[int]]:
        holding = self._holdings.get(container_id)
        if holding is None:
            return {"gone": container_id}, []
        message = {"id": container_id, "dns": bool(holding.dns), "listen": list(holding.listen)}
        return message, [*holding.dns, *holding.listeners]

    def _announce(self, container_id: str) -> None:
        for subscriber in self._subscribers.values():
            subscriber.queue.append(container_id)

    @staticmethod
    def _close(holding: Holding | None) -> None:
        if holding is not None:
            wire.close_all([*holding.dns, *holding.listeners])

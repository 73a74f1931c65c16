"""Lag changes: the connections that have fallen behind or caught up, the newest last.

A connection has thousands of delivery classes, and may fall behind and catch up many times a second. So it tells none
of them: it is noted here once, and a class that is about to write asks for those that were noted since it asked last.
"""

from __future__ import annotations

from gateway.connections.lagging.connection_changes import C, ConnectionChanges


class LagChanges(ConnectionChanges[C]):
    """Connections in the order of their newest changes, each once.

    Attributes:
        lagging: the connections that have fallen behind, and have not caught up.
        tiers: connections whose link tiers have changed, for fan-outs to ask in the same way.
    """

    __slots__ = ("lagging", "tiers")

    def __init__(self) -> None:
        super().__init__()
        self.lagging: set[C] = set()
        self.tiers: ConnectionChanges[C] = ConnectionChanges()

    def note(self, connection: C, *, lagging: bool) -> None:
        """Note that a connection has fallen behind, has caught up, or has lost its transport.

        Args:
            connection: the connection.
            lagging: whether it lags now.
        """
        if lagging:
            self.lagging.add(connection)
        else:
            self.lagging.discard(connection)
        self.add(connection)

    def forget(self, connection: C) -> None:
        """Forget a connection that is gone."""
        super().forget(connection)
        self.tiers.forget(connection)
        self.lagging.discard(connection)

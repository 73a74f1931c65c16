"""Settings of the core."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.connections.admission.settings import AdmissionSettings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.heartbeat.pace import HeartbeatSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.overload.overload import OverloadSettings
from gateway.connections.planning.settings import PlanSettings
from gateway.connections.presence.settings import PresenceSettings
from gateway.connections.sessions.outstanding_requests import RequestSettings
from gateway.connections.validation import check_positive
from gateway.protocol.limits import Limits
from gateway.protocol.negotiation import CodecSettings
from gateway.streams.rules import StreamRules
from gateway.streams.stream_registry import HISTORY_TOTAL_BYTES


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Limits and times of connections, and bounds on the work for them.

    Raises:
        InvalidArgument: a value is out of range.
    """

    limits: Limits = field(default_factory=Limits)
    """Bounds on messages and requests of clients."""
    codecs: CodecSettings = field(default_factory=CodecSettings)
    """Codecs that clients may agree to."""
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    """Bounds on the memory held for receivers that do not keep up."""
    requests: RequestSettings = field(default_factory=RequestSettings)
    """Bounds on the group requests that are kept for another member."""
    consumers: ConsumerSettings = field(default_factory=ConsumerSettings)
    """Service of receivers that acknowledge."""
    presence: PresenceSettings = field(default_factory=PresenceSettings)
    """Times and bounds of presence."""
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    """Bounds on the clients that come."""
    max_connections: int = 50_000
    """Connections at once; one more is closed with ``TOO_MANY_CONNECTIONS``."""
    heartbeat_interval_s: float = 20.0
    """Time between two pings of a client."""
    heartbeat: HeartbeatSettings = field(default_factory=HeartbeatSettings)
    """Bounds on the time between two pings of the gateway."""
    hello_timeout_s: float = 10.0
    """Time within which a connection must send HELLO."""
    transfer_timeout_s: float = 60.0
    """Time for which nothing may come of a large message, whether its connection stands or is lost."""
    history_total_bytes: int = HISTORY_TOTAL_BYTES
    """Bytes that the histories of all streams may hold together; past it the largest are trimmed."""
    overload: OverloadSettings = field(default_factory=OverloadSettings)
    """Limit of memory, from which measures against overload are taken."""
    planning: PlanSettings = field(default_factory=PlanSettings)
    """Effect of plans."""
    rules: StreamRules = field(default_factory=StreamRules)
    """Configuration of streams by pattern."""

    def __post_init__(self) -> None:
        check_positive(self, "heartbeat_interval_s", "hello_timeout_s", "transfer_timeout_s")

    @property
    def consumer_sweep_interval_s(self) -> float:
        """Interval of the checks of deadlines and time-outs of consumers: short enough for every stream."""
        consumers = self.consumers
        every = [consumers, *[consumers.of(config) for _, config in self.rules.rules]]
        return min([settings.sweep_interval_s for settings in every])

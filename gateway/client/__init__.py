"""The Python SDK: ``connect`` for asyncio, ``sync.connect`` for programs without a loop."""

from gateway.client import sync
from gateway.client.client import Client
from gateway.client.client_state import ClientState
from gateway.client.connecting import Connecting, connect
from gateway.client.messages.message import Message
from gateway.client.messages.record_batch import RecordBatch
from gateway.client.options import Backoff, Options
from gateway.client.presence.presence import Presence
from gateway.client.presence.presence_change import ChangeKind, PresenceChange, PresenceMember
from gateway.client.report import Notice
from gateway.client.requests.inbox import Inbox, Request
from gateway.client.requests.pending_request import RequestFailed
from gateway.client.requests.reply_stream import ReplyStream
from gateway.client.subscribing.subscription import BatchIterator, Subscription
from gateway.client.subscribing.subscription_core import SubscriptionStats
from gateway.client.subscribing.subscription_position import Gap, StreamEnded
from gateway.client.transmission_result import TransmissionResult
from gateway.errors import (
    CapacityError,
    Code,
    ConnectionClosed,
    ConnectionFailed,
    FrysError,
    InvalidArgument,
    RequestRefused,
    RequestTimeout,
    UnsupportedDtype,
    UsageError,
)
from gateway.protocol.link_quality import LinkQuality
from gateway.protocol.messages import Counts, Credits
from gateway.protocol.views import View

__all__ = [
    "Backoff",
    "BatchIterator",
    "CapacityError",
    "ChangeKind",
    "Client",
    "ClientState",
    "Code",
    "Connecting",
    "ConnectionClosed",
    "ConnectionFailed",
    "Counts",
    "Credits",
    "FrysError",
    "Gap",
    "Inbox",
    "InvalidArgument",
    "LinkQuality",
    "Message",
    "Notice",
    "Options",
    "Presence",
    "PresenceChange",
    "PresenceMember",
    "RecordBatch",
    "ReplyStream",
    "Request",
    "RequestFailed",
    "RequestRefused",
    "RequestTimeout",
    "StreamEnded",
    "Subscription",
    "SubscriptionStats",
    "TransmissionResult",
    "UnsupportedDtype",
    "UsageError",
    "View",
    "connect",
    "sync",
]

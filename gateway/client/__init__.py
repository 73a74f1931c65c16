"""The Python SDK: ``connect`` for asyncio, ``sync.connect`` for programs without a loop."""

from gateway.client import sync
from gateway.client.client import Client
from gateway.client.connecting import Connecting, connect
from gateway.client.core import ClientState
from gateway.client.inbox import Inbox, Request
from gateway.client.message import Message
from gateway.client.notice import Notice
from gateway.client.options import Backoff, Options
from gateway.client.question import RequestFailed
from gateway.client.record_batch import RecordBatch
from gateway.client.reply_stream import ReplyStream
from gateway.client.result import TransmissionResult
from gateway.client.standing import Gap
from gateway.client.subscription import BatchIterator, Subscription, SubscriptionStats
from gateway.protocol.messages import Counts, Credits
from gateway.protocol.views import View

__all__ = [
    "Backoff",
    "BatchIterator",
    "Client",
    "ClientState",
    "Connecting",
    "Counts",
    "Credits",
    "Gap",
    "Inbox",
    "Message",
    "Notice",
    "Options",
    "RecordBatch",
    "ReplyStream",
    "Request",
    "RequestFailed",
    "Subscription",
    "SubscriptionStats",
    "TransmissionResult",
    "View",
    "connect",
    "sync",
]

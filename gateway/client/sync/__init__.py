"""The blocking client, for programs without asyncio."""

from gateway.client.sync.client import Client, connect
from gateway.client.sync.message import Message, RecordBatch
from gateway.client.sync.presence import Presence
from gateway.client.sync.requests import Inbox, ReplyStream, Request
from gateway.client.sync.subscription import Subscription

__all__ = ["Client", "Inbox", "Message", "Presence", "RecordBatch", "ReplyStream", "Request", "Subscription", "connect"]

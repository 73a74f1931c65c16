"""Link of a client: its own view of the connection to the gateway, by the formula of both ends (spec section 15)."""

from __future__ import annotations

from gateway.client.sending.send_context import SendContext
from gateway.client.subscribing.receiver_load import ReceiverLoad
from gateway.protocol.link_quality import LinkQuality


def link_quality(context: SendContext, load: ReceiverLoad) -> LinkQuality:
    """Return what a client has measured of its present connection; without one, nothing is known of the way.

    Args:
        context: way out of the client.
        load: messages that it receives.
    """
    session, goodput = context.session, context.scores.goodput_bytes_per_s
    _, unread_ns = load.unread(context.clock.now_ns())
    if session is None:
        return LinkQuality(decode_s_per_byte=load.decode_s_per_byte, unread_s=unread_ns / 1e9)
    round_trip = session.clock.round_trip
    return LinkQuality(
        rtt_s=None if round_trip is None else round_trip.smoothed_s,
        jitter_s=None if round_trip is None else round_trip.deviation_s,
        goodput_bytes_per_s=goodput or None,
        queue_delay_s=session.unsent_bytes / goodput if goodput else None,
        decode_s_per_byte=load.decode_s_per_byte,
        unread_s=unread_ns / 1e9,
    )

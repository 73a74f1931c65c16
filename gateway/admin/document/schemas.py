"""Schemas of the admin port: the objects in its answers, as its OpenAPI document describes them.

They are written by hand: the promises of an answer are decided, not derived. But for the summary, which promises the
fields of its snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.admin.document.optimizer_schemas import OPTIMIZER_SCHEMAS
from gateway.admin.document.schema_parts import (
    INTEGER,
    KNOB,
    MEASURED,
    NUMBER,
    STAGE,
    TEXT,
    Node,
    object_of,
    ref_to,
    schema_of,
)
from gateway.admin.reports.regret import REGRET_TEXTS
from gateway.admin.reports.summary import SUMMARY_TEXTS
from gateway.admin.reports.timeline import SERIES_TEXTS
from gateway.connections.collaboration.graph import Via
from gateway.connections.collaboration.pattern import GraphPattern
from gateway.connections.link_tier import TIERS
from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.overload.measures import ShedGroup
from gateway.connections.planning.ledger import Verdict
from gateway.connections.planning.settings import PlanMode
from gateway.connections.snapshots import CoreSnapshot
from gateway.connections.socket_counts import TcpInfo
from gateway.protocol.durability import Durability
from gateway.protocol.messages import ClientType, Kind
from gateway.protocol.state import State

_RATE: Final[Node] = {
    "type": ["number", "null"],
    "description": "Rate since an earlier list that was sorted by a rate, 0.5 to 60 s ago, whoever has asked for that; "
    "null: there was none, or this list is not sorted by a rate.",
}


def _timeline(texts: Mapping[str, str]) -> Node:
    """Return the schema of numbers over time, with the descriptions of the series."""
    series = {name: {"type": "array", "items": MEASURED, "description": text} for name, text in texts.items()}
    return object_of(
        start_s=NUMBER | {"description": "Unix time at which the recording began."},
        now_s=NUMBER | {"description": "Unix time of the answer, by the clock of the samples."},
        interval_s=INTEGER,
        times_s={"type": "array", "items": NUMBER, "description": "Unix time of each sample, at its end."},
        series=object_of(**series),
    )


SCHEMAS: Final[Node] = {
    "Kind": {"type": "string", "enum": [kind.value for kind in Kind]},
    "Durability": {"type": "string", "enum": [durability.value for durability in Durability]},
    "Tensor": object_of(name=TEXT, dtype=TEXT, shape={"type": "array", "items": INTEGER}),
    "Stream": object_of(
        id=INTEGER,
        name=TEXT,
        kind=ref_to("Kind"),
        epoch=INTEGER | {"description": "Higher for a stream of the same name that began later."},
        durability=ref_to("Durability"),
        first_offset={**INTEGER, "description": "Offset of the oldest message that can be read again."},
        next_offset=INTEGER | {"description": "Offset of the next message: the number of those published so far."},
        subscribers={
            **INTEGER,
            "description": "Connections that receive the stream itself; connected consumers, if it is acknowledged.",
        },
        viewers={**INTEGER, "description": "Receivers of views of the stream, counted for each view."},
        observers={**INTEGER, "description": "Connections that take an acknowledged stream without acknowledging."},
        consumers={
            **INTEGER,
            "description": "Clients, connected or not, for which messages are kept until they acknowledge them.",
        },
        pending={
            **INTEGER,
            "description": "Messages and record batches not yet acknowledged, counted for each consumer.",
        },
        published_bytes=INTEGER | {"description": "Bytes of all messages that were published to it."},
        delivered_messages={
            **INTEGER,
            "description": "Messages sent to receivers of the stream itself or queued for them, each receiver counted.",
        },
        conflated=INTEGER
        | {"description": "Versions of a state that newer ones replaced in queues, each receiver and view counted."},
        client_conflated=INTEGER
        | {"description": "Versions that were delivered, and replaced in clients whose programs are slow."},
        dropped=INTEGER | {"description": "Messages that were lost to receivers, each counted, also of views."},
        history_bytes=INTEGER | {"description": "Memory of its past, which receivers can read again."},
        unacknowledged_bytes={
            **INTEGER,
            "description": "Memory of the messages that are kept until its consumers acknowledge them.",
        },
        encodings={
            "type": "array",
            "items": object_of(
                chain=TEXT,
                ratio=MEASURED | {"description": "Size sent over size published, lately or as predicted."},
                receivers=INTEGER,
            ),
            "description": "Chains by which the gateway itself encodes payloads, and receivers that get them so; the "
            "others get them as published.",
        },
        published_encoding={
            **object_of(chain=TEXT, ratio=NUMBER | {"description": "Size published over size decoded."}),
            "type": ["object", "null"],
            "description": "Encoding of the newest message by its publisher; null: it came plain or as a patch, or the "
            "stream is not of kind `state`.",
        },
        newest={
            "type": ["array", "null"],
            "items": ref_to("Tensor"),
            "description": "Tensors of the newest message; null: the stream is empty, or not of kind `state`.",
        },
        messages_per_s=_RATE,
        bytes_per_s=_RATE,
    ),
    "Connection": object_of(
        peer=INTEGER | {"description": "Number of the connection; a client that comes back has another one."},
        address=TEXT
        | {
            "description": "Address and port of its socket, of a client behind a proxy those of the proxy; empty: none."
        },
        age_s=NUMBER | {"description": "Seconds for which it has been connected."},
        client_id=TEXT,
        client_type={"type": "string", "enum": [client_type.value for client_type in ClientType]},
        generation=INTEGER | {"description": "Grows with the time at which the program connected first."},
        agent=TEXT | {"description": "Software of the client, as it names itself."},
        subprotocol=TEXT | {"description": "`frys.v1`, `frys.v1.json`, or `local`: a publish or deletion over HTTP."},
        state={"type": "string", "enum": [state.value for state in State]},
        subscriptions=INTEGER,
        aliases=INTEGER | {"description": "Streams and addresses that it has opened to publish to."},
        transfers=INTEGER | {"description": "Large messages on their way from it."},
        asked=INTEGER | {"description": "Requests of this client that wait for a reply."},
        owed=INTEGER | {"description": "Requests that wait for a reply of this client."},
        groups={"type": "array", "items": TEXT, "description": "Groups whose requests it takes; 32 at most."},
        lagging={"type": "boolean", "description": "It does not keep up: messages wait for it in the gateway."},
        out_of_credit=INTEGER | {"description": "Subscriptions whose streams wait until the client grants more."},
        paced={"type": "boolean", "description": "States leave for it as it reads them, by a plan."},
        lowered=INTEGER | {"description": "Subscriptions that get their lower view, by a plan."},
        waiting_bytes=INTEGER | {"description": "Bytes that wait for it in the gateway."},
        conflated=INTEGER | {"description": "Versions of states that newer ones replaced in its outbox."},
        client_conflated=INTEGER | {"description": "States that were delivered and not read: its program is slow."},
        dropped=INTEGER
        | {"description": "Messages of `event` streams that had no room in its outbox, nor in history."},
        link=ref_to("Link"),
    ),
    "Link": object_of(
        score=NUMBER | {"description": "Quality of the link, 0 to 1, by the formula of the protocol."},
        bottleneck={"type": "string", "enum": [bottleneck.value for bottleneck in Bottleneck]},
        tier={
            "type": "string",
            "enum": [tier.name for tier in TIERS],
            "description": "Links of about one rate; the fastest if nothing has waited.",
        },
        rtt_s=MEASURED | {"description": "Round trip, smoothed; of one that keeps up as old as its last ping."},
        smallest_rtt_s=MEASURED | {"description": "Smallest round trip of the last minutes."},
        jitter_s=MEASURED | {"description": "Deviation of the round trip, smoothed."},
        goodput_bytes_per_s=MEASURED | {"description": "Rate at which it takes bytes when many wait."},
        queue_delay_s=MEASURED | {"description": "Time for which a message waits for those before it."},
        gap_share=MEASURED | {"description": "Share of the messages that were dropped."},
        conflated_share=MEASURED | {"description": "Share of the versions of states that newer ones replaced."},
        decode_s_per_byte=MEASURED | {"description": "As the client has reported; null: it has not."},
        unread_s=MEASURED | {"description": "Age of the oldest message that its program has not taken."},
        unread_bytes=INTEGER | {"description": "Bytes that its program has not taken, as its client has reported."},
        streams_behind=INTEGER
        | {"description": "Streams in which its program is behind, as its client has named them."},
        behind={
            "type": "array",
            "items": object_of(
                stream=TEXT,
                offset=INTEGER | {"description": "Its program has taken every message before it."},
                behind=INTEGER | {"description": "Messages, or versions of a state, from there to the last received."},
            ),
            "description": "Up to 8 of these streams, that in which its program is furthest behind first.",
        },
        tcp={
            "type": ["object", "null"],
            "properties": dict.fromkeys(TcpInfo._fields, NUMBER) | {"application_limited": {"type": "boolean"}},
            "description": "Counters of the operating system; null: the connection has kept up, or there are none.",
        },
    ),
    "Edge": object_of(
        source=TEXT | {"description": "`client_id` of the sender."},
        target=TEXT | {"description": "`client_id` of the receiver."},
        via={"type": "string", "enum": [via.value for via in Via]},
        messages_per_s=NUMBER,
        bytes_per_s=NUMBER,
    ),
    "Workflow": object_of(
        id=INTEGER,
        name=TEXT
        | {
            "description": "First segment of the names of its streams; of requests between clients that share no "
            "workflow, their address."
        },
        pattern={
            "type": "string",
            "enum": [pattern.value for pattern in GraphPattern],
            "description": "Shape in which messages go between its clients.",
        },
        confidence={
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "How clear the pattern is; below 0.5 while another one is ahead that has not stayed so.",
        },
        pattern_s=NUMBER | {"description": "Seconds for which it has had the pattern."},
        messages_per_s=NUMBER | {"description": "Rate of all messages, counted for each receiver; halves in 5 s."},
        bytes_per_s=NUMBER,
        clients=INTEGER | {"description": "Clients that have an edge."},
        panels=INTEGER | {"description": "Admin panels among them, which do not count for the pattern."},
        edges={
            "type": "array",
            "items": ref_to("Edge"),
            "description": "The heaviest edges, the heaviest first.",
        },
        participants={
            "type": "array",
            "items": object_of(
                client_id=TEXT,
                client_type={"type": ["string", "null"], "description": "null: it has gone, and was no panel."},
                peer={"type": ["integer", "null"], "description": "Number of its connection; null: it has gone."},
                age_s=MEASURED | {"description": "Age of the connection in seconds."},
            ),
            "description": "Clients of these edges, those of the heaviest first.",
        },
    ),
    "Adjustment": object_of(
        knob=KNOB,
        name=TEXT | {"description": "Workflow, `client_id` or group."},
        workflow=TEXT | {"description": "Workflow, or group, whose deliveries it changed."},
        before=NUMBER
        | {"description": "Value before; it is in force again if the verdict is `rolled_back` or `void`."},
        value=NUMBER | {"description": "Value that was tried; 0: the default, so that a setting has ended."},
        reason=TEXT | {"description": "Values that called for it, in words."},
        number=INTEGER | {"description": "Counts all adjustments that were judged since the gateway has started."},
        verdict={
            "type": "string",
            "enum": [verdict.value for verdict in Verdict],
            "description": "`kept`: it helps, or its end does no harm. `rolled_back`: it does not help. `void`: no "
            "effect could be told, since its place is gone or something else changed. `standing`: set without a trial, "
            "since no cost shows its effect; with the value 0 it has ended.",
        },
        effect=TEXT | {"description": "Effect that was measured, in words."},
        cost_before_s=NUMBER | {"description": "Mean seconds that messages waited before; 0: they were not measured."},
        cost_after_s=NUMBER | {"description": "The same behind the change."},
        age_s=NUMBER | {"description": "Seconds since the verdict."},
    ),
    "Plans": object_of(
        mode={"type": "string", "enum": [mode.value for mode in PlanMode]},
        look_s=NUMBER | {"description": "Time that the last look took."},
        failures=INTEGER | {"description": "Looks that have failed so far."},
        recess_s=NUMBER | {"description": "Seconds until plans are made again behind a failure; 0: they are made."},
        prefetch=object_of(
            hits=INTEGER | {"description": "Reads of the past of durable streams that were answered from memory."},
            misses=INTEGER | {"description": "Reads that had to be answered from the store."},
            held_bytes=INTEGER | {"description": "Bytes of the past that are in memory for those that join."},
        ),
        sent_ahead=INTEGER
        | {"description": "Receivers so far that got a version of a state as it was encoded before they joined."},
        plan=object_of(
            wanted={
                "type": "array",
                "items": object_of(knob=KNOB, name=TEXT, value=NUMBER, workflow=TEXT, reason=TEXT),
                "description": "Settings that the facts call for now; in force are those among `settings`.",
            },
            routes={
                "type": "array",
                "items": object_of(
                    group=TEXT, weights={"type": "array", "items": object_of(client_id=TEXT, weight=NUMBER)}
                ),
                "description": "Members of each group, with weights: the higher, the sooner it is likely to answer. In "
                "force where the setting `routing` is.",
            },
            moves={
                "type": "array",
                "items": object_of(workflow=TEXT, address=TEXT, reason=TEXT),
                "description": "Workflows that should go to another gateway; nothing acts upon it.",
            },
            shed_first={
                "type": "array",
                "items": {"type": "string", "enum": [each.value for each in ShedGroup]},
                "description": "Clients that are closed first in the stage `shed`, in this order.",
            },
            strategies={
                "type": "array",
                "items": object_of(workflow=TEXT, knobs={"type": "array", "items": KNOB}, reason=TEXT),
                "description": "Knobs that are tried in each workflow whose pattern is clear.",
            },
        ),
        settings={
            "type": "array",
            "items": object_of(
                knob=KNOB,
                name=TEXT,
                value=NUMBER,
                on_trial={"type": "boolean", "description": "Its effect is being measured: it may be rolled back."},
            ),
            "description": "Settings in force that are not the defaults.",
        },
        adjustments={
            "type": "array",
            "items": ref_to("Adjustment"),
            "description": "The last adjustments that were judged, the newest first.",
        },
    ),
    "Drain": object_of(
        draining={"type": "boolean"},
        connections=INTEGER | {"description": "Connections that stand."},
        untold=INTEGER | {"description": "Clients that have not been told yet."},
        left_s={
            "type": ["number", "null"],
            "description": "Seconds within which all are closed, from the answer to POST on; null: it does not stop.",
        },
    ),
    "Overload": object_of(
        stage=STAGE | {"description": "Measures that are taken against overload; `normal`: none."},
        stage_s=NUMBER | {"description": "Seconds for which the gateway has been in the stage."},
        reason=TEXT
        | {"description": "What led to the stage, in words, as measured when it began; empty: it is the first one."},
        loop_lag_s=NUMBER | {"description": "Lag of the event loop that all of its last measurements show."},
        resident_bytes=INTEGER | {"description": "Memory of the process; 0: the system does not tell it."},
        queued_bytes=INTEGER | {"description": "Bytes that wait, counted for each receiver."},
        memory_limit_bytes={"type": ["integer", "null"], "description": "Limit of the memory; null: there is none."},
        stages={
            "type": "array",
            "items": object_of(
                stage=STAGE,
                transitions=INTEGER | {"description": "Number of times that the stage was entered."},
                seconds=NUMBER | {"description": "Time spent in the stage."},
            ),
        },
    ),
    **OPTIMIZER_SCHEMAS,
    "RegretTimeline": _timeline(REGRET_TEXTS),
    "Timeline": _timeline(SERIES_TEXTS),
    "Summary": object_of(
        version=TEXT | {"description": "Version of the gateway."},
        time_s=NUMBER | {"description": "Time of the gateway's clock, for the rates at which counters grow."},
        **{
            name: schema | {"description": SUMMARY_TEXTS[name]}
            for name, schema in schema_of(CoreSnapshot)["properties"].items()
        },
    ),
    "Scope": object_of(
        id=INTEGER,
        scope=TEXT | {"description": "Name of a workflow or of a stream."},
        count=INTEGER | {"description": "Members."},
        watchers=INTEGER | {"description": "Connections that are told of the members."},
    ),
    "Member": object_of(
        id=INTEGER | {"description": "Higher for one that has joined later."},
        client_id=TEXT,
        client_type={"type": "string", "enum": [client_type.value for client_type in ClientType]},
        peer=INTEGER,
        generation=INTEGER,
        away={"type": "boolean", "description": "Its connection is lost, and it may come back."},
        metadata={"type": "object"},
        awareness={"type": ["object", "null"], "description": "Short-lived state, such as a cursor."},
    ),
    "Failure": object_of(
        type=TEXT | {"description": "`about:blank`: the code says all (RFC 9457)."},
        title=TEXT | {"description": "The same as `error`."},
        status=INTEGER | {"description": "Status of HTTP."},
        detail=TEXT | {"description": "The same as `message`."},
        code=INTEGER | {"description": "Code of section 12.1 of the protocol; below 1000: an HTTP status."},
        error=TEXT | {"description": "Name of the code."},
        message=TEXT | {"description": "Reason, with the values that caused it."},
    ),
}

"""The list of everything that a peer can make grow: each row has a test that reaches the bound."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"

REACHED_BY = {
    "read buffer, one for all connections": (
        "websocket/test_frame_reader.py:test_a_large_payload_is_read_where_it_stays"
    ),
    "buffers of large payloads that are used again, for all connections": (
        "websocket/test_spare_memory.py:test_few_and_no_large_buffers_are_kept"
    ),
    "verified tokens that are remembered, all of the gateway": (
        "security/test_verified_tokens.py:test_those_that_were_used_longest_ago_make_room"
    ),
    "file of revoked tokens": "security/test_revocations.py:test_a_damaged_file_changes_nothing",
    "patterns of a token": "security/test_permissions.py:test_claims_that_cannot_be_used",
    "decisions about permissions that are remembered, all of the gateway": (
        "security/test_permissions.py:test_so_many_decisions_are_remembered"
    ),
    "a token": "security/test_token_verifier.py:test_a_token_that_is_too_long",
    "reads of the file of keys": (
        "security/test_key_ring.py:test_names_that_are_unknown_do_not_have_the_file_read_again_and_again"
    ),
    "a WebSocket message on its way in": (
        "server/test_websocket.py:test_bad_websocket_messages_close_with_the_documented_code"
    ),
    "a message": "connections/inbound/test_router_refusals.py:test_a_message_above_the_limit",
    "large messages on their way in": "connections/inbound/test_chunked_uploads.py:test_too_many_transfers",
    "incomplete large messages of one client, under way or left by a lost connection": (
        "connections/inbound/test_partial_uploads.py:test_a_program_that_takes_over_has_all_the_room_of_its_client"
    ),
    "received bytes of incomplete large messages, all of the gateway": (
        "connections/inbound/test_partial_uploads.py:"
        "test_what_has_come_of_all_clients_is_bounded_and_what_is_left_behind_makes_room"
    ),
    "an incomplete large message without a new chunk": (
        "connections/inbound/test_partial_uploads.py:"
        "test_a_message_of_which_nothing_comes_is_given_up_and_its_sender_told"
    ),
    "outcomes of a producer's messages to one stream": (
        "streams/test_producers.py:test_the_last_ranges_are_kept_and_older_ones_forgotten"
    ),
    "producers without a connection, all streams of the gateway": (
        "streams/test_producers.py:test_of_those_that_are_away_the_oldest_is_forgotten_past_the_bound"
    ),
    "ranges of all these producers": (
        "streams/test_producers.py:test_of_those_that_are_away_the_oldest_are_forgotten_past_so_many_ranges"
    ),
    "small messages collected in one turn, a delivery class": (
        "connections/outbound/test_formats.py:test_small_runs_are_joined_up_to_a_bound"
    ),
    "messages and chunks of a stream that wait because encoding pays": (
        "connections/fanout/test_transcoder.py:test_what_need_not_be_encoded_is_not_when_the_threads_are_behind"
    ),
    "messages and chunks of a stream that wait because a receiver takes them only decoded or as text": (
        "connections/fanout/test_encode_queue.py:test_publishers_are_not_read_while_too_much_waits_for_threads"
    ),
    "messages that are being written as text, all of the gateway": (
        "connections/test_sliced_workers.py:test_so_many_pieces_of_work_have_begun_and_the_others_wait_in_their_order"
    ),
    "fields of the records of a batch as text, which repeat them": (
        "protocol/test_message_text.py:test_the_fields_that_all_records_of_a_batch_repeat_have_a_bound"
    ),
    "records of a batch": (
        "connections/inbound/test_router.py:test_a_batch_of_more_records_than_there_may_be_is_refused"
    ),
    "file descriptors in reserve": (
        "server/test_descriptors.py:test_sockets_beyond_the_limit_are_refused_counted_and_logged_once"
    ),
    "numbers of connections that are gone, for the heartbeat": (
        "connections/heartbeat/test_heartbeat.py:test_connections_that_are_gone_are_forgotten_at_their_next_turn"
    ),
    "head of the request that begins a WebSocket": (
        "server/test_websocket.py:test_a_request_head_without_an_end_is_refused"
    ),
    "a WebSocket message that is not complete, in however many fragments": (
        "server/test_library.py:test_fragments_are_kept_in_their_bytes_only"
    ),
    "input of a connection that is read and not handled": (
        "connections/sessions/test_backlog.py:test_the_bytes_that_wait_are_counted"
    ),
    "input of lost connections that is still handled, as far as it matters to others, all of the gateway": (
        "connections/sessions/test_backlog.py:test_the_input_of_all_lost_peers_has_a_bound"
    ),
    "bytes written and not taken by the system": (
        "server/test_websocket.py:test_a_socket_that_is_full_holds_back_its_own_messages_only"
    ),
    "bytes taken by the system and not sent yet, on Linux": (
        "server/test_write_limits.py:test_a_reader_that_stood_still_gets_few_versions_of_a_state_before_the_newest"
    ),
    "chunks, messages above 64 KiB that have waited, and messages above 256 KiB together, that the peer has not read": (
        "connections/outbound/test_bulk_window.py:test_the_window_stays_within_its_bounds"
    ),
    "streams in which the program of a client is behind, as it reports": (
        "connections/links/test_program_positions.py:test_those_named_last_are_kept"
    ),
    "links of connections that lag, have lagged of late, or have reported": (
        "connections/links/test_links.py:test_of_very_many_so_many_are_sampled_in_a_sweep_and_each_has_its_turn"
    ),
    "outbox, messages of `event` streams": (
        "connections/outbound/test_outbox.py:test_an_event_drops_its_oldest_messages_and_says_so"
    ),
    "acknowledgements held back, a stream": (
        "connections/outbound/test_delayed_acks.py:test_no_more_than_a_bound_are_held_back"
    ),
    "outbox, history that is read for a receiver": (
        "connections/outbound/test_outbox.py:test_very_many_streams_are_replayed_some_at_a_time"
    ),
    "outbox, messages of `state` streams": (
        "connections/outbound/test_stream_queue.py:test_deltas_may_wait_up_to_twice_the_size_of_what_they_stand_for"
    ),
    "outbox, requests and replies": "connections/requests/test_requests.py:test_a_replier_without_room",
    "control messages of up to 256 KiB, answers and WebSocket pongs": (
        "connections/outbound/test_connection.py:test_whoever_lets_too_many_urgent_messages_pile_up_is_closed"
    ),
    "larger control messages, and those behind them of their stream": (
        "connections/consumers/test_consumer_fanout.py:"
        "test_so_many_commands_may_wait_behind_a_large_one_of_their_stream"
    ),
    "unacknowledged messages, a stream of kind `collaboration` or `control`": (
        "connections/inbound/test_router_refusals.py:"
        "test_a_full_stream_takes_a_message_of_each_waiting_publisher_in_turn_and_nothing_past_twice_its_bound"
    ),
    "decoded or as text, messages of all acknowledged streams that other consumers may need, all of the gateway": (
        "connections/consumers/test_prepared_deliveries.py:test_what_was_delivered_is_kept_for_others_within_a_bound"
    ),
    "messages in flight, a subscription to `collaboration` streams": (
        "connections/consumers/test_consumer.py:test_no_more_is_under_way_than_was_granted"
    ),
    (
        "messages to a client that grants credit for all kinds (a page of a browser), sent and not finished, "
        "a subscription"
    ): "connections/outbound/test_credited_outbox.py:test_random_grants",
    "unacknowledged commands, a receiver of a `control` stream": (
        "connections/consumers/test_consumer.py:test_a_receiver_of_commands_may_have_so_many_pending"
    ),
    "consumers, all of the gateway: clients, present or waited for, each counted for each stream": (
        "connections/hub/test_announcer.py:test_there_are_so_many_consumers_of_all_streams_lost_ones_included"
    ),
    "patterns of clients that are waited for, all of the gateway": (
        "connections/consumers/test_detached_consumers.py:"
        "test_past_the_bound_the_clients_that_were_lost_first_are_forgotten"
    ),
    "dead letters of all streams in memory": (
        "connections/consumers/test_dead_letters.py:test_what_cannot_be_buried_stays_where_it_is"
    ),
    "stored progress of a consumer": "streams/test_progress.py:test_a_mark_tells_no_more_than_so_many_ranges",
    "unanswered requests to groups: of one asker, of the gateway": (
        "connections/sessions/test_outstanding_requests.py:test_only_so_much_is_kept"
    ),
    "withdrawn requests that a replier may still reply to": (
        "connections/sessions/test_outstanding_requests.py:test_as_many_late_replies_are_forgiven_as_may_be_outstanding"
    ),
    "scopes that a connection attends": (
        "connections/presence/test_presence_handler.py:test_a_connection_attends_so_many_scopes"
    ),
    "members of a scope; members and watchers of all scopes": (
        "connections/presence/test_presence_handler.py:test_all_scopes_have_so_many_members_and_watchers_together"
    ),
    "metadata, and awareness, of a member": (
        "connections/presence/test_presence_handler.py:test_metadata_and_awareness_have_a_bound"
    ),
    "metadata and awareness of all members, all of the gateway": (
        "connections/presence/test_presence_handler.py:test_all_members_have_so_much_metadata_and_awareness"
    ),
    "frames about members that a watcher has not read": (
        "connections/presence/test_roster_news.py:"
        "test_a_watcher_that_does_not_read_has_one_frame_waiting_and_gets_the_newest_when_it_does"
    ),
    "departures that watchers of a scope have not been told": (
        "connections/presence/test_roster_news.py:test_a_watcher_behind_very_many_ends_gets_the_roster_anew"
    ),
    "`agent` of a client": ("protocol/test_session_body.py:test_of_the_agent_of_a_client_the_beginning_is_kept"),
    "aliases, subscriptions, requests": (
        "connections/test_subscribe_handler.py:test_too_many_aliases_and_subscriptions"
    ),
    "meta block by which the next messages to an alias are recognized": (
        "connections/inbound/test_router.py:test_a_long_meta_block_is_not_kept_and_its_messages_are_taken_one_by_one"
    ),
    "JSON body: of OPEN, of other messages": (
        "connections/test_subscribe_parts.py:test_a_body_that_is_too_large_is_not_read"
    ),
    "lists and objects of such a body of more than 64 KiB": (
        "protocol/test_json_size.py:test_a_large_body_has_a_bounded_number_of_lists_and_objects"
    ),
    "text of a JSON client, without the base64 of its tensors": (
        "protocol/test_long_text.py:test_what_is_large_and_no_base64_is_not_parsed"
    ),
    "names of aliases of a JSON client": (
        "connections/text/test_session.py:test_names_of_aliases_are_forgotten_with_the_aliases"
    ),
    "streams that are received, each counted for each subscription: of a connection, of all": (
        "connections/hub/test_announcer.py:"
        "test_a_connection_receives_so_many_streams_each_counted_for_each_subscription"
    ),
    "streams that wait to be announced, each counted for each view": (
        "connections/hub/test_pending_joins.py:test_a_client_that_never_reads_its_announcements_is_closed"
    ),
    "streams that wait to be announced, all of the gateway": (
        "connections/hub/test_joins.py:"
        "test_clients_that_do_not_read_their_announcements_are_closed_before_they_hold_too_many"
    ),
    "SUBSCRIBEs of many streams that wait for an earlier one, a connection": (
        "connections/hub/test_joins.py:test_nothing_is_read_behind_one_subscription_too_many_that_waits"
    ),
    "SUBSCRIBEs of which not all parts have come": (
        "connections/test_subscribe_parts.py:test_another_one_in_parts_gives_the_first_one_up"
    ),
    "counts of streams that do not exist, in SUBSCRIBEs: of a connection, of all": (
        "connections/test_subscribe_parts.py:test_counts_of_streams_that_may_come_are_kept_up_to_a_bound"
    ),
    "counts of streams that have ended, a subscription": (
        "connections/outbound/test_delivery_accounts.py:test_few_streams_that_have_ended_are_remembered"
    ),
    "counts of streams that have ended or are yet to be announced: of a connection, of all": (
        "connections/outbound/test_delivery_accounts.py:test_counts_of_streams_without_an_account_have_a_bound"
    ),
    "views of a connection that have given way to others, about which reports may be under way": (
        "connections/outbound/test_delivery_accounts.py:"
        "test_another_view_goes_on_from_the_account_and_takes_reports_under_way_about_the_one_before"
    ),
    "large messages that a receiver has in part from an earlier connection": (
        "connections/hub/test_announcer.py:test_so_many_large_messages_go_on_from_an_earlier_connection"
    ),
    "history of a stream": "streams/test_history.py:test_what_is_read_is_what_was_appended_and_is_still_held",
    "histories, all of the gateway": "streams/test_history.py:test_all_together_hold_no_more_than_the_budget",
    "bytes that wait to be stored, all of the gateway": (
        "connections/inbound/test_commit_gate.py:test_publishes_are_refused_when_too_much_waits"
    ),
    "patches since the last keyframe of a state": (
        "streams/test_state.py:test_it_is_time_to_make_a_state_whole_when_as_much_is_kept_as_it_is_large"
    ),
    "events that wait to be computed, a view": (
        "connections/viewing/test_derivation.py:test_events_that_threads_cannot_keep_up_with_are_dropped_and_announced"
    ),
    "the same, all views": (
        "connections/viewing/test_view_queue.py:test_all_queues_together_are_bounded_and_each_keeps_two"
    ),
    "views, all of the gateway": "connections/hub/test_views.py:test_there_are_so_many_views_at_most",
    "newest messages of views, each counted as 4 KiB more: of a connection, of the gateway": (
        "connections/viewing/test_view_memory.py:"
        "test_views_of_a_connection_are_refused_past_its_bound_and_taken_again_when_others_have_gone"
    ),
    "views that are computed at a time": (
        "connections/viewing/test_view_turns.py:test_so_many_begin_and_the_next_when_one_ends"
    ),
    "bytes by which the newest versions of all states are larger decoded than as published, all of the gateway": (
        "streams/test_expansion.py:test_encoded_states_are_refused_past_the_bound_and_taken_plain"
    ),
    "receivers, groups and workflows that plans watch, settings that they have": (
        "connections/planning/facts/test_facts_reader.py:test_of_very_many_receivers_that_lag_some_are_watched"
    ),
    "past of durable streams in memory for those that join": (
        "connections/test_past_tails.py:test_tails_are_bounded_one_by_one_and_together"
    ),
    "streams whose reads from the store are counted": (
        "connections/test_past_tails.py:test_of_very_many_streams_some_are_counted"
    ),
    "streams whose arrivals are sampled, to know what a flush window would save": (
        "connections/planning/facts/test_arrival_watch.py:"
        "test_of_many_streams_the_busiest_are_sampled_and_none_that_takes_little"
    ),
    "streams of large messages that plans watch, and those whose chunks are larger": (
        "connections/planning/facts/test_large_streams.py:test_the_busiest_are_watched_until_they_fall_silent_or_end"
    ),
    "states whose joins are counted, to encode versions before the next ones": (
        "connections/joining/test_state_joins.py:test_of_very_many_streams_those_that_were_joined_last_are_counted"
    ),
    "states whose newest version is encoded before receivers join": (
        "connections/planning/rules/test_keyframes_ahead.py:"
        "test_of_many_states_those_that_most_join_come_first_and_those_that_are_encoded_stay"
    ),
    "messages that are followed for the delivery latency, and their latencies": (
        "connections/latency/test_sampling.py:test_messages_that_are_followed_are_bounded_and_end"
    ),
    "samples of the timelines of the admin port": (
        "admin/reports/test_rings.py:test_rings_keep_so_many_samples_however_long_they_are_filled"
    ),
    "body of a command to the admin port": ("admin/commands/test_command_body.py:test_another_body_is_refused"),
    "dead letters that are sent again at a time": (
        "admin/commands/test_dead_letters.py:test_a_letter_that_waits_for_room_holds_up_no_other"
    ),
    "dead letters of an answer of the admin port": (
        "admin/commands/test_dead_letters.py:test_what_cannot_be_sent_again"
    ),
    "consumers of a stream in an answer of the admin port": (
        "admin/reports/test_tasks.py:test_streams_page_by_page_and_by_pattern"
    ),
    "adjustments of plans that are remembered": (
        "connections/planning/test_ledger.py:test_of_very_many_adjustments_the_last_ones_are_kept_and_all_are_counted"
    ),
    "records of the traffic history that are open, all of the gateway": (
        "optimizer/history/test_recorder.py:test_so_many_records_are_open_and_further_streams_are_counted"
    ),
    "open records whose messages are counted, 20 times a second": (
        "optimizer/history/test_recorder.py:test_of_very_many_open_records_the_oldest_are_counted"
    ),
    "streams of which features of payloads are kept": (
        "optimizer/history/test_recorder.py:test_the_features_of_so_many_streams_are_kept"
    ),
    "connections of whose sockets the optimizer keeps counts": (
        "optimizer/history/test_quiet_links.py:test_links_are_bounded_and_those_without_counts_are_unknown"
    ),
    "payloads that wait for their features, all of the gateway": (
        "optimizer/history/test_recorder.py:test_so_many_payloads_wait_for_their_features_and_the_others_are_let_go"
    ),
    "payload that is decoded for a sample or for features, decoded": (
        "optimizer/test_sampled_policy.py:test_a_payload_that_declares_much_is_not_decoded"
    ),
    "records that wait for the process that writes the traffic history": (
        "optimizer/history/test_writer_process.py:"
        "test_past_a_bound_the_oldest_records_are_dropped_while_a_process_stands_still"
    ),
    "files of stored payloads": (
        "optimizer/payloads/test_payload_files.py:test_the_oldest_are_removed_past_the_size_also_those_of_other_writers"
    ),
    "payloads that wait to be stored": (
        "optimizer/payloads/test_payload_store.py:test_past_a_bound_the_oldest_payloads_are_dropped_and_counted"
    ),
    "streams of which the time of the last stored payload is known": (
        "optimizer/payloads/test_payload_store.py:test_what_is_known_of_streams_is_bounded"
    ),
    "files of the traffic history": (
        "optimizer/history/test_files.py:test_the_oldest_records_make_room_for_the_newest"
    ),
    "samples for shadow trials that wait or are tried, all of the gateway": (
        "optimizer/shadow/test_trial_worker.py:test_samples_are_tried_and_wiped"
    ),
    "streams for which a prediction waits, and trials that the process of predictions is to learn from": (
        "optimizer/prediction/test_predictor.py:test_the_oldest_requests_make_room"
    ),
    "trials that the model learns from": ("optimizer/prediction/test_program.py:test_the_oldest_trials_make_room"),
    "memory of the process of predictions, beyond its programs": (
        "optimizer/prediction/test_predictor.py:test_one_without_memory_fails_or_ends_and_the_gateway_goes_on"
    ),
    "CPU time of fits": (
        "optimizer/prediction/test_program.py:test_the_model_is_fitted_anew_as_trials_grow_and_not_often"
    ),
    "CPU time of shadow trials": "optimizer/shadow/test_cpu_budget.py:test_trials_take_their_share_and_no_more",
    "streams in the table of shadow trials": (
        "optimizer/shadow/test_trial_table.py:test_so_many_streams_are_kept_and_the_one_recorded_longest_ago_makes_room"
    ),
    "streams for which decisions about encodings are taken": (
        "optimizer/decisions/test_learned_policy.py:"
        "test_streams_and_profiles_beyond_the_bounds_are_left_to_the_baseline"
    ),
    "decisions that outlive the gateway": (
        "optimizer/decisions/test_decision_table.py:test_the_decision_that_was_taken_longest_ago_makes_room"
    ),
    "workflows with a collaboration graph, all of the gateway": (
        "connections/collaboration/test_workflows.py:test_a_workflow_that_is_idle_makes_room_for_another"
    ),
    "clients with edges, a workflow": (
        "connections/collaboration/test_graph.py:test_of_many_senders_and_receivers_the_heaviest_have_edges"
    ),
    "edges of all graphs, all of the gateway": (
        "connections/collaboration/test_workflows.py:test_edges_of_all_graphs_are_bounded"
    ),
    "flows counted between two sweeps, all of the gateway": (
        "connections/collaboration/test_flow_table.py:"
        "test_the_flows_of_all_workflows_are_bounded_and_give_their_room_back"
    ),
    "streams, all of the gateway": "streams/test_stream_registry.py:test_ids_differ_and_the_number_is_bounded",
    "connections": ("connections/admission/test_admission.py:test_connections_past_the_bound_are_told_to_come_later"),
    "connections that take part in a workflow, if `each_workflow` bounds them": (
        "connections/admission/test_participants.py:"
        "test_the_counts_are_those_of_all_aliases_and_subscriptions_and_never_above_the_bound"
    ),
    "workflows of which the queues have a budget": (
        "connections/overload/test_queue_budgets.py:"
        "test_a_workflow_has_a_budget_of_its_own_and_is_forgotten_when_nobody_lags"
    ),
    "dashboards that rest under overload": (
        "connections/overload/test_dashboard_states.py:"
        "test_dashboards_are_told_once_and_those_that_are_gone_are_forgotten"
    ),
    "clients that wait for their handshake": (
        "connections/admission/test_admission.py:test_a_gateway_that_cannot_keep_up_lets_so_many_wait_and_panels_in"
    ),
    "sockets that have not asked for a WebSocket": (
        "server/test_listener.py:test_of_very_many_half_open_sockets_the_oldest_is_dropped"
    ),
    "addresses whose handshakes are counted": (
        "connections/admission/test_addresses.py:"
        "test_of_very_many_addresses_the_one_that_was_seen_least_recently_is_forgotten"
    ),
    "sockets of one address, if `address_connections` bounds its connections": (
        "connections/admission/test_admission.py:"
        "test_one_address_has_so_many_connections_and_no_more_than_twice_as_many_sockets"
    ),
    "HTTP connections to the admin port": (
        "admin/http/test_http_connection.py:test_a_client_is_refused_while_there_is_work_on_all_connections"
    ),
    "pings of an operator that wait for their answer": (
        "connections/heartbeat/test_heartbeat.py:test_those_who_wait_no_more_are_forgotten"
    ),
    "requests that the admin port answers at once": (
        "admin/http/test_request_limit.py:test_past_the_limit_only_probes_are_answered"
    ),
    "counters of streams, for lists that are sorted by a rate": (
        "admin/reports/test_stream_rates.py:test_two_looks_are_kept_however_many_there_have_been"
    ),
    "uploads to the admin port": "admin/arrays/test_upload.py:test_more_uploads_than_the_gateway_takes",
    "head of an HTTP request, and trailers of its body": (
        "admin/http/test_http_connection.py:test_a_head_that_is_too_long"
    ),
    "dead letters known to have been sent again over HTTP": (
        "admin/commands/test_dead_letters.py:test_what_cannot_be_sent_again"
    ),
    "lines of the log for the admin port": (
        "admin/test_log_ring.py:test_the_last_lines_are_kept_and_older_ones_forgotten"
    ),
    "lines that one place in the code logs, all of the gateway": (
        "server/test_log_limit.py:test_a_place_has_so_many_lines_in_an_interval"
    ),
    "groups of a connection in the list of connections": (
        "connections/test_snapshots.py:test_of_many_groups_the_first_are_named"
    ),
}
"""Test that reaches the bound, by the first column of the row."""


def rows() -> list[str]:
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.partition("\n## Growth and its bounds\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| ")]
    return [line.split(" | ")[0].removeprefix("| ") for line in table[1:]]


def test_every_row_has_a_test_and_every_test_a_row() -> None:
    assert rows() == list(REACHED_BY)


@pytest.mark.parametrize("row", REACHED_BY)
def test_the_test_is_there(row: str) -> None:
    path, _, name = REACHED_BY[row].partition(":")
    assert re.search(rf"^(async )?def {name}\(", (TESTS / path).read_text(), re.MULTILINE), REACHED_BY[row]

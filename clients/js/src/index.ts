/** `@frys/client`: a client of a Frys Gateway, and the frames of its protocol. */

export { Client, connect } from "./client.ts";
export { Decoder, type DecoderOptions } from "./decoding/decoder.ts";
export { type ErrorFields, errorFields, errorFrom } from "./error_fields.ts";
export * from "./errors.ts";
export { Message, RecordBatch } from "./messages/message.ts";
export type { ClientOptions, Start, SubscribeOptions, View } from "./options.ts";
export type { PresenceChange } from "./presence/change_queue.ts";
export type { Presence } from "./presence/presence.ts";
export type { PresenceOptions } from "./presence/presences.ts";
export type { Member } from "./presence/roster_copy.ts";
export { bytesOf, joined } from "./protocol/buffers.ts";
export { checksumOf } from "./protocol/checksum.ts";
export { CODEC_NAMES, FILTER_NAMES } from "./protocol/codecs/offered.ts";
export { checkDeclared, type DecodeOptions, tensorsOf } from "./protocol/contents.ts";
export { type DataFields, type DataFrame, decodedBytes, parseData, writeData } from "./protocol/data.ts";
export { DTYPES, type Dtype } from "./protocol/dtypes.ts";
export { DURABILITIES, type Durability } from "./protocol/durability.ts";
export {
  type CodecStep,
  decode,
  decodeInto,
  distanceOf,
  type Encoded,
  type Encoding,
  encode,
  loadCodecs,
} from "./protocol/encoding.ts";
export type { JsonObject, JsonValue } from "./protocol/exact_json.ts";
export type { Extensions, Extent, Identity, Quantization } from "./protocol/extensions.ts";
export { bodyOf, type Frame, iterFrames } from "./protocol/frames.ts";
export { DEFAULT_LIMITS, type Limits, type WelcomeLimits } from "./protocol/limits.ts";
export type { LinkQuality } from "./protocol/link_quality.ts";
export * from "./protocol/messages.ts";
export { type Meta, parseMeta, type TensorSpec, writeMeta } from "./protocol/meta.ts";
export {
  type Attend,
  type Attending,
  type Awareness,
  type Members,
  type PresenceMessage,
  type PresentMember,
  WATCHINGS,
  type Watching,
} from "./protocol/presence.ts";
export { dequantize } from "./protocol/quantization.ts";
export type { RegionIndex, RegionKey } from "./protocol/regions.ts";
export { parseSession, writeSession } from "./protocol/session_body.ts";
export * from "./protocol/signals.ts";
export { type ArrayOf, type Element, payloadOf, Tensor, type TypedArray, viewTensors } from "./protocol/tensors.ts";
export {
  Assembler,
  type Chunk,
  type ChunkPlan,
  chunkCount,
  chunkSize,
  parseChunk,
  writeChunk,
} from "./protocol/transfers.ts";
export {
  type DataOpcode,
  Flag,
  isData,
  isJson,
  Opcode,
  type OpcodeName,
  opcodeName,
  SUBPROTOCOL_BINARY,
  SUBPROTOCOL_JSON,
} from "./protocol/wire.ts";
export type { OnError } from "./report.ts";
export type { Contents, Reply } from "./requests/contents.ts";
export type { Inbox, InboxOptions, ReplyOptions, Request } from "./requests/inbox.ts";
export type { RequestOptions } from "./requests/requester.ts";
export type { ArrayOptions, ArrayValue, Value } from "./sending/content.ts";
export type { CodecName } from "./sending/outbound_message.ts";
export type { MessageOptions, PublishOptions } from "./sending/publish_options.ts";
export type { TransmissionResult } from "./sending/result.ts";
export type { Backoff } from "./session/backoff.ts";
export { type Clock, SYSTEM_CLOCK, type Timer } from "./session/clock.ts";
export type { ClientState, TokenSource } from "./session/connection.ts";
export { SocketWires } from "./session/socket_wire.ts";
export type { RefusedHandshake, RefusedRequest, WebSocketLike, WebSocketType } from "./session/web_sockets.ts";
export type {
  AppliedPatch,
  Arrival,
  Decoded,
  Failure,
  Head,
  Inbound,
  Progress,
  Resumable,
  Wire,
  WireClosed,
  WireEvents,
  Wires,
} from "./session/wire.ts";
export type { Subscription, SubscriptionCounts } from "./subscribing/subscription.ts";
export type { Gap, StreamEnded } from "./subscribing/subscription_position.ts";
export type { Colormap, ColormapName } from "./tensors/colormap.ts";
export type { Nested } from "./tensors/nesting.ts";
export type { Numbers, PixelOptions, Pixels } from "./tensors/pixels.ts";
export type { Cut } from "./tensors/slicing.ts";

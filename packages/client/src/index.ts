/**
 * The HTTP API of a hardshare server as a typed library, for Node and browsers. Programs and the command `hardshare`
 * use it; it knows the API, never who serves it. What needs Node (tunnels, keys) is in `@hardshare/client/node`.
 */
export { type DeploymentsQuery, HardshareClient, type InstancesQuery } from "./hardshare-client.ts";
export { type ConnectionOptions, DEFAULT_TIMEOUT_MS, MAX_ANSWER_BYTES, normaliseServerUrl } from "./http-connection.ts";
export type { Transport, TransportAnswer, TransportRequest } from "./transport.ts";
export { type InstanceEventsOptions, STREAM_SILENCE_MS } from "./instance-events.ts";

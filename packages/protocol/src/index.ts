/**
 * Words on the wire: schemas of the HTTP API, of the host and hub channels, of the contract; ids, times, the error
 * catalogue. Every other package imports this one; it ships to browsers, so it imports nothing but zod.
 */
export * from "./access.ts";
export * from "./checks.ts";
export * from "./contract/contract.ts";
export * from "./contract/hours.ts";
export * from "./contract/monitors.ts";
export * from "./contract/programs.ts";
export * from "./contract/services.ts";
export * from "./durations.ts";
export * from "./error-answers.ts";
export * from "./errors.ts";
export * from "./filter-reports.ts";
export * from "./filter-rules/conditions.ts";
export * from "./filter-rules/http.ts";
export * from "./filter-rules/rosbridge.ts";
export * from "./filter-rules/rpc.ts";
export * from "./filter-rules/serial.ts";
export * from "./filter-rules/mqtt.ts";
export * from "./filter-rules/tcp.ts";
export * from "./handshake.ts";
export * from "./hooks.ts";
export * from "./host-channel.ts";
export * from "./host-names.ts";
export * from "./http-api.ts";
export * from "./hub-channel.ts";
export * from "./ids.ts";
export * from "./instances.ts";
export * from "./json-schemas.ts";
export * from "./parsing.ts";
export * from "./rest.ts";
export * from "./texts.ts";
export * from "./times.ts";
export * from "./tokens.ts";
export * from "./tunnel.ts";

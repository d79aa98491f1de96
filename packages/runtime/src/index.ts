/**
 * Node basics that every program shares: clock, randomness, logging, back-off, files, requests, child processes, lifelines,
 * failpoints. Knows nothing of robots, servers or databases.
 */
export * from "./allowance.ts";
export * from "./back-off.ts";
export * from "./clock.ts";
export * from "./deferred.ts";
export * from "./failpoints.ts";
export * from "./file-lock.ts";
export * from "./files.ts";
export * from "./folder-lock.ts";
export * from "./heap-growth.ts";
export * from "./http-request.ts";
export * from "./lifeline.ts";
export * from "./logging.ts";
export * from "./owned-parts.ts";
export * from "./paths.ts";
export * from "./pause.ts";
export * from "./programs.ts";
export * from "./random.ts";
export * from "./shipped-path.ts";
export * from "./time-limit.ts";
export * from "./turns.ts";
export * from "./within.ts";
export * from "./yaml-edits.ts";
export * from "./yaml-files.ts";

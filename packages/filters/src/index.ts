/**
 * Filters: programs between an instance and a device that decide, message by message, what passes. The host starts them
 * (through the command line); they know nothing of hosts, servers or instances. A filter that fails passes nothing.
 */
export { runHttpFilter, type RunHttpFilterOptions } from "./run-http-filter.ts";

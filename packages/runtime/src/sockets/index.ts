/** What Node does not tell of sockets by itself: how one ended, and that one was reset while nobody reads from it. */
export * from "./cut.ts";
export * from "./orderly-end.ts";
export * from "./reset-watch.ts";

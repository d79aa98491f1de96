/** The Node end of the channel: WebSockets by the library `ws`, and the registration that comes before a channel. */
export * from "./registration.ts";
export * from "./web-socket.ts";

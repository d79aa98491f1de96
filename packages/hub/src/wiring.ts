/** The parts of a hub that know no network, for a simulation to put one of its own around them. */
export { Endpoints } from "./endpoints.ts";
export { connectToServer } from "./hub-channel.ts";
export { findLogin, type Login, rulesFor } from "./logins.ts";

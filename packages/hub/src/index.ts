/**
 * The hub: tunnels of hosts and connections of users meet here. SSH ends, byte pipes, firewalls; no database, and no
 * secret but its own keys. Run by the command line's `hub`; told what to do by the server, over one channel.
 */
export { type Hub, startHub, type StartHubOptions } from "./hub.ts";

import { randomBytes } from "node:crypto";
import { createServer, type Socket } from "node:net";
import type { DeviceAddress } from "../run/device-address.ts";
import type { CompiledMqttRules } from "../rules/mqtt-rules.ts";
import type { FilterTools, RunningFilter } from "../run/filter-kind.ts";
import { listen } from "../run/listen.ts";
import type { BrokerCredentials } from "./connect-exchange.ts";
import { MqttConnection } from "./mqtt-connection.ts";

/**
 * Clients at the same time, with those that left and whose last words the broker has not yet taken; more are dropped as
 * they come. Each may hold two packets and some buffers in memory.
 */
const MAX_CLIENTS = 64;

export interface MqttFilterOptions extends FilterTools<CompiledMqttRules> {
  readonly broker: DeviceAddress;
  readonly credentials: BrokerCredentials;
}

/**
 * The `mqtt` filter: takes the place of a broker for clients, and of a client for the broker. Each client gets a
 * connection to the broker of its own. Packets are judged when they have come whole, and written anew.
 * Resolves when it listens. Dispose it to drop every connection.
 * @throws AppError `port_in_use`, `not_configured`
 */
export async function startMqttFilter(options: MqttFilterOptions): Promise<RunningFilter> {
  /** By their sockets, so that they are found from their first byte on. */
  const connections = new Map<Socket, MqttConnection>();
  const named = new Map<string, MqttConnection>();
  const accept = (socket: Socket) => {
    if (connections.size >= MAX_CLIENTS) return void socket.destroy();
    const names = new Set<string>();
    const connection: MqttConnection = new MqttConnection({
      ...options,
      socket,
      makeClientId,
      onNamed: (clientId) => {
        named.get(clientId)?.takeOver();
        named.set(clientId, connection);
        names.add(clientId);
      },
      onOver: () => {
        connections.delete(socket);
        for (const clientId of names) if (named.get(clientId) === connection) named.delete(clientId);
      },
    });
    connections.set(socket, connection);
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept);
  const listening = await listen(server, options);
  const cut = () => {
    for (const connection of connections.values()) connection.cut();
  };
  return {
    get address() {
      return listening.address;
    },
    cutAll() {
      cut();
      return listening.renew();
    },
    async [Symbol.asyncDispose]() {
      const closed = listening.close();
      cut();
      await closed;
    },
  };
}

/** Short and plain, as every broker takes it (§3.1.3.1). */
function makeClientId(): string {
  return `hardshare${randomBytes(7).toString("hex")}`;
}

import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { Random } from "@hardshare/runtime";
import { CONNECT_TIMEOUT_MS } from "../http/device-link.ts";
import type { DeviceAddress } from "../run/device-address.ts";
import type { CompiledRosbridgeRules } from "../rules/rosbridge-rules.ts";
import type { FilterTools, RunningFilter } from "../run/filter-kind.ts";
import { listen } from "../run/listen.ts";
import { DeviceWebSocket } from "../websocket/device-web-socket.ts";
import { relayMessages } from "../websocket/relay-messages.ts";
import { INPUT_LIMIT_BYTES, InputJudge } from "./input-judge.ts";
import { OpenOperations } from "./open-operations.ts";
import { OUTPUT_LIMIT_BYTES, OutputJudge } from "./output-judge.ts";

export interface RosbridgeFilterOptions extends FilterTools<CompiledRosbridgeRules> {
  /** Where rosbridge listens. */
  readonly device: DeviceAddress;
  readonly random: Random;
}

/** Connections beyond this are dropped as they come. */
const MAX_CONNECTIONS = 128;
/** How long a client may take to send its handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * The `rosbridge` filter: WebSockets of clients, each joined to a WebSocket of its own to the device. Every message is
 * judged when it has come whole, and written anew.
 * Resolves when it listens. Dispose it to drop every connection.
 * @throws AppError `port_in_use`; `not_configured` when the address is not one of this machine's
 */
export async function startRosbridgeFilter(options: RosbridgeFilterOptions): Promise<RunningFilter> {
  const { logger } = options;
  const streams = new Set<Duplex>();
  const devices = new Set<DeviceWebSocket>();
  const server = createServer({ headersTimeout: HANDSHAKE_TIMEOUT_MS, requestTimeout: HANDSHAKE_TIMEOUT_MS }, (_request, response) => {
    response.writeHead(426, { Connection: "close", Upgrade: "websocket" }).end("expected a WebSocket: here is rosbridge\n");
  });
  server.maxConnections = MAX_CONNECTIONS;
  const acceptor = new WebSocketServer({ noServer: true, clientTracking: false, maxPayload: INPUT_LIMIT_BYTES, perMessageDeflate: false });
  server.on("connection", (stream) => {
    streams.add(stream);
    stream.once("close", () => streams.delete(stream));
  });
  server.on("upgrade", (request, stream, head) => {
    stream.on("error", () => {}); // "close" follows
    // Those of clients that have left may still take what they sent last.
    if (devices.size >= MAX_CONNECTIONS) return void stream.destroy();
    const device = dial(options.device);
    devices.add(device);
    device.followReset(stream);
    device.once("close", () => devices.delete(device));
    const leave = () => device.terminate(); // also when the handshake is refused
    stream.once("close", leave);
    const fail = (error: Error) => {
      logger.warn("the device could not be asked", { because: error.message });
      refuse(stream, request, error);
    };
    device.once("error", fail);
    device.once("open", () => {
      device.off("error", fail);
      device.pause();
      acceptor.handleUpgrade(request, stream, head, (client) => {
        stream.off("close", leave);
        join(client, device, options);
        device.resume();
      });
    });
  });
  const listening = await listen(server, options);
  const drop = () => {
    for (const device of devices) device.reset(); // first: nothing more passes
    for (const stream of streams) stream.destroy();
  };
  return {
    get address() {
      return listening.address;
    },
    cutAll() {
      drop();
      return listening.renew();
    },
    async [Symbol.asyncDispose]() {
      const closed = listening.close();
      drop();
      await closed;
    },
  };
}

/** Begins to connect the device, which comes first, so that a client is not accepted in vain. */
function dial({ host, port }: DeviceAddress): DeviceWebSocket {
  const device = new DeviceWebSocket(`ws://${host.includes(":") ? `[${host}]` : host}:${port}/`, [], {
    handshakeTimeout: CONNECT_TIMEOUT_MS,
    followRedirects: false,
    maxPayload: OUTPUT_LIMIT_BYTES,
    perMessageDeflate: false,
  });
  device.on("error", () => {}); // "close" follows
  return device;
}

function refuse(stream: Duplex, { url }: IncomingMessage, error: Error): void {
  const text = `${JSON.stringify({ error: "device unreachable", because: `rosbridge opened no WebSocket: ${error.message}`, path: url })}\n`;
  const head = [
    "HTTP/1.1 502 Bad Gateway",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(text)}`,
    "Connection: close",
  ];
  stream.end(`${head.join("\r\n")}\r\n\r\n${text}`, () => stream.destroy());
}

function join(client: WebSocket, device: WebSocket, { rules, onDecision, random }: RosbridgeFilterOptions): void {
  const shared = { rules, onDecision, open: new OpenOperations(`${random.uuid()}:`) };
  const input = new InputJudge(shared);
  const output = new OutputJudge(shared);
  relayMessages({
    client,
    device,
    judge(direction, message) {
      if (direction === "out") return { onward: output.judge(message) };
      const { toDevice, toClient } = input.judge(message);
      return { onward: toDevice, back: toClient };
    },
    onBroken: (direction, { message }) => {
      const because = `the WebSocket broke: ${message}`;
      onDecision({ direction, mode: "enforce", decision: "block", rule: "strict", because, summary: "no message", isSign: false });
    },
  });
}

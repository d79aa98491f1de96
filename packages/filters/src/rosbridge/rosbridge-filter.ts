import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import type { Random } from "@hardshare/runtime";
import { CONNECT_TIMEOUT_MS, type DeviceAddress } from "../http/device-link.ts";
import type { CompiledRosbridgeRules } from "../rules/rosbridge-rules.ts";
import type { FilterTools, RunningFilter } from "../run/filter-kind.ts";
import { listen } from "../run/listen.ts";
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
    dial(options.device, stream).then(
      (device) => {
        device.pause();
        stream.once("close", () => device.terminate()); // also when the handshake is refused
        acceptor.handleUpgrade(request, stream, head, (client) => {
          join(client, device, options);
          device.resume();
        });
      },
      (error: Error) => {
        logger.warn("the device could not be asked", { because: error.message });
        refuse(stream, request, error);
      },
    );
  });
  const address = await listen(server, options);
  return {
    address,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const stream of streams) stream.destroy();
      await closed;
    },
  };
}

/** Connects the device first, so that a client is not accepted in vain. @throws Error when it can't be, or the client leaves */
function dial({ host, port }: DeviceAddress, client: Duplex): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const device = new WebSocket(`ws://${host.includes(":") ? `[${host}]` : host}:${port}/`, {
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      followRedirects: false,
      maxPayload: OUTPUT_LIMIT_BYTES,
      perMessageDeflate: false,
    });
    const leave = () => {
      device.terminate();
      reject(new Error("the client has left"));
    };
    client.once("close", leave);
    device.on("error", (error) => {
      client.off("close", leave);
      reject(error);
    });
    device.once("open", () => {
      client.off("close", leave);
      resolve(device);
    });
  });
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
      onDecision({ direction, mode: "enforce", decision: "block", rule: "strict", because, summary: "no message" });
    },
  });
}

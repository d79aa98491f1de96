import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, type Socket } from "node:net";
import { text } from "node:stream/consumers";

/** For tests: a real HTTP server that records every byte that reaches it. It is the oracle of what a filter let through. */
export interface RecordingDevice extends AsyncDisposable {
  readonly port: number;
  readonly server: Server;
  /** The bytes of each connection, in the order in which they were opened. */
  readonly connections: { bytes: string; isOpen: boolean; closed: Promise<void> }[];
  /** `METHOD target body` of each request that was read to its end. */
  readonly requests: string[];
}

/** Answers every request with its own body, unless told otherwise. */
export async function startRecordingDevice(answer?: RequestListener): Promise<RecordingDevice> {
  const connections: RecordingDevice["connections"] = [];
  const requests: string[] = [];
  const server = createServer(
    answer ??
      ((request, response) => {
        text(request).then(
          (body) => {
            requests.push(`${request.method} ${request.url} ${body}`);
            response.setHeader("Content-Type", "text/plain");
            response.end(body);
          },
          () => {}, // cut off: not a request
        );
      }),
  );
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    const record = { bytes: "", isOpen: true, closed: new Promise<void>((resolve) => socket.once("close", () => resolve())) };
    connections.push(record);
    socket.on("data", (chunk: Buffer) => {
      record.bytes += chunk.toString("latin1");
    });
    socket.once("close", () => {
      record.isOpen = false;
      sockets.delete(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    server,
    connections,
    requests,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

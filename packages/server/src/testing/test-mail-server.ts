import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Moments } from "./moments.ts";

/** A letter as it came: from whom and to whom by the envelope, and all that was sent as its content. */
export interface Letter {
  from: string;
  to: string[];
  content: string;
}

/** A mail server that takes every letter, or none, and keeps what it took (SMTP, RFC 5321, without extensions). */
export class TestMailServer implements AsyncDisposable {
  readonly letters: Letter[] = [];
  readonly moments = new Moments();
  /** Whether it says that it has no room. */
  isFull = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      this.#serve(socket);
    });
  }

  static async start(): Promise<TestMailServer> {
    const server = new TestMailServer();
    server.#server.listen(0, "127.0.0.1");
    await once(server.#server, "listening");
    return server;
  }

  get url(): string {
    return `smtp://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    let buffered = "";
    let letter: Letter = { from: "", to: [], content: "" };
    let isContent = false;
    const answer = (line: string) => socket.write(`${line}\r\n`);
    const onLine = (line: string) => {
      if (isContent) {
        if (line !== ".") return void (letter.content += `${line}\n`);
        isContent = false;
        this.letters.push(letter);
        letter = { from: "", to: [], content: "" };
        answer("250 taken");
        return this.moments.pass();
      }
      const [, command = "", rest = ""] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
      const address = /<(.*)>/.exec(rest)?.[1] ?? "";
      switch (command.toUpperCase()) {
        case "MAIL":
          letter.from = address;
          return answer("250 ok");
        case "RCPT":
          if (this.isFull) return answer("452 no room");
          letter.to.push(address);
          return answer("250 ok");
        case "DATA":
          isContent = true;
          return answer("354 go on");
        case "QUIT":
          return void socket.end("221 bye\r\n");
        default:
          return answer("250 test");
      }
    };
    answer("220 test");
    socket.on("data", (chunk) => {
      buffered += chunk.toString();
      const lines = buffered.split("\r\n");
      buffered = lines.pop() ?? "";
      for (const line of lines) onLine(line);
    });
  }
}

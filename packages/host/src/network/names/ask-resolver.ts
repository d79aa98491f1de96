import { createSocket } from "node:dgram";
import { Resolver } from "node:dns";
import { connect, isIPv6 } from "node:net";
import type { Packet } from "dns-packet";
import type { Clock, Random } from "@hardshare/runtime";
import { MessageReader, writeMessage } from "./message-stream.ts";
import { encodeQuestion, type NameQuery, readAnswer } from "./name-query.ts";

/** How long one resolver may take. Programs in the instance wait 5 s, and ask again. */
const ANSWER_WITHIN_MS = 2000;
const MAX_SERVERS = 3;
const NAME_SERVER_PORT = 53;

export interface ResolverOptions {
  clock: Clock;
  random: Random;
  /** Where resolvers listen, as `dns.setServers` takes it; those of this computer unless told otherwise. */
  servers?: (() => readonly string[]) | undefined;
}

/** Asks the resolvers of this computer, one after the other. @returns undefined when none of them answers */
export async function askResolver(query: NameQuery, options: ResolverOptions): Promise<Packet | undefined> {
  // A new one reads the computer's settings, which change when it is connected elsewhere.
  const servers = options.servers?.() ?? new Resolver().getServers();
  for (const server of servers.slice(0, MAX_SERVERS)) {
    const at = parseServer(server);
    const answer = await ask(query, options, (message, take, signal) => askByDatagram(at, message, take, signal));
    if (answer === undefined) continue;
    if (!answer.isTruncated) return answer.packet;
    const whole = await ask(query, options, (message, take, signal) => askByStream(at, message, take, signal));
    if (whole !== undefined) return whole.packet;
  }
  return undefined;
}

interface Place {
  host: string;
  port: number;
}

type Answer = NonNullable<ReturnType<typeof readAnswer>>;
type Take = (message: Buffer) => void;

async function ask(
  query: NameQuery,
  { clock, random }: ResolverOptions,
  send: (message: Buffer, take: Take, signal: AbortSignal) => Promise<void>,
): Promise<Answer | undefined> {
  const id = random.bytes(2).readUInt16BE(0);
  const end = new AbortController();
  using _timer = clock.after(ANSWER_WITHIN_MS, () => end.abort());
  let answer: Answer | undefined;
  await send(
    encodeQuestion(query, id),
    (message) => {
      answer ??= readAnswer(message, query, id);
      if (answer !== undefined) end.abort();
    },
    end.signal,
  );
  return answer;
}

/** Connected, so that the kernel takes answers of none but the one who was asked. Settles when `signal` is aborted, or it failed. */
function askByDatagram({ host, port }: Place, message: Buffer, take: Take, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host.split("%")[0] ?? "") ? "udp6" : "udp4");
    let isOpen = true;
    const end = () => {
      signal.removeEventListener("abort", end);
      if (isOpen) socket.close(() => resolve());
      isOpen = false;
    };
    socket.on("error", end);
    socket.on("message", take);
    socket.connect(port, host, () => socket.send(message));
    signal.addEventListener("abort", end, { once: true });
  });
}

function askByStream({ host, port }: Place, message: Buffer, take: Take, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    const reader = new MessageReader(take);
    socket.on("error", () => {});
    socket.once("close", () => resolve());
    socket.on("data", (chunk: Buffer) => reader.push(chunk));
    socket.once("connect", () => writeMessage(socket, message));
  });
}

/** `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353` */
function parseServer(text: string): Place {
  const [, bracketed, port] = /^\[(.+)\]:(\d+)$/.exec(text) ?? /^([^:]+):(\d+)$/.exec(text) ?? [];
  return bracketed === undefined ? { host: text, port: NAME_SERVER_PORT } : { host: bracketed, port: Number(port) };
}

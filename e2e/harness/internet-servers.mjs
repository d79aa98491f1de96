/**
 * What listens at the far side of an instance, started by `far-internet.ts` inside a network namespace: servers that
 * write down who reached them, or a resolver that knows a few names. Prints a line of JSON for each event.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { decode, encode, streamEncode } from "dns-packet";

const { port, resolvers } = JSON.parse(process.argv[2] ?? "{}");
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

/** Servers of TCP and UDP at every address. A datagram says to whom it was sent. */
function listen(done) {
  const server = createServer((socket) => {
    say({ by: "tcp", to: socket.localAddress.replace(/^::ffff:/, "") });
    socket.on("error", () => {}).end("hello\n");
  });
  // At each address, because what answers at all of them answers from another than was asked.
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const places = ["::", ...all.filter((each) => each.scopeid === undefined || each.scopeid === 0).map((each) => each.address)];
  let waiting = places.length;
  const begin = () => {
    for (const place of places) {
      const datagrams = createSocket({ type: place.includes(":") ? "udp6" : "udp4", ipv6Only: false, reuseAddr: true });
      datagrams.on("message", (message, from) => {
        say({ by: "udp", to: message.toString("utf8", 0, 100) });
        datagrams.send("hello\n", from.port, from.address, () => {});
      });
      datagrams.bind(port, place, () => (waiting -= 1) === 0 && done());
    }
  };
  server.listen(port, "::", begin);
}

// It ends with the test, also with one that is killed.
process.stdin.once("end", () => process.exit()).resume();

let rebinds = 0;
const address =
  (type, ...all) =>
  (name) =>
    all.map((data) => ({ type, name, ttl: 0, data }));
/** What is known of each name and type; an `HTTPS` record as bytes, with a hint of a private address. */
const ZONE = {
  "public.example A": address("A", "8.8.8.8"),
  "public.example AAAA": address("AAAA", "2606:4700::8"),
  "mixed.example A": address("A", "192.168.77.9", "8.8.8.8"),
  "private.example A": address("A", "10.77.0.9"),
  "private.example AAAA": address("AAAA", "fd77::9"),
  "mapped.example AAAA": address("AAAA", "::ffff:10.77.0.9"),
  "translated.example AAAA": address("AAAA", "64:ff9b::a4d:9"),
  "chain.example A": (name) => [
    { type: "CNAME", name, ttl: 0, data: "inner.example" },
    { type: "A", name: "inner.example", ttl: 0, data: "10.77.0.9" },
  ],
  "rebind.example A": (name) => address("A", rebinds++ % 2 === 0 ? "8.8.8.8" : "10.77.0.9")(name),
  "long.example TXT": (name) =>
    Array.from({ length: 20 }, (_, index) => ({ type: "TXT", name, ttl: 0, data: [`${index}`.padEnd(200, "x")] })),
};

function answer(message, isDatagram) {
  const { id, questions } = decode(message);
  const [{ name, type }] = questions;
  say({ by: isDatagram ? "dns" : "dns over tcp", to: `${name} ${type}` });
  const answers = ZONE[`${name.toLowerCase()} ${type}`]?.(name);
  const packet = { type: "response", id, flags: answers === undefined ? 3 : 0, questions, answers: answers ?? [] };
  const whole = encode(packet);
  if (!isDatagram) return streamEncode(packet);
  return whole.length <= 1232 ? whole : encode({ ...packet, flags: 1 << 9, answers: [] });
}

function resolve(host, done) {
  const datagrams = createSocket(host.includes(":") ? "udp6" : "udp4");
  datagrams.on("message", (message, from) => datagrams.send(answer(message, true), from.port, from.address));
  const server = createServer((socket) => {
    socket.on("error", () => {}).once("data", (chunk) => socket.end(answer(chunk.subarray(2), false)));
  });
  datagrams.bind(53, host, () => server.listen(53, host, done));
}

const works = [...(resolvers ?? []).map((host) => (done) => resolve(host, done)), ...(port === undefined ? [] : [listen])];
let left = works.length;
for (const work of works) work(() => (left -= 1) === 0 && say("ready"));

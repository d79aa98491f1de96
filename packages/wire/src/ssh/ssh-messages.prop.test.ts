import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { FORWARD_PORT } from "@hardshare/protocol";
import fc from "fast-check";
import ssh2 from "ssh2";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parsePublicKey } from "./public-key.ts";
import { internalsOf } from "./ssh2-internals.ts";
import { makeEcho, SshWorld } from "./testing/ssh-world.fixture.ts";

let world: SshWorld;
beforeEach(async () => {
  world = await SshWorld.start();
  await world.startForwarder(async () => makeEcho());
});
afterEach(() => world?.[Symbol.asyncDispose]());

/** A field of a message (RFC 4251, section 5): small and huge numbers, flags, strings of bytes, names that mean something. */
const number = fc.oneof(fc.nat(3), fc.nat(200), fc.constantFrom(1024, 32_768, 200_000, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff)).map(uint32);
const flag = fc.nat(2).map((value) => Buffer.of(value));
const name = fc
  .oneof(
    fc.constantFrom("", "direct-tcpip", "forwarded-tcpip", "session", "x11", "tcpip-forward", "cancel-tcpip-forward", "shell", "exec"),
    fc.constantFrom(
      "keepalive@openssh.com",
      "no-more-sessions@openssh.com",
      "streamlocal-forward@openssh.com",
      "hostkeys-prove-00@openssh.com",
    ),
    fc.constantFrom("h-1", "ssh-connection", "ssh-userauth", "publickey", "none", "password", "keyboard-interactive", "hostbased"),
    fc.constantFrom("ssh-ed25519", "rsa-sha2-256", "ssh-rsa", "ecdsa-sha2-nistp256", "127.0.0.1", "pty-req", "env", "exit-signal"),
    fc.string({ unit: "binary", maxLength: 10 }),
  )
  .map((text) => string(Buffer.from(text)));
const blob = fc
  .oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.nat(40_000).map((length) => new Uint8Array(Math.min(length, 30_000))),
  )
  .map(string);
const raw = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes));

function exactly(text: string): fc.Arbitrary<Buffer> {
  return fc.constant(string(Buffer.from(text)));
}

/** A message with the fields that it should have, or any fields. */
function message(type: number, ...fields: fc.Arbitrary<Buffer>[]): fc.Arbitrary<Buffer> {
  return fc
    .oneof(
      { arbitrary: fc.tuple(...fields), weight: 30 },
      { arbitrary: fc.array(fc.oneof(number, flag, name, blob, raw), { maxLength: 6 }), weight: 1 },
    )
    .map((parts) => Buffer.concat([Buffer.of(type), ...parts]));
}

/** All that may come on a connection that has logged in (RFC 4253, 4254), in any order. */
const packetSize = fc.constantFrom(1024, 32_768).map(uint32);
const streamMessage = fc.oneof(
  message(90, exactly("direct-tcpip"), number, number, packetSize, name, number, name, number), // open
  message(93, number, number), // window
  message(94, number, blob), // data
  message(96, number), // end of data
  message(97, number), // close
  message(98, number, name, flag, name), // request about a channel
  message(80, name, flag, name, number), // request about the connection
);
const oddMessage = fc.oneof(
  message(90, name, number, number, number, name, number, name, number),
  message(91, number, number, number, number), // confirmation of a channel
  message(92, number, number, name, name), // refusal of one
  message(95, number, number, blob), // extended data
  message(99, number),
  message(100, number),
  message(81, number),
  message(82),
  message(50, name, name, name), // another login
  message(5, name), // another service
  message(2, blob),
  message(3, number),
  message(4, flag, name, name),
  message(1, number, name, name), // disconnect
  message(20, raw, name, name, name, name), // key exchange
  message(21), // new keys
  message(30, blob),
  fc.nat(255).chain((type) => message(type, raw)),
);
const connectionMessage = fc.oneof({ arbitrary: streamMessage, weight: 12 }, { arbitrary: oddMessage, weight: 1 });

/** What comes before and during login (RFC 4252). */
const publicKey = fc.constantFrom("user", "other").map((who) => {
  const line = who === "user" ? world.user.publicKey : world.hostKey.publicKey;
  return string(parsePublicKey(line).blob);
});
const keyType = fc.constantFrom("ssh-ed25519", "ssh-rsa", "rsa-sha2-256", "ecdsa-sha2-nistp256").map((text) => string(Buffer.from(text)));
/** Of a key's type and 64 bytes, or of anything. */
const signature = fc.oneof(
  fc
    .uint8Array({ minLength: 64, maxLength: 64 })
    .map((bytes) => string(Buffer.concat([string(Buffer.from("ssh-ed25519")), string(bytes)]))),
  blob,
);
const loginMessage = fc.oneof(
  {
    arbitrary: message(50, exactly("h-1"), exactly("ssh-connection"), exactly("publickey"), flag, keyType, publicKey, signature),
    weight: 10,
  },
  message(50, name, name, name, flag, name, blob, blob),
  message(5, name),
  message(61, number, name),
  connectionMessage,
);

async function connectClient(user: string): Promise<{ socket: Socket; client: ssh2.Client; left: Promise<unknown> }> {
  const socket = connect(world.port, "127.0.0.1");
  const left = once(socket, "close").catch(() => {});
  const client = new ssh2.Client();
  client.on("error", () => {});
  client.connect({ sock: socket, username: user, privateKey: world.user.privateKey, strictVendor: false });
  return { socket, client, left };
}

/** Encrypts and sends a message of our own making, as ssh2 sends its own. */
function sendRaw(client: ssh2.Client, payload: Buffer): void {
  const { _packetRW: packets, _cipher: cipher } = internalsOf(client)._protocol as unknown as {
    _packetRW: { write: { allocStart: number; alloc(size: number): Buffer; finalize(packet: Buffer): Buffer } };
    _cipher: { encrypt(packet: Buffer): void };
  };
  const start = packets.write.allocStart;
  const packet = packets.write.alloc(payload.length);
  packet.set(payload, start);
  cipher.encrypt(packets.write.finalize(packet));
}

/** A stream of somebody else, who must not notice. */
async function expectWorks(): Promise<void> {
  const stream = await world.openForwarded();
  stream.end("still here");
  let answer = "";
  for await (const chunk of stream) answer += String(chunk);
  expect(answer).toBe("still here");
}

test("whatever a client sends that has logged in, it is answered or dropped, and others go on", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(connectionMessage, { maxLength: 30 }), fc.boolean(), async (messages, doesForward) => {
      const { socket, client, left } = await connectClient("h-1");
      await once(client, "ready");
      if (doesForward) await new Promise<void>((resolve) => client.forwardIn("", FORWARD_PORT, () => resolve()));
      for (const payload of messages) sendRaw(client, payload);
      socket.end();
      await left;
    }),
  );
  await expect.poll(() => world.sessions.length).toBe(1);
  await expectWorks();
});

test("whatever a client sends to log in, only the key's holder gets in", async () => {
  const before = world.logInCount;
  await fc.assert(
    fc.asyncProperty(fc.array(loginMessage, { maxLength: 30 }), async (messages) => {
      const { socket, client, left } = await connectClient("nobody");
      client.once("handshake", () => {
        for (const payload of messages) sendRaw(client, payload);
        socket.end();
      });
      await left;
    }),
  );
  expect(world.logInCount).toBe(before);
  await expectWorks();
});

test("whatever comes in place of a handshake, the connection is dropped, and others go on", async () => {
  const packet = fc
    .tuple(fc.oneof(fc.nat(40), fc.nat(0xffff_ffff)), fc.nat(255), fc.uint8Array({ maxLength: 60 }))
    .map(([length, padding, bytes]) => Buffer.concat([uint32(length), Buffer.of(padding), bytes]));
  const piece = fc.oneof(
    fc
      .constantFrom("SSH-2.0-x\r\n", "SSH-2.0-", "SSH-1.5-x\r\n", "GET / HTTP/1.1\r\n\r\n", "\r\n", "\n", "\0", "x".repeat(300))
      .map((text) => Buffer.from(text)),
    fc
      .tuple(fc.constantFrom(20, 21, 30, 50), raw)
      .map(([type, rest]) => Buffer.concat([uint32(rest.length + 6), Buffer.of(4, type), rest, Buffer.alloc(4)])),
    packet,
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), fc.boolean(), async (pieces, isCut) => {
      const socket = connect({ port: world.port, host: "127.0.0.1", noDelay: true });
      socket.on("error", () => {}).resume();
      await once(socket, "connect");
      for (const bytes of pieces) {
        socket.write(bytes);
        if (isCut) await new Promise(setImmediate);
      }
      socket.end();
      if (!socket.closed) await once(socket, "close").catch(() => {});
    }),
  );
  await expectWorks();
});

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function string(bytes: Uint8Array): Buffer {
  return Buffer.concat([uint32(bytes.length), bytes]);
}

import {
  AppError,
  CHANNEL_VERSION,
  OLDEST_CHANNEL_VERSION,
  type PeerRole,
  peerTranscript,
  serverTranscript,
  toAppError,
} from "@hardshare/protocol";
import { encodeBase64 } from "./base64.ts";
import { HANDSHAKE_TIMEOUT_MS } from "./connect-channel.ts";
import { FrameChannel } from "./frame-channel.ts";
import type { MessageSocket } from "./message-socket.ts";
import type { ChannelClock, ChannelCrypto, ChannelRandom, MessageSchema } from "./needs.ts";

/** The fields of `hello` that every peer sends (protocol's `HelloBase`). */
interface HelloFields {
  id: string;
  version: number;
  session: string;
  nonce: string;
  signature: string;
}

export interface AcceptChannelOptions<Hello extends HelloFields, In> {
  socket: MessageSocket;
  role: PeerRole;
  hello: MessageSchema<Hello>;
  receive: MessageSchema<In>;
  /** The server's identity key. */
  privateKey: string;
  publicKey: string;
  /** The pinned public key line of this id, or undefined when it never registered. */
  lookUpKey(id: string): Promise<string | undefined>;
  /** Called when the peer has proved its key, before `welcome`. Throw an AppError to refuse it with that code and message. */
  admit(hello: Hello): Promise<void>;
  now(): Date;
  crypto: ChannelCrypto;
  clock: ChannelClock;
  random: ChannelRandom;
}

export interface AcceptedChannel<Hello, In, Out> {
  hello: Hello;
  /** Not handling yet: call `channel.handle` when ready. */
  channel: FrameChannel<In, Out>;
}

/**
 * Does the server's half of the handshake. A peer that is not admitted is told why, then closed.
 * @throws AppError why the peer was not admitted
 */
export async function acceptChannel<Hello extends HelloFields, In, Out>(
  options: AcceptChannelOptions<Hello, In>,
): Promise<AcceptedChannel<Hello, In, Out>> {
  const { role, crypto } = options;
  let isGreeted = false;
  const serverNonce = encodeBase64(options.random.bytes(32));
  // Until the peer is admitted its frames are read as `hello`, afterwards as messages.
  const receive: MessageSchema<Hello | In> = { safeParse: (data) => (isGreeted ? options.receive : options.hello).safeParse(data) };
  const channel = new FrameChannel<Hello | In, unknown>({ socket: options.socket, receive, clock: options.clock, watch: "answers" });
  using _timeout = options.clock.after(HANDSHAKE_TIMEOUT_MS, () => {
    if (!isGreeted) channel.close("no hello in time");
  });
  try {
    channel.send({ type: "challenge", oldestVersion: OLDEST_CHANNEL_VERSION, newestVersion: CHANNEL_VERSION, nonce: serverNonce });
    const hello = (await channel.next()) as Hello;
    isGreeted = true;
    if (hello.version < OLDEST_CHANNEL_VERSION || hello.version > CHANNEL_VERSION) {
      throw new AppError(
        "version_mismatch",
        `this ${role} speaks channel version ${hello.version}, the server ${OLDEST_CHANNEL_VERSION}–${CHANNEL_VERSION}: upgrade the ${hello.version > CHANNEL_VERSION ? "server" : role}`,
      );
    }
    const key = await options.lookUpKey(hello.id);
    if (key === undefined) {
      throw new AppError("identity_refused", `no ${role} with the id ${hello.id} is registered at this server; register it`);
    }
    if (!crypto.verify(key, peerTranscript(role, hello.id, serverNonce, hello.nonce), hello.signature)) {
      throw new AppError(
        "identity_refused",
        `the identity key of ${role} ${hello.id} is not the one that was pinned when it registered; register it again`,
      );
    }
    await options.admit(hello);
    channel.send({
      type: "welcome",
      version: hello.version,
      signature: crypto.sign(options.privateKey, serverTranscript(role, hello.id, serverNonce, hello.nonce)),
      serverKey: options.publicKey,
      serverTime: options.now().toISOString(),
    });
    return { hello, channel: channel as unknown as FrameChannel<In, Out> };
  } catch (error) {
    const refusal = toAppError(error);
    channel.send({ type: "refused", code: refusal.code, message: refusal.message });
    channel.close("refused");
    throw refusal;
  }
}

import type { Duplex } from "node:stream";
import { AppError } from "@hardshare/protocol";
import ssh2 from "ssh2";

/** Types of host keys, the best first: a server shows the first that it has. */
const HOST_KEY_TYPES = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
] as const;

/**
 * Learns the host key of an SSH server, Ed25519 preferred, at the other end of a stream that leads to it for certain:
 * begins a handshake and leaves before any login. The stream is destroyed in any case.
 * @returns an OpenSSH public key line without a comment
 * @throws AppError `protocol_violation` when no SSH server speaks there, `cancelled` when the signal is aborted
 */
export async function readHostKey(stream: Duplex, signal: AbortSignal): Promise<string> {
  const client = new ssh2.Client();
  const abort = () => stream.destroy();
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await new Promise<string>((resolve, reject) => {
      const refuse = (reason: string, cause?: unknown) =>
        reject(
          signal.aborted
            ? new AppError("cancelled", "no SSH host key was read: no longer wanted", { cause })
            : new AppError("protocol_violation", `no SSH server answers there: ${reason}`, { cause }),
        );
      client.on("error", (error) => refuse(error.message, error));
      client.on("close", () => refuse("the connection was closed"));
      client.connect({
        sock: stream,
        username: "nobody",
        readyTimeout: 0, // the caller's signal decides
        algorithms: { serverHostKey: [...HOST_KEY_TYPES] },
        hostVerifier: (blob: Buffer) => {
          const length = blob.readUInt32BE(0);
          resolve(`${blob.toString("latin1", 4, 4 + length)} ${blob.toString("base64")}`);
          return false;
        },
      });
    });
  } finally {
    signal.removeEventListener("abort", abort);
    stream.destroy();
  }
}

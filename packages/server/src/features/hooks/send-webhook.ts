import { createHmac } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { AppError } from "@hardshare/protocol";
import type { Clock } from "@hardshare/runtime";
import type { OutsideAddresses } from "./outside-addresses.ts";

/** How long everything together may take: the name, the connection, and the first word of the answer. */
const TIMEOUT_MS = 10_000;

export interface Webhook {
  url: string;
  body: string;
  secret: string;
  /** The same for each attempt. */
  deliveryId: string;
}

/** An address of a name, as `node:dns` gives it. */
export interface ResolvedAddress {
  address: string;
  family: number;
}

export interface WebhookDeps {
  outside: OutsideAddresses;
  /** All addresses of a name. */
  resolve: (hostname: string) => Promise<ResolvedAddress[]>;
  clock: Clock;
}

/**
 * Posts a message to a URL and waits until that is accepted. The name is resolved once; every address that it has must be
 * allowed, and the connection goes to one of these. No redirect is followed, and of the answer only its status is read.
 * @throws AppError `access_denied` for an address that is not allowed, `connection_lost`, `timed_out`, `cancelled`
 */
export async function sendWebhook(webhook: Webhook, deps: WebhookDeps, signal: AbortSignal): Promise<void> {
  const url = new URL(webhook.url);
  const stop = new AbortController();
  const cancel = () => stop.abort(new AppError("cancelled", "the server is stopping"));
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  const late = new AppError("timed_out", `${url.host} did not answer within ${TIMEOUT_MS / 1000} s`);
  using _timeout = deps.clock.after(TIMEOUT_MS, () => stop.abort(late));
  const stopped = new Promise<never>((_, reject) =>
    stop.signal.addEventListener("abort", () => reject(stop.signal.reason as Error), { once: true }),
  );
  stopped.catch(() => {}); // told by whoever waits for it
  try {
    stop.signal.throwIfAborted();
    const addresses = await Promise.race([checkedAddresses(url, deps), stopped]);
    const status = await Promise.race([
      post(url, webhook, { addresses, timestamp: Math.floor(deps.clock.now() / 1000) }, stop.signal),
      stopped,
    ]);
    if (status < 200 || status > 299) throw new AppError("connection_lost", `${url.host} answered with status ${status}`);
  } finally {
    signal.removeEventListener("abort", cancel);
    stop.abort();
  }
}

/** What a receiver computes anew from the secret, the header with the time, and the body, to know who sent it and when. */
export function webhookSignature(secret: string, timestamp: number, body: string): string {
  return `v1=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`;
}

async function checkedAddresses(url: URL, { outside, resolve }: WebhookDeps): Promise<ResolvedAddress[]> {
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const family = isIP(hostname);
  const addresses = family === 0 ? await lookUp(hostname, resolve) : [{ address: hostname, family }];
  if (addresses.length > 0 && addresses.every(({ address }) => outside.isAllowed(address))) return addresses;
  // Not which address: that would tell strangers the names of the operator's network.
  throw new AppError(
    "access_denied",
    `${url.host} has an address that is not one of the internet, or is the server's own; the operator of the server can allow it with --hooks-may-reach`,
  );
}

async function lookUp(hostname: string, resolve: WebhookDeps["resolve"]): Promise<ResolvedAddress[]> {
  try {
    return await resolve(hostname);
  } catch (cause) {
    throw new AppError("connection_lost", `the name ${hostname} cannot be resolved: ${(cause as Error).message}`, { cause });
  }
}

/** @returns the status of the answer */
async function post(
  url: URL,
  { body, secret, deliveryId }: Webhook,
  { addresses, timestamp }: { addresses: readonly ResolvedAddress[]; timestamp: number },
  signal: AbortSignal,
): Promise<number> {
  const lookup = ((_hostname, options, callback) => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first?.address ?? "", first?.family);
  }) as LookupFunction;
  const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
    method: "POST",
    agent: false,
    lookup,
    signal,
    headers: {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "user-agent": "hardshare",
      connection: "close",
      "x-hardshare-delivery": deliveryId,
      "x-hardshare-timestamp": String(timestamp),
      "x-hardshare-signature": webhookSignature(secret, timestamp, body),
    },
  });
  try {
    request.end(body);
    const [response] = (await once(request, "response")) as [IncomingMessage];
    return response.statusCode ?? 0;
  } catch (cause) {
    throw new AppError("connection_lost", `${url.host} cannot be reached: ${(cause as Error).message}`, { cause });
  } finally {
    request.on("error", () => {}); // of what is cut off now
    request.destroy();
  }
}

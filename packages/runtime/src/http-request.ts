import type { IncomingMessage } from "node:http";

export interface HttpRequest {
  method: string;
  headers: Record<string, string>;
  body?: string | undefined;
  /** Ends it, also while the body is read. */
  signal?: AbortSignal | undefined;
}

/** The head of an answer, and its body as it comes: who stops reading gives up the rest. */
export interface HttpAnswer {
  status: number;
  headers: { get(name: string): string | null };
  body: AsyncIterable<Uint8Array>;
}

/**
 * Makes one request. (Node's `fetch` would do, but the first one of a process loads and compiles for 180 ms of a processor,
 * which is longer than most commands take altogether; and it forgets its signal once the headers are there.)
 * @throws Error what the system says, such as ECONNREFUSED; a redirect, which is not followed; the signal's reason
 */
export async function httpRequest(target: URL, { method, headers, body, signal }: HttpRequest): Promise<HttpAnswer> {
  // Only now: many a command asks nothing.
  const { request } = await (target.protocol === "https:" ? import("node:https") : import("node:http"));
  const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const sent = request(target, { method, headers: { ...headers, ...length } });
    let ended: { destroy(reason: Error): unknown } = sent;
    const abort = () => ended.destroy(signal?.reason as Error);
    signal?.addEventListener("abort", abort, { once: true });
    sent.once("close", () => signal?.removeEventListener("abort", abort));
    sent.on("error", reject);
    sent.once("response", (answer: IncomingMessage) => {
      const status = answer.statusCode ?? 0;
      if (status >= 300 && status < 400) {
        answer.destroy();
        return reject(new Error(`it redirects to ${answer.headers.location ?? "nowhere"}`));
      }
      ended = answer; // whose reader hears the signal's reason then
      resolve({ status, headers: { get: (name) => answer.headersDistinct[name.toLowerCase()]?.[0] ?? null }, body: answer });
    });
    sent.end(body);
  });
}

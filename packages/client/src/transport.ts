/** Sends one request. Resolves with the head of the answer; rejects for a redirect, too, which is not followed. */
export type Transport = (target: URL, request: TransportRequest) => Promise<TransportAnswer>;

export interface TransportRequest {
  method: string;
  headers: Record<string, string>;
  body?: string | undefined;
  /** Ends it, also while the body is read. */
  signal?: AbortSignal | undefined;
}

export interface TransportAnswer {
  status: number;
  headers: { get(name: string): string | null };
  /** As it comes; who stops reading gives up the rest. */
  body: AsyncIterable<Uint8Array>;
}

/** By `fetch`, which browsers have, and Node. */
export const fetchTransport: Transport = async (target, { method, headers, body, signal }) => {
  const response = await fetch(target, {
    method,
    headers,
    redirect: "error",
    ...(body === undefined ? {} : { body }),
    ...(signal === undefined ? {} : { signal }),
  });
  return { status: response.status, headers: response.headers, body: readChunks(response.body, signal) };
};

/**
 * The chunks of a body. (Not every browser iterates over streams.)
 * @param signal of the request: Node's fetch lets go of it once the headers are there and memory has been tidied up
 * @throws the signal's reason
 */
async function* readChunks(body: ReadableStream<Uint8Array> | null, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  const giveUp = () => void reader.cancel().catch(() => {}); // a read that waits ends
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { done, value } = await reader.read();
      signal?.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    signal?.removeEventListener("abort", giveUp);
    await reader.cancel().catch(() => {});
  }
}

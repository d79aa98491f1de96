import type { IncomingMessage } from "node:http";

/** Longest line that is understood: an event carries the labels of its container. */
const MAX_LINE_BYTES = 256 * 1024;

/** Reads a reply that is one JSON value a line, as they come; the shape is the API's promise. */
export async function* readJsonLines<T>(response: IncomingMessage): AsyncGenerator<T> {
  let rest = "";
  response.setEncoding("utf8");
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_BYTES) throw new Error(`a line of the engine's reply is longer than ${MAX_LINE_BYTES} bytes`);
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as T;
  }
}

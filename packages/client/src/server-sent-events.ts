import { AppError } from "@hardshare/protocol";

/** One event as the stream carries it (HTML standard §9.2): its type, its number as text, and its data. */
export interface ServerSentEvent {
  type: string;
  id: string | undefined;
  data: string;
}

/** Longest event that is kept; a longer one ends the stream with an error. */
const MAX_EVENT_CHARS = 1024 * 1024;

/** Reads events from the body of a `text/event-stream` answer, however its bytes are cut. */
export async function* readServerSentEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let id: string | undefined;
  let type = "message";
  let data: string[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (data.length > 0) yield { type, id, data: data.join("\n") };
        type = "message";
        data = [];
        size = 0;
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "id") id = value;
      if (field === "event") type = value;
      if (field === "data") {
        data.push(value);
        size += value.length + 1; // an empty line takes room, too
      }
    }
    if (size + rest.length > MAX_EVENT_CHARS) {
      throw new AppError("protocol_violation", `the server sent an event of more than ${MAX_EVENT_CHARS} characters`);
    }
  }
}

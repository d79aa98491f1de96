import type { Person } from "./world.ts";

export interface TimelineEvent {
  kind: string;
  data: Record<string, unknown>;
}

/** Follows an instance's timeline until `isReached`, or its end. @returns all events so far */
export async function followEvents(
  url: string,
  person: Person,
  instance: string,
  isReached: (event: TimelineEvent) => boolean,
): Promise<TimelineEvent[]> {
  const abort = new AbortController();
  const response = await fetch(`${url}/instance/${instance}/events`, {
    headers: { authorization: `Bearer ${person.token}` },
    signal: abort.signal,
  });
  const events: TimelineEvent[] = [];
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const frame = text.slice(0, end);
      text = text.slice(end + 2);
      if (frame.startsWith("event: end\n")) return events;
      const data = /^data: ?(.*)$/m.exec(frame)?.[1];
      if (data === undefined) continue;
      const event = JSON.parse(data) as TimelineEvent;
      events.push(event);
      if (isReached(event)) {
        abort.abort();
        return events;
      }
    }
  }
  return events;
}

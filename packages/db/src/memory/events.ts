import type { Row } from "../postgres/tables.ts";
import type { EventStore, NewEvent, StoredEvent } from "../stores/events.ts";
import type { Data } from "./data.ts";
import type { OnData } from "./on-data.ts";
import { sortBy } from "./order.ts";

export const events: OnData<EventStore> = {
  append: appendEvent,

  listOfInstance(data, { instanceId, afterId, limit }) {
    const later = data.events.filter((event) => event.instanceId === instanceId && event.id > afterId);
    return sortBy(later, (event) => [event.id]).slice(0, limit);
  },

  listNewestOfDeployment(data, { deploymentId, kinds, limit }) {
    const wanted = data.events.filter((event) => event.deploymentId === deploymentId && kinds.includes(event.kind));
    return sortBy(wanted, (event) => [-event.id]).slice(0, limit);
  },
};

/** See `EventStore.append`. */
export function appendEvent(data: Data, { at, deploymentId, instanceId, kind, actor, data: details }: NewEvent): StoredEvent {
  // What JSON can't hold is lost, as it is in `jsonb`.
  const stored = JSON.parse(JSON.stringify(details)) as Row<"events">["data"];
  return data.events.put({ id: data.nextEventId(), at, deploymentId, instanceId, kind, actor, data: stored });
}

import type { Operation, OperationId } from "./operation.ts";

/** Registrations of one kind, and calls and goals without an answer, that are kept for a client. */
const MAX_REGISTRATIONS = 1024;
const MAX_CALLS = 256;
const MAX_GOALS = 64;

/** A goal that has no result yet. */
export interface Goal {
  readonly action: string;
  /** As the client gave it. */
  readonly id: OperationId;
}

/** Topics that a client registered for, each with the ids under which it did. */
export class Registrations {
  readonly #topics = new Map<string, Set<OperationId | undefined>>();
  #count = 0;

  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** @returns false when it is one too many */
  add(topic: string, id: OperationId | undefined): boolean {
    const ids = this.#topics.get(topic) ?? new Set();
    if (ids.has(id)) return true;
    if (this.#count >= MAX_REGISTRATIONS) return false;
    this.#topics.set(topic, ids.add(id));
    this.#count += 1;
    return true;
  }

  /** Ends the registration under this id, or all of the topic. @returns false when there is none */
  remove(topic: string, id: OperationId | undefined): boolean {
    const ids = this.#topics.get(topic);
    if (ids === undefined || (id !== undefined && !ids.has(id))) return false;
    this.#count -= id === undefined ? ids.size : 1;
    if (id !== undefined) ids.delete(id);
    if (id === undefined || ids.size === 0) this.#topics.delete(topic);
    return true;
  }
}

/** What one client has going on at the device: only what belongs to it is ended by it, and comes back to it. */
export class OpenOperations {
  readonly subscribed = new Registrations();
  readonly advertised = new Registrations();
  /** How many calls wait for an answer, by service and id; the oldest is forgotten for one too many. */
  readonly #calls = new Map<string, number>();
  readonly #goals = new Map<string, Goal>();
  readonly #prefix: string;

  /** @param prefix stands before the ids of this client's goals: rosbridge takes those of all clients for one list */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  addCall(service: string, id: OperationId | undefined): void {
    const key = keyOf(service, id);
    const [oldest] = this.#calls.keys();
    if (this.#calls.size >= MAX_CALLS && oldest !== undefined) this.#calls.delete(oldest);
    this.#calls.set(key, (this.#calls.get(key) ?? 0) + 1);
  }

  /** @returns whether a call of the client waits for this answer */
  endCall(service: string, id: unknown): boolean {
    const key = keyOf(service, id);
    const count = this.#calls.get(key) ?? 0;
    if (count > 1) this.#calls.set(key, count - 1);
    else this.#calls.delete(key);
    return count > 0;
  }

  /** @returns the id by which the device knows the goal, or why there is none */
  addGoal({ name, id }: Pick<Operation, "name" | "id">): { readonly id: string } | { readonly problem: string } {
    if (id === undefined) return { problem: "id: expected one, by which the goal is cancelled and answered" };
    const deviceId = this.goalId(id);
    if (this.#goals.has(deviceId)) return { problem: "id: expected another, because a goal of this id has no result yet" };
    if (this.#goals.size >= MAX_GOALS) return { problem: `${MAX_GOALS} goals have no result yet, the most that a client may have` };
    this.#goals.set(deviceId, { action: name, id });
    return { id: deviceId };
  }

  goalId(id: OperationId): string {
    return `${this.#prefix}${JSON.stringify(id)}`;
  }

  /** @param deviceId by which the device knows it */
  goal(deviceId: unknown): Goal | undefined {
    return typeof deviceId === "string" ? this.#goals.get(deviceId) : undefined;
  }

  endGoal(deviceId: string): void {
    this.#goals.delete(deviceId);
  }
}

function keyOf(service: string, id: unknown): string {
  return JSON.stringify([service, id ?? null]);
}

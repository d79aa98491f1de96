import { type Cooldown, type Hours, MAX_REST_CHARS, type Rest } from "@hardshare/protocol";
import { openStateAt } from "./opening-hours.ts";

/** What a host knows of the health of one of its deployments. */
export interface HealthFacts {
  cooldown?: Cooldown | undefined;
  hours?: Hours | undefined;
  /** When the last instance that began here ended; null when there was none, or while one lasts. */
  endedAtMs: number | null;
  /** Whether an instance lasts: what is said then holds from its end on. */
  hasInstance: boolean;
  /** Whether the program of `cooldown` has yet to say that the hardware is ready. */
  isWaitingForProgram: boolean;
  /** The monitors that failed when they ran last, but for those with `on_fail: alert`. */
  unfit: readonly string[];
}

/** Whether a deployment rests, when it is closed, and when to ask again because time alone changes that. */
export interface Health {
  rest: Rest | null;
  closesAtMs: number | null;
  changesAtMs: number | null;
}

/** Why it rests, and until when; null when time alone does not end it. */
interface Reason {
  why: string;
  untilMs: number | null;
}

/** What the health of a deployment means for those who want to launch it. Of several reasons the one that lasts longest is told. */
export function decideHealth(facts: HealthFacts, nowMs: number): Health {
  const hours = facts.hours === undefined ? null : openStateAt(facts.hours, nowMs);
  const coolUntilMs = cooldownEndMs(facts, nowMs);
  const reasons: Reason[] = [];
  if (facts.unfit[0] !== undefined) reasons.push({ why: `until ${facts.unfit[0]} passes`, untilMs: null });
  if (facts.cooldown !== undefined && facts.hasInstance) reasons.push({ why: "cooldown after the instance", untilMs: null });
  else if (typeof facts.cooldown === "object" && facts.isWaitingForProgram)
    reasons.push({ why: `until ${facts.cooldown.run} says that it is ready`, untilMs: null });
  if (coolUntilMs !== null) reasons.push({ why: "cooldown after an instance", untilMs: coolUntilMs });
  if (hours?.isOpen === false) reasons.push({ why: "outside of its hours", untilMs: hours.changesAtMs });
  const longest = reasons.toSorted((a, b) => (b.untilMs ?? Infinity) - (a.untilMs ?? Infinity))[0];
  const times = [coolUntilMs, hours?.changesAtMs ?? null].filter((time) => time !== null);
  return {
    rest:
      longest === undefined
        ? null
        : { why: longest.why.slice(0, MAX_REST_CHARS), until: longest.untilMs === null ? null : new Date(longest.untilMs).toISOString() },
    closesAtMs: hours?.isOpen === true ? hours.changesAtMs : null,
    changesAtMs: times.length === 0 ? null : Math.min(...times),
  };
}

function cooldownEndMs({ cooldown, endedAtMs, hasInstance }: HealthFacts, nowMs: number): number | null {
  if (typeof cooldown !== "number" || endedAtMs === null || hasInstance) return null;
  const untilMs = endedAtMs + cooldown * 1000;
  return untilMs > nowMs ? untilMs : null;
}

import * as z from "zod";
import type { FilterDecision, FilterDirection, ServiceTraffic } from "./filter-reports.ts";

/** Life of an instance; `core` says which state may follow which. */
export const InstanceState = z.enum(["INIT", "READY", "TERMINATING", "TERMINATED", "INIT_FAIL"]);
export type InstanceState = z.infer<typeof InstanceState>;

/** States in which an instance holds its deployment. */
export const LIVE_STATES = ["INIT", "READY", "TERMINATING"] as const satisfies readonly InstanceState[];

/** Whether nothing more happens to an instance in this state. */
export function isFinalState(state: unknown): boolean {
  return state === "TERMINATED" || state === "INIT_FAIL";
}

/** Why an instance ended or is ending. */
export const EndReason = z.enum([
  "user", // its user asked (POST /terminate), also a cancelled launch
  "owner", // the owner forced it
  "expired", // the deadline passed
  "init_failed", // a launch step failed
  "container_died", // the container ended while READY
  "host_stopped", // `stop-ad --now`, or the daemon was stopped
  "host_restarted", // the host could not adopt it after a restart
  "host_not_confirmed", // the host stayed away past the deadline
  "not_desired", // the server no longer knows this epoch
  "filter_lost", // a filter died and the programs for the safe state failed
  "estop", // somebody pressed E-stop
  "monitor", // a monitor whose entry says `on_fail: terminate` failed
  "dead_man", // the dead-man's switch fired and the programs for the safe state failed
]);
export type EndReason = z.infer<typeof EndReason>;

/** What runs the container of an instance; `proxy` means none. */
export const Provider = z.enum(["podman", "docker", "proxy"]);
export type Provider = z.infer<typeof Provider>;

/** What the container of an instance reaches beside its services: nothing, the public internet, or all that its host does. */
export const Network = z.enum(["isolated", "internet", "open"]);
export type Network = z.infer<typeof Network>;

/** How READY is proved: read an SSH banner, a connection is enough, or nothing is sent through. */
export const Probe = z.enum(["banner", "connect", "none"]);
export type Probe = z.infer<typeof Probe>;

/** One event of an instance's or deployment's timeline, as `GET /instance/ID/events` sends it. */
export const TimelineEvent = z.object({
  id: z.int(),
  at: z.iso.datetime(),
  /** `state`, `step`, `log`, `lockout`, `alert`, `filter`, `tap`, `traffic`, … */
  kind: z.string(),
  /** Depends on kind; see `TimelineData`. */
  data: z.record(z.string(), z.unknown()),
});
export type TimelineEvent = z.infer<typeof TimelineEvent>;

/** Data of the timeline events that programs rely on. */
export interface TimelineData {
  state: { state: InstanceState; reason?: string; step?: string };
  step: { step: string; phase: StepPhase; ms?: number; log?: string };
  log: { step: string; text: string };
  alert: { message: string };
  estop: { by: "owner" | "user"; message: string };
  notice: { level: "info" | "warning" | "alert"; message: string };
  filter: Omit<FilterDecision, "type"> & { service: string; missed?: number };
  tap: { service: string; direction: FilterDirection; sizeBytes: number; excerpt: string };
  traffic: ServiceTraffic;
}

export const StepPhase = z.enum(["started", "done", "failed", "skipped", "undone", "undo_failed"]);
export type StepPhase = z.infer<typeof StepPhase>;

/** A public key line of OpenSSH: `type base64 [comment]`, one line; the comment travels in every desired state, so it is short. */
export const PublicKeyLine = z
  .string()
  .max(16_384)
  .transform((text) => text.trim())
  .pipe(
    z
      .string()
      .regex(
        /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]+={0,3}(?: [^\r\n]{0,1024})?$/,
        "expected one line of an OpenSSH public key, such as `ssh-ed25519 AAAA… name` (the content of a .pub file), with a comment of at most 1024 characters",
      ),
  );

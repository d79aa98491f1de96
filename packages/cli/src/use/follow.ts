import type { HardshareClient } from "@hardshare/client";
import { AppError, type InstanceState, isFinalState, type TimelineData, type TimelineEvent } from "@hardshare/protocol";
import { describeEvent } from "../output/timeline.ts";
import type { Output } from "../output/output.ts";

const LAST_LINES = 20;

export interface FollowOptions {
  output: Output;
  signal: AbortSignal;
  /** Show nothing before this state; undefined: from the beginning. */
  from?: InstanceState;
}

/**
 * Shows the timeline until the instance is READY.
 * @throws AppError `launch_failed` with the step and its last lines; `wrong_state` when it ended otherwise; `cancelled`
 */
export async function followUntilReady(client: HardshareClient, instanceId: string, options: FollowOptions): Promise<void> {
  const failed = new FailedStep();
  const state = await follow(client, instanceId, options, (event) => {
    failed.see(event);
    return stateOf(event) === "READY" || isFinalState(stateOf(event));
  });
  if (state === "READY") return;
  if (state === "INIT_FAIL") throw failed.asError(instanceId);
  throw new AppError("wrong_state", `the instance ended before it was READY; \`hardshare info ${instanceId}\` says why`);
}

/** Shows the timeline until the instance has ended. @throws AppError `cancelled` when interrupted */
export async function followUntilEnded(client: HardshareClient, instanceId: string, options: FollowOptions): Promise<InstanceState> {
  return follow(client, instanceId, options, (event) => isFinalState(stateOf(event)));
}

/** Shows the timeline from its beginning until the instance has ended, or until interrupted: for programs each event on a line. */
export async function followToEnd(client: HardshareClient, instanceId: string, { output, signal }: FollowOptions): Promise<void> {
  const onReconnect = (problem: AppError) => output.progress(`waiting for the server: ${problem.message}`);
  for await (const event of client.instanceEvents(instanceId, { signal, onReconnect })) {
    const text = describeEvent(event, output.colours);
    if (output.isForPrograms) output.result(event, () => "");
    else if (text !== undefined) output.progress(text);
  }
}

async function follow(
  client: HardshareClient,
  instanceId: string,
  { output, signal, from }: FollowOptions,
  isLast: (event: TimelineEvent) => boolean,
): Promise<InstanceState> {
  let isShown = from === undefined;
  const events = client.instanceEvents(instanceId, {
    signal,
    onReconnect: (problem) => output.progress(`waiting for the server: ${problem.message}`),
  });
  for await (const event of events) {
    const state = stateOf(event);
    if (state !== undefined && (state === from || isFinalState(state))) isShown = true;
    const text = isShown ? describeEvent(event, output.colours) : undefined;
    if (text !== undefined) output.progress(text);
    if (isLast(event) && state !== undefined) return state;
  }
  throw new AppError("cancelled", "interrupted while waiting for the instance");
}

function stateOf(event: TimelineEvent): InstanceState | undefined {
  return event.kind === "state" ? (event.data as unknown as TimelineData["state"]).state : undefined;
}

/** Remembers which step failed and what it said last. */
class FailedStep {
  readonly #logs = new Map<string, string[]>();
  #step: string | undefined;

  see(event: TimelineEvent): void {
    if (event.kind === "log") this.#keep(event.data as unknown as TimelineData["log"]);
    if (event.kind === "step") {
      const { step, phase, log } = event.data as unknown as TimelineData["step"];
      if (log !== undefined) this.#keep({ step, text: log });
      if (phase === "failed") this.#step ??= step;
    }
    if (event.kind === "state") this.#step ??= (event.data as unknown as TimelineData["state"]).step;
  }

  #keep({ step, text }: { step: string; text: string }): void {
    const lines = [...(this.#logs.get(step) ?? []), ...text.trimEnd().split("\n")];
    this.#logs.set(step, lines.slice(-LAST_LINES));
  }

  asError(instanceId: string): AppError {
    const lines = this.#step === undefined ? [] : (this.#logs.get(this.#step) ?? []);
    const step = this.#step === undefined ? "an unnamed step" : `step "${this.#step}"`;
    const said = lines.length > 0 ? `:\n${lines.map((line) => `    ${line}`).join("\n")}\n` : " ";
    return new AppError(
      "launch_failed",
      `the launch failed in ${step}${said}(see \`hardshare info ${instanceId}\`; launch again, or tell the owner of the deployment)`,
      { details: { instance: instanceId, step: this.#step, log: lines.join("\n") } },
    );
  }
}

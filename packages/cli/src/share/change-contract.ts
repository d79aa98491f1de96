import type { ChangedDeployment, RequestedChanges } from "@hardshare/host";
import { type Contract, toAppError } from "@hardshare/protocol";
import type { Invocation } from "../context.ts";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { programLogger } from "../infrastructure/serving.ts";

/** A changed contract, and whether the host daemon has taken it over. */
export interface ContractChanged extends ChangedDeployment {
  /** `not_running`: no daemon offers the deployment; `refused`: it can't be offered like this. */
  daemon: "told" | "not_running" | "refused";
  exitCode: number;
}

/** The deployment of this host that is meant; its contract is null when it can't be read. @throws AppError `not_found`, `bad_input` */
export async function chooseConfigured(
  { context }: Invocation,
  id: string | undefined,
): Promise<{ id: string; contract: Contract | null }> {
  const host = await import("@hardshare/host");
  const local = await host.localDeployments({ home: context.environment.home });
  const choices = local.map(({ id, contract }) => ({ ids: [id] as const, contract }));
  const chosen = chooseByPrefix(id, choices, { noun: "deployment", whenNone: "`hardshare list --local` lists those of this host" });
  return { id: chosen.ids[0], contract: chosen.contract };
}

/** Changes the contract of a deployment of this host, then tells the host daemon, if one runs. */
export async function changeContract(
  invocation: Invocation,
  id: string | undefined,
  requested: RequestedChanges,
): Promise<ContractChanged> {
  const { context, options } = invocation;
  const { home, state, variables } = context.environment;
  const host = await import("@hardshare/host");
  const chosen = await chooseConfigured(invocation, id);
  const changed = await host.changeDeployment({
    home,
    state,
    id: chosen.id,
    requested,
    cwd: process.cwd(),
    environment: variables,
    logger: programLogger("config", options),
    signal: context.interrupted,
  });
  const problem = await host.reloadFiles({ state, id: chosen.id, signal: context.interrupted }).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (problem === undefined) return { ...changed, daemon: "told", exitCode: 0 };
  const { code } = toAppError(problem);
  if (code === "wrong_state" || code === "not_found") return { ...changed, daemon: "not_running", exitCode: 0 };
  invocation.tell(problem);
  return { ...changed, daemon: "refused", exitCode: 1 };
}

export function describeChange({ contract, isChanged, files, daemon }: ContractChanged): string {
  const takes = {
    told: "the host daemon has it; it holds for the next instance",
    not_running: "it holds when `hardshare ad` offers the deployment",
    refused: "as it is, the deployment can't be offered (see above)",
  }[daemon];
  const written = files.map((name) => `${name} was written beside it`);
  return [isChanged ? `${contract} was changed: ${takes}` : `${contract} says that already: nothing was changed`, ...written].join("\n");
}

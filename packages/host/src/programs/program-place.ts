import { LIFELINE_VARIABLE } from "@hardshare/runtime";

/** What the programs of one instance run with. */
export interface ProgramPlace {
  /** Folder of the contract: their working folder. */
  folder: string;
  /** Environment, with the variables that name the instance. */
  env: Readonly<Record<string, string>>;
  /** Put before every command, so that it ends with the daemon; empty where that cannot be had. */
  launcher: readonly string[];
}

/** Variable by which the processes of an instance are found again, also after a crash. */
export const INSTANCE_VARIABLE = "HARDSHARE_INSTANCE";
/** Variable that names the deployment, also where no instance is. */
export const DEPLOYMENT_VARIABLE = "HARDSHARE_DEPLOYMENT";
/** Variable that says at which event of the instance a program runs. */
export const EVENT_VARIABLE = "HARDSHARE_EVENT";

/** What programs get of the daemon's environment: its own lifeline is not theirs. */
export function inheritedEnvironment(base: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(base)) if (value !== undefined && name !== LIFELINE_VARIABLE) env[name] = value;
  return env;
}

/** The environment of an instance's programs on the host. */
export function programEnvironment(
  base: Readonly<Record<string, string | undefined>>,
  instance: { instanceId: string; deploymentId: string; user: string },
  event: string,
): Record<string, string> {
  return {
    ...inheritedEnvironment(base),
    [INSTANCE_VARIABLE]: instance.instanceId,
    [DEPLOYMENT_VARIABLE]: instance.deploymentId,
    [EVENT_VARIABLE]: event,
    HARDSHARE_USER: instance.user,
  };
}

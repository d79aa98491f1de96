import { realpath, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { AppError } from "@hardshare/protocol";
import * as changes from "./contract-changes.ts";
import type { ContractChange, FileBeside } from "./edit-contract.ts";
import { givenCommand, givenPath } from "./given-command.ts";
import { type CommandedService, serviceOfCommand } from "./service-command.ts";
import { programOfCommand } from "./shell-command.ts";

/** What a person asks to change in a contract, each in the words of its flag of `hardshare config`. */
export interface RequestedChanges {
  cprovider?: string;
  assignImage?: string;
  assignProxyCommand?: string;
  addRawDevice?: readonly string[];
  rmRawDevice?: readonly string[];
  addTerminateProg?: readonly string[];
  rmTerminateProg?: readonly string[];
  addInitInside?: readonly string[];
  rmInitInside?: readonly string[];
  /** `-`: none. */
  monitorProg?: string;
  /** `NAME=VALUE`. */
  addEnv?: readonly string[];
  rmEnv?: readonly string[];
  /** `NAME=COMMAND`. */
  addService?: readonly string[];
  rmService?: readonly string[];
}

export interface PlannedChanges {
  changes: ContractChange[];
  filesBeside: FileBeside[];
}

const PROVIDERS = ["podman", "docker", "docker-rootless", "proxy"];

/**
 * What is to be done for what is asked; looks at the files and devices that are named, and changes nothing.
 * @throws AppError `bad_input` that names the flag
 */
export async function planChanges(
  requested: RequestedChanges,
  { cwd, contractFile }: { cwd: string; contractFile: string },
): Promise<PlannedChanges> {
  const contractName = basename(contractFile);
  const folder = dirname(contractFile);
  const filesBeside: FileBeside[] = [];
  const planned: ContractChange[] = [];
  const place = (flag: string) => ({ cwd, folder, field: `--${flag}` });
  const withFile = ({ file, ...rest }: CommandedService) => {
    if (file !== undefined) filesBeside.push(file);
    return rest.service;
  };

  async function addProgram(field: "terminate" | "init_inside", command: string, flag: string): Promise<void> {
    planned.push(changes.addProgram(field, await programFor(field, command, flag)));
  }
  async function programFor(field: changes.ProgramField, command: string, flag: string): Promise<string> {
    const { run, script } = programOfCommand(oneLine(command, flag), { list: field, contractName });
    if (script === undefined) return givenCommand(run, place(flag), field === "init_inside");
    filesBeside.push(script);
    return run;
  }
  async function removeProgram(field: "terminate" | "init_inside", command: string, flag: string): Promise<void> {
    const { run } = programOfCommand(command, { list: field, contractName });
    const here = await givenCommand(run, place(flag), field === "init_inside").catch(() => run);
    planned.push(changes.removeProgram(field, [command.trim(), run, here], flag));
  }
  async function service(name: string, command: string, flag: string): Promise<CommandedService> {
    const commanded = serviceOfCommand(name, oneLine(command, flag), { contractName, field: `--${flag}` });
    const { service, file } = commanded;
    if ("command" in service) return { service: { ...service, command: await givenCommand(service.command, place(flag)) } };
    if (file !== undefined || service.rules === undefined) return commanded;
    return { service: { ...service, rules: await givenPath(service.rules, { cwd }) } };
  }

  for (const name of requested.rmService ?? []) planned.push(changes.removeService(name));
  for (const path of requested.rmRawDevice ?? []) planned.push(changes.removeDevice([path, await realpath(path).catch(() => path)]));
  for (const command of requested.rmInitInside ?? []) await removeProgram("init_inside", command, "rm-init-inside");
  for (const command of requested.rmTerminateProg ?? []) await removeProgram("terminate", command, "rm-terminate-prog");
  for (const name of requested.rmEnv ?? []) planned.push(changes.removeVariable(name));
  if (requested.cprovider !== undefined) planned.push(changes.setProvider(checkProvider(requested.cprovider)));
  if (requested.assignImage !== undefined) planned.push(changes.setImage(requested.assignImage));
  if (requested.assignProxyCommand !== undefined) {
    const flag = "assign-proxy-command";
    const made = await service("DEVICE", requested.assignProxyCommand, flag);
    planned.push(changes.setProxyService((name) => ({ ...withFile(made), name }), made.file !== undefined));
  }
  for (const path of requested.addRawDevice ?? []) planned.push(changes.addDevice(await checkDevice(path)));
  for (const command of requested.addInitInside ?? []) await addProgram("init_inside", command, "add-init-inside");
  for (const command of requested.addTerminateProg ?? []) await addProgram("terminate", command, "add-terminate-prog");
  const { monitorProg } = requested;
  if (monitorProg !== undefined) {
    planned.push(changes.setMonitor(monitorProg === "-" ? undefined : await programFor("monitors", monitorProg, "monitor-prog")));
  }
  for (const text of requested.addEnv ?? []) planned.push(changes.setVariable(...splitName(text, "add-env", "NAME=VALUE")));
  for (const text of requested.addService ?? []) {
    const [name, command] = splitName(text, "add-service", "NAME=COMMAND");
    const made = await service(name, command, "add-service");
    planned.push(changes.putService(withFile(made), made.file !== undefined));
  }
  return { changes: planned, filesBeside };
}

function checkProvider(provider: string): string {
  if (PROVIDERS.includes(provider)) return provider;
  const why = provider === "lxd" ? "lxd is not supported" : `there is no ${provider}`;
  throw badInput("cprovider", `expected ${PROVIDERS.slice(0, -1).join(", ")} or ${PROVIDERS.at(-1)}; ${why}`);
}

/** The device file itself, as the existing host client writes it. */
async function checkDevice(path: string): Promise<string> {
  const file = await realpath(path).catch(() => undefined);
  const facts = file === undefined ? undefined : await stat(file);
  if (file === undefined || facts === undefined) throw badInput("add-raw-device", `there is no ${path}; is the device plugged in?`);
  if (!facts.isCharacterDevice() && !facts.isBlockDevice()) throw badInput("add-raw-device", `${path} is no device file`);
  return file;
}

function splitName(text: string, flag: string, expected: string): [name: string, value: string] {
  const [name = "", value] = text.split(/=(.*)/s);
  if (name === "" || value === undefined) throw badInput(flag, `expected ${expected}, found ${text}`);
  return [name, value];
}

function oneLine(command: string, flag: string): string {
  if (command.trim() !== "" && !/[\r\n\0]/.test(command)) return command.trim();
  throw badInput(flag, "expected a command in one line");
}

function badInput(flag: string, message: string): AppError {
  return new AppError("bad_input", `--${flag}: ${message}`, { details: { field: flag } });
}

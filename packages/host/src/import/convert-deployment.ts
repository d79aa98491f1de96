import { access, constants } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { AppError, Contract, type DeploymentId } from "@hardshare/protocol";
import { stringify } from "yaml";
import type { FileBeside, WrittenContract } from "../contract/edit-contract.ts";
import { parseContract } from "../contract/load-contract.ts";
import { CONTRACT_SCHEMA_HINT } from "../contract/schema-files.ts";
import { serviceOfCommand, type WrittenService } from "../contract/service-command.ts";
import { type ProgramList, programOfCommand } from "../contract/shell-command.ts";
import type { OldDeployment } from "./old-configuration.ts";

/** A deployment as it will be here. */
export interface ConvertedDeployment {
  id: DeploymentId;
  /** Text of its contract. */
  contract: string;
  /** Scripts and rules files that the contract names. */
  files: FileBeside[];
  /** Rules files elsewhere that the contract names, with the kind of filter that reads them. */
  rules: { filter: "rrhttp" | "rrpc"; file: string }[];
  /** What is other than before, or not taken over, as sentences. */
  notes: string[];
}

/** Image of the existing client for instances that name none. */
const OLD_DEFAULT_IMAGE = "rerobots/hs-generic";
const DEVICE_ARGUMENT = /^--device=(\/dev\/[^:]+):\1$/;

/**
 * The contract that does what a deployment of the existing host client did.
 * @param options.cwd folder from which relative paths of rules files count
 * @throws AppError `config_invalid` that names the deployment and what is wrong: nothing of it is converted by halves
 */
export async function convertDeployment(old: OldDeployment, options: { from: string; cwd: string }): Promise<ConvertedDeployment> {
  const converting = new Conversion(old, options.cwd);
  try {
    return await converting.run(options.from);
  } catch (cause) {
    if (!(cause instanceof AppError)) throw cause;
    throw new AppError("config_invalid", `${options.from}: deployment ${old.id}: ${cause.message}`, {
      cause,
      details: { deployment: old.id },
    });
  }
}

class Conversion {
  readonly #old: OldDeployment;
  readonly #cwd: string;
  readonly #contractName: string;
  readonly #written: WrittenContract = {};
  readonly #files: FileBeside[] = [];
  readonly #rules: ConvertedDeployment["rules"] = [];
  readonly #notes: string[] = [];

  constructor(old: OldDeployment, cwd: string) {
    this.#old = old;
    this.#cwd = cwd;
    this.#contractName = `${old.id}.yaml`;
  }

  async run(from: string): Promise<ConvertedDeployment> {
    this.#convertProvider();
    if (this.#old.cprovider === "proxy") await this.#convertProxy();
    else await this.#convertContainer();
    this.#convertPrograms("terminate", this.#old.terminate);
    if (this.#old.monitor) this.#convertPrograms("monitors", [this.#old.monitor]);
    if (this.#old.container_name !== "rrc") this.#note(`container_name ${this.#old.container_name}: containers are named by hardshare`);
    if (this.#old.url) this.#note(`url ${this.#old.url}`);
    if (this.#old.ssh_key) this.#note(`ssh_key ${this.#old.ssh_key}: tunnels use the identity key of this host`);
    const contract = this.#text(from);
    parseContract(contract, this.#contractName, "/");
    return { id: this.#old.id, contract, files: this.#files, rules: this.#rules, notes: this.#notes };
  }

  #convertProvider(): void {
    const { cprovider } = this.#old;
    const provider = (["podman", "docker", "docker-rootless", "proxy"] as const).find((it) => it === cprovider);
    if (provider === undefined) {
      throw new AppError(
        "bad_input",
        `cprovider: ${cprovider} is not supported here; choose podman, docker, docker-rootless or proxy in the existing client first`,
      );
    }
    this.#written.provider = provider;
  }

  async #convertContainer(): Promise<void> {
    const { image, env, cargs, services, init_inside: initInside } = this.#old;
    if (image && image !== OLD_DEFAULT_IMAGE) this.#written.image = image;
    else this.#notes.push(`instances get the image of hardshare, ${Contract.parse({}).image}, in place of ${OLD_DEFAULT_IMAGE}`);
    this.#convertEnvironment(env);
    this.#convertArguments(cargs);
    for (const [name, command] of Object.entries(services)) await this.#addService(name, command, `services.${name}`);
    this.#convertPrograms("init_inside", initInside);
  }

  async #convertProxy(): Promise<void> {
    const { cargs, services, init_inside: initInside } = this.#old;
    if (cargs.length === 0)
      throw new AppError(
        "bad_input",
        "cargs: a proxy deployment needs its program: use --assign-proxy-command of the existing client first",
      );
    await this.#addService("DEVICE", cargs.join(" "), "cargs");
    for (const name of Object.keys(services)) this.#note(`services.${name}: a proxy deployment has one service, the program in cargs`);
    if (initInside.length > 0) this.#note("init_inside: a proxy deployment has no container");
  }

  #convertEnvironment(env: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(env)) {
      const isGood = Contract.safeParse({ env: { [name]: value } }).success;
      if (isGood) this.#written.env = { ...this.#written.env, [name]: value };
      else this.#note(`env.${name}: this name or value can't be given here`);
    }
  }

  #convertArguments(cargs: readonly string[]): void {
    for (const argument of joinValues(cargs)) {
      const path = DEVICE_ARGUMENT.exec(argument)?.[1];
      const isGood = path !== undefined && Contract.safeParse({ devices: [path] }).success;
      if (isGood) this.#written.devices = [...(this.#written.devices ?? []), path];
      else this.#note(`cargs: ${argument}: only devices that keep their path are`);
    }
  }

  #convertPrograms(list: ProgramList, commands: readonly string[]): void {
    for (const command of commands) {
      // Inside, `./x` was a file of the container; in a contract it is one of this computer.
      const isForShell = list === "init_inside" && /^\s*\.\.?\//.test(command);
      const { run, script } = programOfCommand(command, { list, contractName: this.#contractName, isForShell });
      if (script !== undefined) this.#files.push(script);
      this.#written[list] = [...((this.#written[list] ?? []) as string[]), run] as never;
      if (/^[^/ ]+\/.*/.test(run) && script === undefined) {
        this.#notes.push(`${list}: ${run} counts from the folder of the contract here, not from where the client was started`);
      }
    }
  }

  async #addService(oldName: string, command: string, field: string): Promise<void> {
    const name = oldName.toUpperCase();
    if (name !== oldName) this.#notes.push(`services.${oldName} is ${name} here: names of services have capital letters`);
    const { service, file } = serviceOfCommand(name, command, { contractName: this.#contractName, field });
    if (file !== undefined) this.#files.push(file);
    this.#written.services = [...(this.#written.services ?? []), await this.#withRules(service, field, file !== undefined)];
  }

  /** Names a rules file by its absolute path: it stays where it is. */
  async #withRules(service: WrittenService, field: string, isWritten: boolean): Promise<WrittenService> {
    if (!("rules" in service) || service.rules === undefined || isWritten) return service;
    const file = resolve(this.#cwd, service.rules);
    const isThere = await access(file, constants.R_OK).then(
      () => true,
      () => false,
    );
    if (!isThere) {
      const hint = isAbsolute(service.rules)
        ? ""
        : ", which counts from the current folder: import in the folder in which you start the existing client";
      throw new AppError("bad_input", `${field}: there is no rules file ${service.rules}${hint}`);
    }
    if (service.filter === "rrhttp" || service.filter === "rrpc") this.#rules.push({ filter: service.filter, file });
    return { ...service, rules: file };
  }

  /** Something that has no place here. */
  #note(what: string): void {
    this.#notes.push(`not taken over: ${what}`);
  }

  #text(from: string): string {
    const { provider, image, env, devices, services, init_inside, terminate, monitors } = this.#written;
    const fields = { provider, image, env, devices, services, init_inside, terminate, monitors };
    const kept = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
    const notes = this.#notes.map((note) => `#   ${note.replaceAll(/\s+/g, " ")}\n`);
    const head = `${CONTRACT_SCHEMA_HINT}# The contract of this deployment, made from ${from}.\n`;
    return `${head}${notes.length === 0 ? "" : `# What is other than there:\n${notes.join("")}`}\n${stringify(kept, { lineWidth: 0 })}`;
  }
}

/** `--device PATH` as `--device=PATH`, so that an argument stands for itself. */
function joinValues(cargs: readonly string[]): string[] {
  const joined: string[] = [];
  for (const argument of cargs) {
    const last = joined.at(-1);
    if (last !== undefined && /^--[a-z-]+$/.test(last) && !argument.startsWith("-")) joined[joined.length - 1] = `${last}=${argument}`;
    else joined.push(argument);
  }
  return joined;
}

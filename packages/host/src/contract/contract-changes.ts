/** What commands change in a contract: each change says which edits it takes, for the contract as it is written now. */
import { isDeepStrictEqual } from "node:util";
import { AppError } from "@hardshare/protocol";
import type { YamlEdit } from "@hardshare/runtime";
import type { ContractChange, WrittenContract } from "./edit-contract.ts";
import { type WrittenService } from "./service-command.ts";

/** Fields of a contract that hold programs. */
export type ProgramField = "init_inside" | "terminate" | "monitors";

/** Another provider. The fields that mean nothing with it stay; those that can't be with it have to go first. */
export function setProvider(provider: string): ContractChange {
  return setField("provider", provider);
}

export function setImage(image: string): ContractChange {
  return (contract) => {
    if (contract.provider === "proxy") {
      throw badInput(
        "assign-image",
        "this deployment has `provider: proxy`, which has no container: choose another with --cprovider first",
      );
    }
    return setField("image", image)(contract);
  };
}

export function addDevice(path: string): ContractChange {
  return (contract) => ((contract.devices ?? []).includes(path) ? [] : [{ do: "add", path: ["devices"], value: path }]);
}

/** @param names what it may be listed as */
export function removeDevice(names: readonly string[]): ContractChange {
  return ({ devices = [] }) => removeFrom("devices", devices, names, "rm-raw-device");
}

export function addProgram(field: ProgramField, run: string): ContractChange {
  return (contract) => (programsOf(contract, field).includes(run) ? [] : [{ do: "add", path: [field], value: run }]);
}

/** @param names what it may be listed as */
export function removeProgram(field: ProgramField, names: readonly string[], flag: string): ContractChange {
  return (contract) => removeFrom(field, programsOf(contract, field), names, flag);
}

/** The one monitor, as the existing host client has it. @param run undefined for none */
export function setMonitor(run: string | undefined): ContractChange {
  return (contract) => {
    const now = programsOf(contract, "monitors");
    if (run === undefined) return now.map(() => ({ do: "remove", path: ["monitors", 0] }));
    if (now.length > 1) {
      throw badInput(
        "monitor-prog",
        `this contract has ${now.length} monitors: change them in the file, or remove all with --monitor-prog -`,
      );
    }
    if (now[0] === run) return [];
    // How often it runs and what its failure means stay.
    if (typeof contract.monitors?.[0] === "object") return [{ do: "set", path: ["monitors", 0, "run"], value: run }];
    return [...now.map((): YamlEdit => ({ do: "remove", path: ["monitors", 0] })), { do: "add", path: ["monitors"], value: run }];
  };
}

export function setVariable(name: string, value: string): ContractChange {
  return ({ env = {} }) => (env[name] === value ? [] : [{ do: "set", path: ["env", name], value }]);
}

export function removeVariable(name: string): ContractChange {
  return ({ env = {} }) => {
    if (name in env) return [{ do: "remove", path: ["env", name] }];
    throw badInput("rm-env", `there is no variable ${name} in this contract${listed(Object.keys(env))}`);
  };
}

/**
 * Adds a service, or gives the one of this name another form.
 * @param isUnruled the rules that it names let everything pass
 */
export function putService(service: WrittenService, isUnruled = false): ContractChange {
  return ({ services = [] }) => {
    const index = services.findIndex(({ name }) => name === service.name);
    const now = services[index];
    if (now === undefined) return [{ do: "add", path: ["services"], value: service }];
    return reshape({ now, index, service, isUnruled, flag: "add-service" });
  };
}

export function removeService(name: string): ContractChange {
  return ({ services = [] }) => {
    const names = services.map((service) => service.name);
    return removeFrom("services", names, [name], "rm-service");
  };
}

/**
 * The one service at which the tunnel of a `proxy` deployment ends.
 * @param isUnruled the rules that it names let everything pass
 */
export function setProxyService(make: (name: string) => WrittenService, isUnruled = false): ContractChange {
  return ({ provider, services = [] }) => {
    const flag = "assign-proxy-command";
    if (provider !== "proxy") {
      throw badInput(flag, "only deployments with `provider: proxy` have one: add --cprovider proxy, or use --add-service");
    }
    const [now, ...others] = services;
    if (others.length > 0) throw badInput(flag, `this contract has ${services.length} services: remove the others first`);
    const service = make(now?.name ?? "DEVICE");
    if (now === undefined) return [{ do: "add", path: ["services"], value: service }];
    return reshape({ now, index: 0, service, isUnruled, flag });
  };
}

interface Reshaping {
  now: WrittenService;
  index: number;
  service: WrittenService;
  isUnruled: boolean;
  flag: string;
}

/** Gives a service another form. Rules that it has are never taken away on the way: what is not asked for stays. */
function reshape({ now, index, service, isUnruled, flag }: Reshaping): YamlEdit[] {
  const filterOf = (it: WrittenService) => ("filter" in it ? it.filter : undefined);
  const rules = "rules" in now ? now.rules : undefined;
  if (filterOf(now) !== undefined && filterOf(now) === filterOf(service)) {
    return Object.entries(service)
      .filter(
        ([field, value]) =>
          !isDeepStrictEqual(now[field as keyof WrittenService], value) && !(field === "rules" && isUnruled && rules !== undefined),
      )
      .map(([field, value]) => ({ do: "set", path: ["services", index, field], value }));
  }
  if (rules !== undefined) {
    throw badInput(flag, `${now.name} has rules (${rules}), which this would take away: change it in the contract file`);
  }
  if (isDeepStrictEqual(now, service)) return [];
  return [
    { do: "remove", path: ["services", index] },
    { do: "add", path: ["services"], value: service },
  ];
}

function setField(field: "provider" | "image", value: string): ContractChange {
  return (contract) => (contract[field] === value ? [] : [{ do: "set", path: [field], value }]);
}

function programsOf(contract: WrittenContract, field: ProgramField): string[] {
  return ((contract[field] ?? []) as (string | { run: string })[]).map((entry) => (typeof entry === "string" ? entry : entry.run));
}

/** @throws AppError `bad_input` that names what is there, when none of the names is */
function removeFrom(field: string, entries: readonly string[], names: readonly string[], flag: string): YamlEdit[] {
  const index = entries.findIndex((entry) => names.includes(entry));
  if (index >= 0) return [{ do: "remove", path: [field, index] }];
  throw badInput(flag, `there is no ${names[0]} in \`${field}\` of this contract${listed(entries)}`);
}

function listed(entries: readonly string[]): string {
  return entries.length === 0 ? ", which is empty" : `: it has ${entries.join(", ")}`;
}

function badInput(field: string, message: string): AppError {
  return new AppError("bad_input", `--${field}: ${message}`, { details: { field } });
}

import { AppError } from "@hardshare/protocol";
import type { FileBeside, WrittenContract } from "./edit-contract.ts";

export type WrittenService = NonNullable<WrittenContract["services"]>[number];

/** A service, with the file beside the contract that it takes. */
export interface CommandedService {
  service: WrittenService;
  file?: FileBeside;
}

/** What `rrserial` does, as rules: every byte passes, at once. */
const EVERY_BYTE = `# As rrserial does: every byte passes, unfiltered. Rules say what may reach the device.
messages: { length: 1 }
default: allow
rules: []
`;

const HTTP_TARGET = /^(\[[0-9a-fA-F:]+\]|[^\s:/]+):\d{1,5}$/;

/**
 * A service for a command of the existing host client: of `rrhttp`, `rrpc` and `rrserial` the filter that does the same
 * and reads the same file, of anything else the command, which prints host:port and then serves.
 * @param options.contractName name of the contract file, by which files of several contracts in a folder are told apart
 * @param options.field names what the command was given with, for messages
 * @throws AppError `bad_input` when it is not written as these programs take it
 */
export function serviceOfCommand(name: string, command: string, options: { contractName: string; field: string }): CommandedService {
  const { field, contractName } = options;
  const words = command.trim().split(/\s+/);
  const [program = "", ...given] = words;
  switch (program.replace(/^.*\//, "")) {
    case "rrhttp": {
      const { value: rules, rest } = readArguments(given, ["--config", "-c"], field);
      const [target] = rest;
      if (rest.length !== 1 || target === undefined || !HTTP_TARGET.test(target))
        throw badCommand(field, "rrhttp [--config FILE] HOST:PORT", rest);
      return { service: { name, filter: "rrhttp", target, ...(rules === undefined ? {} : { rules }) } };
    }
    case "rrpc": {
      const { value: rules, rest } = readArguments(given, ["--config", "-c"], field);
      if (rest.length > 0 || rules === undefined) throw badCommand(field, "rrpc --config FILE", rest);
      return { service: { name, filter: "rrpc", rules } };
    }
    case "rrserial": {
      const [target, ...more] = readArguments(given, ["--address", "-a"], field).rest;
      if (target === undefined || more.length > 0) throw badCommand(field, "rrserial DEVICE", more);
      const file = { name: `${contractName.replace(/\.ya?ml$/, "")}.${name}.rules.yaml`, text: EVERY_BYTE, mode: 0o600 };
      return { service: { name, filter: "serial", target, rules: file.name }, file };
    }
    default:
      return { service: { name, command: words.join(" ") } };
  }
}

/** @param options names of the one option that takes a value */
function readArguments(args: readonly string[], options: readonly string[], field: string): { value: string | undefined; rest: string[] } {
  const rest: string[] = [];
  let value: string | undefined;
  for (let index = 0; index < args.length; index += 1) {
    const argument = args[index] ?? "";
    const [name = "", inline] = argument.split(/=(.*)/s);
    if (!argument.startsWith("-")) rest.push(argument);
    else if (options.includes(name)) {
      if (inline === undefined) index += 1;
      value = inline ?? args[index];
      if (value === undefined) throw badInput(field, `expected a value after ${name}`);
    } else throw badInput(field, `there is no option ${argument}; only ${options[0]}`);
  }
  return { value, rest };
}

function badCommand(field: string, expected: string, found: readonly string[]): AppError {
  return badInput(field, `expected ${expected}${found.length === 0 ? "" : `, found ${found.join(" ")}`}`);
}

function badInput(field: string, message: string): AppError {
  return new AppError("bad_input", `${field}: ${message}`, { details: { field } });
}

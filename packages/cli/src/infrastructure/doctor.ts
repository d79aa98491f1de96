import { toAppError } from "@hardshare/protocol";
import { runProgram, withTimeLimit } from "@hardshare/runtime";
import type { CliContext } from "../context.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

/** What was found about one thing that hardshare uses. */
interface Finding {
  name: string;
  isFine: boolean;
  found: string;
  /** What it is for, or what to do when it is missing. */
  advice: string;
}

const LONGEST_WAIT_MS = 10_000;

export const addDoctor: AddVerb = (program, shell) => {
  program
    .command("doctor")
    .summary("check what this computer has of what hardshare uses")
    .action(
      runs(shell, async ({ context, output }) => {
        const findings = await examine(context);
        output.result(findings, () =>
          formatTable(
            ["", "WHAT", "FOUND", ""],
            findings.map((it) => [it.isFine ? "ok" : "!!", it.name, it.found, it.advice]),
          ),
        );
        return findings.every((it) => it.isFine) ? 0 : 1;
      }),
    )
    .addHelpText("after", examples(["hardshare doctor", "exit code 1 when something is missing"]));
};

async function examine(context: CliContext): Promise<Finding[]> {
  const engines = examineEngines(context);
  const programs = await Promise.all([
    askProgram(context, "ssh", ["-V"], "`hardshare ssh`: `apt install openssh-client`"),
    askProgram(context, "socat", ["-V"], "serial lines: `apt install socat`"),
    askProgram(context, "setpriv", ["--version"], "ends helpers with their parent: `apt install util-linux`"),
  ]);
  const { usesNativeCrypto } = await import("@hardshare/client/node");
  const isNative = await usesNativeCrypto();
  return [
    { name: "node", isFine: true, found: process.version, advice: "" },
    ...(await engines),
    ...programs,
    {
      name: "ssh2 crypto",
      isFine: true,
      found: isNative ? "native" : "JavaScript",
      advice: isNative ? "" : "tunnels are slower; `apt install gcc libnode-dev`, then `npm rebuild ssh2`",
    },
  ];
}

/** One engine is enough. A Docker that is not installed is not missed. */
async function examineEngines(context: CliContext): Promise<Finding[]> {
  const podman = await askProgram(context, "podman", ["--version"], "containers of instances: `apt install podman`");
  const docker = await askDocker(context);
  if (docker === undefined) return [podman];
  const isFine = podman.isFine || docker.isFine;
  return [
    { ...podman, isFine, advice: isFine ? "" : podman.advice },
    { ...docker, isFine },
  ];
}

async function askDocker({ environment, interrupted }: CliContext): Promise<Finding | undefined> {
  try {
    const { askDockerVersion } = await import("@hardshare/host");
    const signal = withTimeLimit(interrupted, LONGEST_WAIT_MS);
    return { name: "docker", isFine: true, found: await askDockerVersion(environment.variables, signal), advice: "" };
  } catch (error) {
    const { code, message } = toAppError(error);
    return code === "engine_missing" ? undefined : { name: "docker", isFine: false, found: "not usable", advice: message };
  }
}

async function askProgram(context: CliContext, name: string, args: string[], advice: string): Promise<Finding> {
  try {
    const result = await runProgram(name, args, {
      env: context.environment.variables,
      signal: withTimeLimit(context.interrupted, LONGEST_WAIT_MS),
    });
    const line = `${result.stdout}\n${result.stderr}`.split("\n").find((text) => /\d/.test(text)) ?? "";
    return { name, isFine: result.exitCode === 0, found: line.trim(), advice: result.exitCode === 0 ? "" : advice };
  } catch {
    return { name, isFine: false, found: "missing", advice };
  }
}

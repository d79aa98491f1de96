import { access, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@hardshare/protocol";
import { runProgram, writeFileDurably } from "@hardshare/runtime";
import { Argument } from "commander";
import type { CliContext, Invocation } from "../context.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { formatUnit, type ServiceName, unitFileName } from "./unit.ts";

const NAMES: readonly ServiceName[] = ["host", "hub", "server"];
/** Others may read a unit, unless one of its arguments is a URL with a password. */
const [UNIT_MODE, SECRET_UNIT_MODE] = [0o644, 0o600];
const WITH_PASSWORD = /:\/\/[^/@\s]*:[^/@\s]+@/;

export const addService: AddVerb = (program, shell) => {
  const service = program.command("service").summary("let systemd keep the host daemon, a hub or the server running");
  const which = () => new Argument("<program>", "what to run").choices(NAMES);
  service
    .command("install")
    .description(
      "Writes a systemd unit, starts it, and has it started at every boot: a system unit as root, else a user unit.\n" +
        "What a crash or `systemctl stop` ends and what goes on: a stopped host ends its instances; one that was killed leaves\n" +
        "containers, which its successor adopts; instances go on while a server or hub is stopped.",
    )
    .addArgument(which())
    .argument("[arguments...]", "after --: arguments of `hardshare ad`, `hub` or `serve`")
    .option("--print", "print the unit and do nothing")
    .action(
      runs(shell, (invocation, flags: { print?: boolean }, name: ServiceName, args: string[]) =>
        install(invocation, name, args, flags.print === true),
      ),
    )
    .addHelpText(
      "after",
      examples(
        ["sudo hardshare service install host", "share this host's deployments from now on"],
        ["sudo hardshare service install server -- --host 0.0.0.0", "a server for others"],
        [
          "hardshare service install hub --print -- --server https://robots.example.org --token-file /root/admin.token",
          "only show the unit",
        ],
      ),
    );
  service
    .command("uninstall")
    .description("Stops a program that `service install` set up, and removes its unit. Its data stay.")
    .addArgument(which())
    .action(runs(shell, (invocation, _flags, name: ServiceName) => uninstall(invocation, name)))
    .addHelpText("after", examples(["sudo hardshare service uninstall host", "ends its instances, and shares nothing any more"]));
};

async function install({ context, output }: Invocation, name: ServiceName, args: readonly string[], isPrintOnly: boolean): Promise<void> {
  const { home, state, uid } = context.environment;
  const isSystem = uid === 0;
  const unit = formatUnit({
    name,
    command: context.selfCommand,
    args,
    isSystem,
    environment: { HARDSHARE_HOME: home, HARDSHARE_STATE: state },
  });
  if (isPrintOnly) return output.result({ unit }, () => unit.trimEnd());
  const file = join(unitFolder(context), unitFileName(name));
  await mkdir(unitFolder(context), { recursive: true });
  await writeFileDurably(file, unit, args.some((arg) => WITH_PASSWORD.test(arg)) ? SECRET_UNIT_MODE : UNIT_MODE);
  const commands = [["daemon-reload"], ["enable", "--now", unitFileName(name)]];
  const isStarted = await isSystemdRunning();
  if (isStarted) for (const command of commands) await systemctl(context, command);
  output.result({ file, isStarted }, () => {
    if (isStarted)
      return `${unitFileName(name)} runs, and will at every boot; \`${typed(context, ["status", unitFileName(name)])}\` shows it`;
    const todo = commands.map((command) => `  ${typed(context, command)}`).join("\n");
    return `wrote ${file}; systemd does not run here. Where it does:\n${todo}`;
  });
}

async function uninstall({ context, output }: Invocation, name: ServiceName): Promise<void> {
  const file = join(unitFolder(context), unitFileName(name));
  const isThere = await access(file).then(
    () => true,
    () => false,
  );
  if (!isThere) throw new AppError("not_found", `there is no unit ${file}; \`hardshare service install ${name}\` writes it`);
  const isRunning = await isSystemdRunning();
  if (isRunning) await systemctl(context, ["disable", "--now", unitFileName(name)]);
  await rm(file);
  if (isRunning) await systemctl(context, ["daemon-reload"]);
  output.result({ file }, () => `removed ${file}`);
}

function unitFolder({ environment }: CliContext): string {
  return environment.uid === 0 ? "/etc/systemd/system" : join(environment.userHome, ".config/systemd/user");
}

/** sd_booted(3). */
async function isSystemdRunning(): Promise<boolean> {
  return access("/run/systemd/system").then(
    () => true,
    () => false,
  );
}

function systemctlArgs(context: CliContext, args: readonly string[]): string[] {
  return context.environment.uid === 0 ? [...args] : ["--user", ...args];
}

function typed(context: CliContext, args: readonly string[]): string {
  return ["systemctl", ...systemctlArgs(context, args)].join(" ");
}

async function systemctl(context: CliContext, args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await runProgram("systemctl", systemctlArgs(context, args), { env: context.environment.variables });
  if (exitCode !== 0) throw new AppError("program_failed", `\`${typed(context, args)}\` ended with ${exitCode}: ${stderr.trim()}`);
}

import { Command, CommanderError, Option } from "commander";
import type { CliContext, GlobalOptions } from "./context.ts";
import { addAdmin } from "./infrastructure/admin.ts";
import { addBackup, addRestore } from "./infrastructure/backup.ts";
import { addDoctor } from "./infrastructure/doctor.ts";
import { addFilter } from "./infrastructure/filter.ts";
import { addHub } from "./infrastructure/hub.ts";
import { addServe } from "./infrastructure/serve.ts";
import { addSim } from "./infrastructure/sim.ts";
import { addVersion } from "./infrastructure/version.ts";
import { tellFailure, writeFailureJson } from "./output/failure.ts";
import { addAd } from "./share/ad.ts";
import { addCheck } from "./share/check.ts";
import { addDissolve } from "./share/dissolve.ts";
import { addConfig } from "./share/config.ts";
import { addConfigAddon } from "./share/config-addon.ts";
import { addDeclareOrg } from "./share/declare-org.ts";
import { addFirewall } from "./share/firewall.ts";
import { addHooks } from "./share/hooks.ts";
import { addImage } from "./share/image.ts";
import { addInit } from "./share/init.ts";
import { addList } from "./share/list.ts";
import { addLock, addUnlock } from "./share/lock.ts";
import { addMonitor } from "./share/monitor.ts";
import { addRegister } from "./share/register.ts";
import { addReload } from "./share/reload.ts";
import { addRules } from "./share/rules.ts";
import { addStatus } from "./share/status.ts";
import { addStopAd } from "./share/stop-ad.ts";
import { addTap } from "./share/tap.ts";
import { addService } from "./service/service.ts";
import { addUp } from "./up/up.ts";
import { addEstop } from "./use/estop.ts";
import { addForward } from "./use/forward.ts";
import { addInfo } from "./use/info.ts";
import { addInstances } from "./use/instances.ts";
import { addLaunch } from "./use/launch.ts";
import { addLogin, addLogout, addWhoami } from "./use/login.ts";
import { addSearch } from "./use/search.ts";
import { addSsh, SSH_FAILED } from "./use/ssh.ts";
import { addTerminate } from "./use/terminate.ts";
import { addTunnel } from "./use/tunnel.ts";
import type { AddVerb, Shell } from "./verb.ts";
import { VERSION } from "./version.ts";
import { AppError, toAppError } from "@hardshare/protocol";

const USAGE_EXIT_CODE = 2;

const GROUPS: readonly (readonly [heading: string, verbs: readonly AddVerb[]])[] = [
  [
    "Use a robot:",
    [
      addLogin,
      addLogout,
      addWhoami,
      addSearch,
      addInfo,
      addLaunch,
      addInstances,
      addSsh,
      addForward,
      addTunnel,
      addTerminate,
      addEstop,
      addFirewall,
    ],
  ],
  [
    "Share a robot:",
    [
      addInit,
      addRegister,
      addConfig,
      addConfigAddon,
      addImage,
      addAd,
      addCheck,
      addStatus,
      addReload,
      addTap,
      addMonitor,
      addStopAd,
      addList,
      addRules,
      addLock,
      addUnlock,
      addDissolve,
      addHooks,
      addDeclareOrg,
      addFilter,
      addService,
    ],
  ],
  ["Run the infrastructure:", [addUp, addServe, addHub, addSim, addAdmin, addBackup, addRestore, addDoctor, addVersion]],
];

/** The whole program with all its verbs. */
export function buildProgram(shell: Shell): Command {
  const { context } = shell;
  const program = new Command("hardshare")
    .description("Share robots and other hardware over the internet, safely.")
    .version(VERSION, "-V, --version")
    .addOption(formatOption())
    .option("--server <url>", "address of the server, instead of the login's (or HARDSHARE_SERVER)")
    .option("--token-file <file>", "file with an API token, instead of the login's (or HARDSHARE_TOKEN)")
    .option("--verbose", "say more on standard error, with the stack of an error")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "hardshare: ")),
    })
    .showHelpAfterError(`(${context.commandName} --help lists the verbs, ${context.commandName} VERB --help explains one)`)
    .helpCommand(false)
    .exitOverride();
  for (const [heading, verbs] of GROUPS) {
    program.commandsGroup(heading);
    for (const add of verbs) add(program, shell);
  }
  return program;
}

/** The existing client takes its formats in capital letters too. */
function formatOption(): Option {
  const option = new Option("--format <format>", "how results are written").choices(["json", "yaml", "table"]).default("table");
  const { parseArg } = option;
  if (parseArg !== undefined) option.parseArg = (value, earlier) => parseArg.call(option, value.toLowerCase(), earlier) as typeof earlier;
  return option;
}

/** Runs the program once. @returns its exit code: 0 done, 2 usage, else as the error catalogue says */
export async function runProgramOnce(context: CliContext): Promise<number> {
  let exitCode = 0;
  const program = buildProgram({
    context,
    setExitCode: (code) => {
      exitCode = code;
    },
    runAgain: (args, interrupted) => runProgramOnce({ ...context, args, interrupted }),
  });
  try {
    await program.parseAsync([...context.args], { from: "user" });
    return exitCode;
  } catch (error) {
    const { format, verbose } = program.opts<GlobalOptions>();
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      if (format === "json") writeFailureJson(new AppError("bad_input", error.message), context.stderr);
      return program.args[0] === "ssh" ? SSH_FAILED : USAGE_EXIT_CODE; // 2 could be the remote command's
    }
    const isStopped = context.interrupted.aborted && !(error instanceof AppError);
    const failure = isStopped ? new AppError("cancelled", "interrupted", { cause: error }) : error;
    tellFailure(failure, context.stderr, { commandName: context.commandName, isJson: format === "json", isVerbose: verbose === true });
    return toAppError(failure).exitCode;
  }
}

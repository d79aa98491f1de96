import { type CheckEvent, type CheckFinding, makeFinding, toAppError } from "@hardshare/protocol";
import { createLogger, noFailpoints } from "@hardshare/runtime";
import { checkServer } from "../check/check-server.ts";
import type { Invocation } from "../context.ts";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { openAccess } from "../login/credentials.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

interface CheckFlags {
  all?: boolean;
  failFast?: boolean;
  launch: boolean;
}

const FOUND_ERRORS = 1;

export const addCheck: AddVerb = (program, shell) => {
  program
    .command("check")
    .summary("look whether a deployment of this computer can be launched")
    .description(
      "Looks at all that a launch needs: configuration, contract, programs, devices, filters, container engine and image, server,\n" +
        "token, clock, hub. Then launches the deployment on trial and ends it again: its `init` and `terminate` programs move the\n" +
        "hardware. Nothing is launched beside an instance, or while the deployment is locked out. Each finding has a code, which\n" +
        "docs/reference/checks.md explains. Ends with 1 when there is an error.",
    )
    .argument("[id]", "id of a deployment of this host, or its beginning; may be left out when there is one")
    .option("--all", "all deployments of this host")
    .option("--fail-fast", "stop at the first error")
    .option("--no-launch", "no trial: services are started, and nothing is moved")
    .action(
      runs(shell, async (invocation, flags: CheckFlags, id?: string) => {
        const { output, context } = invocation;
        const found: CheckFinding[] = [];
        const report = (finding: CheckFinding) => {
          found.push(finding);
          output.progress(`${finding.severity} ${finding.code}: ${finding.cause}`);
        };
        await check(invocation, { flags, id, found, report, isOver: () => flags.failFast === true && found.some(isError) });
        context.interrupted.throwIfAborted();
        output.result({ findings: found }, () => describe(found));
        return found.some(isError) ? FOUND_ERRORS : 0;
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare check", "the only deployment of this computer, with a trial launch"],
        ["hardshare check 3f2a --no-launch", "without moving anything"],
        ["hardshare check --all --format json", "for a program"],
      ),
    );
};

interface Checking {
  flags: CheckFlags;
  id: string | undefined;
  found: readonly CheckFinding[];
  report: (finding: CheckFinding) => void;
  /** Whether nothing more is to be looked at. */
  isOver: () => boolean;
}

async function check(invocation: Invocation, { flags, id, found, report, isOver }: Checking): Promise<void> {
  const { context, options, output } = invocation;
  const { home, state, variables: environment } = context.environment;
  const { selfCommand, clock, random, interrupted: signal } = context;
  const host = await import("@hardshare/host");
  let configured: readonly string[];
  try {
    configured = await host.configuredDeployments({ home });
  } catch (error) {
    return report(makeFinding("not_set_up", { deployment: null, cause: toAppError(error).message }));
  }
  if (configured.length === 0) {
    return report(makeFinding("not_set_up", { deployment: null, cause: "the configuration of this host names no deployment" }));
  }
  const deployments = flags.all === true ? configured : [choose(configured, id)];
  await checkAtServer(invocation, { deployments, report });
  if (isOver()) return;
  await host.checkHere({
    home,
    state,
    selfCommand,
    environment,
    clock,
    random,
    signal,
    deployments,
    refusals: new Map(found.filter(isRefusal).map(({ deployment, cause }) => [deployment ?? "", cause])),
    launches: flags.launch,
    failFast: flags.failFast === true,
    emit: (event: CheckEvent) => (event.kind === "finding" ? report(event.finding) : output.progress(`… ${event.text}`)),
    failpoints: noFailpoints,
    logger: createLogger("host", options.verbose === true ? "debug" : "silent"),
  });
}

async function checkAtServer(
  { context, options, output }: Invocation,
  { deployments, report }: { deployments: readonly string[]; report: Checking["report"] },
): Promise<void> {
  output.progress("… server");
  const access = await openAccess(context, options).catch((error: unknown) => toAppError(error));
  if (!("client" in access)) return report(makeFinding("not_signed_in", { deployment: null, cause: access.message }));
  const { client } = access;
  if (!(await checkServer({ client, deployments, clock: context.clock, report }))) return;
  output.progress("… hubs");
  const { checkHubs } = await import("@hardshare/host");
  for (const finding of await checkHubs(await client.hubs(), context.interrupted)) report(finding);
}

function choose(configured: readonly string[], text: string | undefined): string {
  const choices = configured.map((id) => ({ ids: [id] as [string] }));
  return chooseByPrefix(text, choices, { noun: "deployment", whenNone: "this host's are in its config.yaml" }).ids[0];
}

function isError({ severity }: CheckFinding): boolean {
  return severity === "error";
}

/** Whether the server lets nobody launch the deployment, whatever is known of that here. */
function isRefusal({ code }: CheckFinding): boolean {
  return code === "locked_out" || code === "dissolved";
}

const ORDER: readonly CheckFinding["severity"][] = ["error", "warning", "info"];

function describe(found: readonly CheckFinding[]): string {
  const sorted = ORDER.flatMap((severity) => found.filter((finding) => finding.severity === severity));
  const table = formatTable(
    ["SEVERITY", "CODE", "DEPLOYMENT", "WHAT TO DO"],
    sorted.map(({ severity, code, deployment, fix }) => [severity, code, deployment?.slice(0, 8) ?? "", fix]),
  );
  const count = (severity: CheckFinding["severity"]) => found.filter((finding) => finding.severity === severity).length;
  const summary = `${count("error")} errors, ${count("warning")} warnings`;
  return found.length === 0 ? summary : `${table}\n${summary}`;
}

import { userInfo } from "node:os";
import { AppError, type EstopAnswer, UUID_PATTERN } from "@hardshare/protocol";
import { createLogger, noFailpoints } from "@hardshare/runtime";
import type { Invocation } from "../context.ts";
import { chooseByPrefix } from "../ids/choose-by-prefix.ts";
import { type Access, openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

/** What a press ends with that did not reach the host (see the error catalogue, `host_offline`). */
const HOST_NOT_REACHED = 6;

export const addEstop: AddVerb = (program, shell) => {
  program
    .command("estop")
    .summary("stop a robot at once")
    .description(
      "Nothing reaches the hardware any more, the owner's programs make it safe, and its instance ends, whatever it is doing.\n" +
        "A deployment that this computer's configuration lists is stopped here, with or without a running host daemon, and no\n" +
        "server is needed. Any other is stopped through the server: your instance, or a deployment that you own, with or without\n" +
        "an instance. An owner's press locks the deployment out; a user's does what its contract says (`estop_by_user`).",
    )
    .argument("[id]", "id of a deployment or instance, or its beginning; may be left out when there is one")
    .action(
      runs(shell, async (invocation, _options, id?: string) => {
        const here = await chooseHere(invocation, id);
        return here === undefined ? pressThroughServer(invocation, id) : pressHere(invocation, here);
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare estop", "the only robot of this computer, else your only instance"],
        ["hardshare estop 3f2a", "the deployment or instance whose id begins with 3f2a"],
        ["hardshare unlock 3f2a", "afterwards, as its owner: offer it again"],
      ),
    );
};

/** The deployment of this computer's configuration that is meant; undefined when none is. @throws AppError `bad_input` when several are */
async function chooseHere({ context }: Invocation, id: string | undefined): Promise<string | undefined> {
  const { deploymentsHere } = await import("@hardshare/host");
  const here = await deploymentsHere(context.environment);
  const meant = id === undefined ? here : here.filter((each) => each.startsWith(id.toLowerCase()));
  if (meant.length === 0) return undefined;
  const choices = meant.map((each) => ({ ids: [each] as [string] }));
  return chooseByPrefix(id, choices, { noun: "deployment", whenNone: "they are in config.yaml" }).ids[0];
}

async function pressHere({ context, options, output }: Invocation, deployment: string): Promise<void> {
  const { estopHere } = await import("@hardshare/host");
  const { home, state, variables: environment } = context.environment;
  const { selfCommand, clock, random } = context;
  const stopped = await estopHere({
    home,
    state,
    selfCommand,
    environment,
    deployment,
    actor: `${userInfo().username} at the host`,
    onProgress: (text) => output.progress(text),
    clock,
    random,
    failpoints: noFailpoints,
    logger: createLogger("host", options.verbose === true ? "debug" : "silent"),
  });
  output.result(stopped, () => {
    const what = stopped.instance === null ? "no instance was running" : `instance ${stopped.instance} ${endsAs(stopped.by)}`;
    const next = stopped.by === "here" ? `start the host daemon again (\`hardshare ad\`), which tells the server; then ` : "";
    return `deployment ${deployment} is stopped and locked out; ${what}\n${next}\`hardshare unlock ${deployment}\` offers it again`;
  });
}

function endsAs(by: "daemon" | "here"): string {
  return by === "daemon" ? "is ending (`hardshare status` shows it)" : "has ended";
}

async function pressThroughServer({ context, options, output }: Invocation, id: string | undefined): Promise<number> {
  const access = await openAccess(context, options);
  const answer = await press(access, id);
  const { deployment, instance } = answer;
  output.result({ ...answer, by: "server" }, () => {
    const what = instance === null ? `deployment ${deployment} is stopped` : `instance ${instance} of deployment ${deployment} is stopped`;
    return answer.host === "stopped" ? what : `${what} at the server and the hub only`;
  });
  if (!answer.recorded) output.progress("the server could not write it down yet, and goes on trying");
  if (answer.host === "stopped") return 0;
  output.progress(
    answer.host === "offline"
      ? "its host is not connected: what it does is not known, and it stops as soon as it is connected again"
      : "its host was told and has not answered: what it does is not known",
  );
  return HOST_NOT_REACHED;
}

async function press({ client }: Access, text: string | undefined): Promise<EstopAnswer> {
  if (text !== undefined && UUID_PATTERN.test(text)) {
    // Nothing is looked up first: that takes time, and may be refused.
    try {
      return await client.estopInstance(text);
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "not_found") throw error;
      return client.estopDeployment(text);
    }
  }
  const [mine, owned] = await Promise.all([client.instances(), client.ownedDeployments()]);
  const own = mine.map(({ id, deployment }) => ({ ids: [id, deployment], press: () => client.estopInstance(id) }));
  const others = owned.wdeployments
    .filter(({ id, dissolved }) => dissolved === null && mine.every(({ deployment }) => deployment !== id))
    .map(({ id, instance }) => ({ ids: instance === null ? [id] : [id, instance.id], press: () => client.estopDeployment(id) }));
  const words = {
    noun: "instance or deployment",
    whenNone: "`hardshare instances` lists yours, `hardshare list` those on your deployments",
  };
  return chooseByPrefix(text, text === undefined && own.length > 0 ? own : [...own, ...others], words).press();
}

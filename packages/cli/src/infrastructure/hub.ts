import { AppError, HostName, parseWith } from "@hardshare/protocol";
import { findServer, findToken } from "../login/credentials.ts";
import { readPort } from "../read-port.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { dataFolderFor, programLogger, untilInterrupted, untilReady } from "./serving.ts";

/** SSH port of a hub that runs alone. */
const DEFAULT_SSH_PORT = 8422;
/** Public ports of instances: outside the range from which the system takes ports of outgoing connections. */
const DEFAULT_PORTS = "22000-27999";

interface HubFlags {
  dataDir?: string;
  name: string;
  publicHost: string;
  bind: string;
  sshPort: number;
  ports: string;
}

export const addHub: AddVerb = (program, shell) => {
  program
    .command("hub")
    .summary("run a hub: where hosts and users meet")
    .description(
      "Runs a hub until it is asked to end. The first start registers it, for which the token of a superuser is needed;\n" +
        "afterwards its identity key is enough, and the address of the server.",
    )
    .option("--data-dir <folder>", "where its keys lie")
    .option("--name <name>", "name for people", "hub")
    .option("--public-host <address>", "address by which hosts and users reach it", "127.0.0.1")
    .option("--bind <address>", "address to listen on", "127.0.0.1")
    .option("--ssh-port <port>", "its SSH port", readPort, DEFAULT_SSH_PORT)
    .option("--ports <first-last>", "public ports of instances", DEFAULT_PORTS)
    .action(
      runs(shell, async (invocation, flags: HubFlags) => {
        const { context, options, output } = invocation;
        const [firstPort, lastPort] = readRange(flags.ports);
        const publicHost = parseWith(HostName, flags.publicHost, "--public-host");
        const url = await findServer(context, options);
        const { startHub } = await import("@hardshare/hub");
        await using hub = await startHub({
          dataFolder: await dataFolderFor(context, flags.dataDir, "hub"),
          serverUrl: url,
          token: (await findToken(context, options, url))?.token,
          name: flags.name,
          publicHost,
          bindHost: flags.bind,
          sshPort: flags.sshPort,
          firstPort,
          lastPort,
          clock: context.clock,
          random: context.random,
          logger: programLogger("hub", options),
        });
        const asked = untilInterrupted(context);
        const waitsFor = () => `the server at ${url}`;
        if (!(await untilReady(invocation, hub.ready, { asked, waitsFor }))) return;
        const facts = { id: hub.id, host: publicHost, sshPort: hub.sshPort, hostKey: hub.hostKey };
        output.result(facts, () => `hub ${hub.id} listens on ${flags.bind}:${hub.sshPort}`);
        await asked;
      }),
    )
    .addHelpText(
      "after",
      examples([
        "hardshare hub --server https://robots.example.org --token-file admin.token --public-host hub.example.org --bind 0.0.0.0",
        "a hub of its own",
      ]),
    );
};

function readRange(text: string): [number, number] {
  const [, first = "", last = ""] = /^(\d{1,5})-(\d{1,5})$/.exec(text) ?? [];
  const range: [number, number] = [Number(first), Number(last)];
  if (first !== "" && range[0] >= 1 && range[0] <= range[1] && range[1] <= 65_535) return range;
  throw new AppError("bad_input", `--ports: "${text}" is no range of ports; write one such as ${DEFAULT_PORTS}`, {
    details: { field: "ports" },
  });
}

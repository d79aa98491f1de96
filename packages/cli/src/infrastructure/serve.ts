import { readPort } from "../read-port.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { dataFolderFor, programLogger, untilInterrupted } from "./serving.ts";

/** Port of the HTTP API unless told otherwise. */
export const DEFAULT_SERVER_PORT = 8484;

interface ServeFlags {
  dataDir?: string;
  host: string;
  port: number;
  databaseUrl?: string;
  publicUrl?: string;
  trustedProxy?: string[];
  hooksMayReach?: string[];
  mailFile?: string;
}

const collect = (value: string, earlier: string[] = []) => [...earlier, value];

export const addServe: AddVerb = (program, shell) => {
  program
    .command("serve")
    .summary("run the server: API, rules, lifecycle")
    .description(
      "Runs the server until it is asked to end. Without --database-url it keeps a PostgreSQL of its own in its data folder.\n" +
        "At its first start it makes the user admin, whose token lies in admin.token there.",
    )
    .option("--data-dir <folder>", "where keys and the database lie")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on", readPort, DEFAULT_SERVER_PORT)
    .option("--public-url <url>", "address by which users reach it, when a proxy stands before it")
    .option("--trusted-proxy <subnet>", "address or subnet (CIDR) of a proxy whose X-Forwarded-For is believed; may be repeated", collect)
    .option(
      "--hooks-may-reach <subnet>",
      "address or subnet (CIDR) beside the internet to which alerts may be posted; may be repeated",
      collect,
    )
    .option("--mail-file <file>", "file with `url:` of a mail server and `from:`, so that alerts are mailed too")
    .option("--database-url <url>", "an existing PostgreSQL instead of the private one")
    .action(
      runs(shell, async ({ context, options, output }, flags: ServeFlags) => {
        const { startServer } = await import("@hardshare/server");
        const dataFolder = await dataFolderFor(context, flags.dataDir, "server");
        await using server = await startServer({
          dataFolder,
          host: flags.host,
          port: flags.port,
          databaseUrl: flags.databaseUrl,
          publicUrl: flags.publicUrl,
          trustedProxies: flags.trustedProxy,
          hooksMayReach: flags.hooksMayReach,
          mailFile: flags.mailFile,
          signal: context.interrupted,
          clock: context.clock,
          random: context.random,
          logger: programLogger("server", options),
        });
        output.result(
          { url: server.url, adminTokenFile: server.adminTokenFile },
          () => `serving on ${server.url}; the admin's token is in ${server.adminTokenFile}`,
        );
        await untilInterrupted(context);
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare serve", "a server for this computer"],
        ["hardshare serve --host 0.0.0.0 --database-url postgres://…", "one of several, on a shared database"],
      ),
    );
};

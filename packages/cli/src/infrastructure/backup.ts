import { resolve } from "node:path";
import type { Invocation } from "../context.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { dataFolderFor, programLogger } from "./serving.ts";

interface BackupFlags {
  dataDir?: string;
  databaseUrl?: string;
}

export const addBackup: AddVerb = (program, shell) => {
  program
    .command("backup")
    .summary("save all that the server keeps in one file")
    .description(
      "Writes the server's database, as it is at one moment, and its keys into one file. The server may run meanwhile.\n" +
        "Whoever has the file can be this server: it is readable by you alone; keep it so.",
    )
    .argument("<file>", "the file to write; one that is there is replaced")
    .option("--data-dir <folder>", "the server's data folder")
    .option("--database-url <url>", "the server's PostgreSQL, when it is not the private one")
    .action(
      runs(shell, async (invocation, flags: BackupFlags, file: string) => {
        const { backupServer } = await import("@hardshare/server");
        const { rows } = await backupServer(await optionsOf(invocation, flags, file));
        invocation.output.result({ file: resolve(file), rows }, () => `wrote ${resolve(file)}: ${rows} rows and the server's keys`);
      }),
    )
    .addHelpText("after", examples(["hardshare backup /mnt/backups/$(date -I).hardshare", "what a timer would run every night"]));
};

export const addRestore: AddVerb = (program, shell) => {
  program
    .command("restore")
    .summary("make a server's data folder from a backup")
    .description(
      "Fills an empty data folder (and database) from a file that `hardshare backup` wrote: all of it, or nothing.\n" +
        "Then start the server on it: hosts, hubs and tokens know it as before. Instances that are newer than the backup end.",
    )
    .argument("<file>", "the backup")
    .option("--data-dir <folder>", "the data folder to make; must be empty")
    .option("--database-url <url>", "an empty database, when the server is not to keep a private one")
    .action(
      runs(shell, async (invocation, flags: BackupFlags, file: string) => {
        const { restoreServer } = await import("@hardshare/server");
        const options = await optionsOf(invocation, flags, file);
        const { rows, at } = await restoreServer(options);
        invocation.output.result(
          { dataFolder: options.dataFolder, rows, at },
          () => `restored ${rows} rows of ${at} into ${options.dataFolder}`,
        );
      }),
    )
    .addHelpText(
      "after",
      examples(["hardshare restore 2026-11-25.hardshare --data-dir /var/lib/hardshare/server", "before the server is started"]),
    );
};

async function optionsOf({ context, options }: Invocation, flags: BackupFlags, file: string) {
  const { clock, random, interrupted: signal } = context;
  return {
    dataFolder: await dataFolderFor(context, flags.dataDir, "server"),
    databaseUrl: flags.databaseUrl,
    file: resolve(file),
    signal,
    clock,
    random,
    logger: programLogger("backup", options),
  };
}

import { createHash } from "node:crypto";
import { access, constants } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { AppError } from "@hardshare/protocol";
import { writeFileDurably } from "@hardshare/runtime";
import { openAccess } from "../login/credentials.ts";
import { readTokenFile } from "../login/token-file.ts";
import { formatTable } from "../output/table.ts";
import { type AddVerb, examples, runs } from "../verb.ts";

interface TokenFlags {
  days?: number;
  superuser?: boolean;
  out?: string;
}

export const addAdmin: AddVerb = (program, shell) => {
  const admin = program
    .command("admin")
    .summary("users and tokens (superusers)")
    .description("Users and tokens, for superusers: sign in with admin.token first.");
  const user = admin.command("user").description("users");
  user
    .command("add")
    .description("add a user")
    .argument("<name>", "name of the new user")
    .action(
      runs(shell, async ({ context, options, output }, _options, name: string) => {
        const { client } = await openAccess(context, options);
        await client.addUser(name);
        output.result({ user: name }, () => `user ${name} was added; \`hardshare admin token ${name} --out ${name}.token\` makes a token`);
      }),
    );
  user
    .command("list")
    .description("list the users")
    .action(
      runs(shell, async ({ context, options, output }) => {
        const { client } = await openAccess(context, options);
        const users = await client.users();
        output.result(users, () =>
          formatTable(
            ["USER", "SINCE"],
            users.map((it) => [it.name, it.created]),
          ),
        );
      }),
    );
  admin
    .command("token")
    .description("make a token for a user; whoever has it can act as this user")
    .argument("<user>", "name of the user")
    .option("--days <number>", "how long it is valid (default: 90)", readDays)
    .option("--superuser", "may also administrate")
    .option("--out <file>", "write it to this file, readable by you alone, instead of printing it")
    .action(
      runs(shell, async ({ context, options, output }, flags: TokenFlags, name: string) => {
        const file = flags.out === undefined ? undefined : await writableFile(flags.out);
        const { client } = await openAccess(context, options);
        const issued = await client.issueToken({
          user: name,
          ...(flags.days === undefined ? {} : { days: flags.days }),
          ...(flags.superuser ? { superuser: true } : {}),
        });
        if (file === undefined) {
          output.result({ user: name, ...issued }, () => issued.token);
          return;
        }
        await writeFileDurably(file, `${issued.token}\n`);
        output.result(
          { user: name, file, sha256: issued.sha256, expires: issued.expires },
          () => `the token of ${name} is in ${file}, until ${issued.expires}; its SHA-256, to revoke it: ${issued.sha256}`,
        );
      }),
    )
    .addHelpText("after", examples(["hardshare admin token ada --days 30 --out ada.token", "then give the file to ada"]));
  admin
    .command("revoke")
    .description("revoke a token: at once nobody can act with it, and what was opened with it is closed")
    .argument("<token>", "its SHA-256, as `hardshare admin token` says it, or a file with the token")
    .action(
      runs(shell, async ({ context, options, output }, _options, token: string) => {
        const sha256 = await sha256Of(token);
        const { client } = await openAccess(context, options);
        await client.revokeToken(sha256);
        output.result({ sha256 }, () => `the token with the SHA-256 ${sha256} is revoked`);
      }),
    )
    .addHelpText("after", examples(["hardshare admin revoke ada.token", "ada's laptop was stolen"]));
};

/** @param token a SHA-256 or the path of a file @throws AppError `bad_input` */
async function sha256Of(token: string): Promise<string> {
  if (/^[\da-f]{64}$/i.test(token)) return token.toLowerCase();
  return createHash("sha256")
    .update(await readTokenFile(token, "<token>"))
    .digest("hex");
}

/** Before a token is made that could not be kept. @throws AppError `bad_input` */
async function writableFile(path: string): Promise<string> {
  const file = resolve(path);
  try {
    await access(dirname(file), constants.W_OK);
    return file;
  } catch (cause) {
    throw new AppError(
      "bad_input",
      `--out: can't write ${file} (${(cause as NodeJS.ErrnoException).code}); name a file in a folder of yours`,
      {
        details: { field: "out" },
        cause,
      },
    );
  }
}

function readDays(text: string): number {
  const days = Number(text);
  if (days > 0 && days <= 3650) return days;
  throw new AppError("bad_input", `--days: "${text}" is no number of days; expected one up to 3650`, { details: { field: "days" } });
}

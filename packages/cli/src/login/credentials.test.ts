import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { systemClock, systemRandom } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { CliContext } from "../context.ts";
import { readEnvironment } from "../environment.ts";
import { findCredentials } from "./credentials.ts";
import { readLogin, removeLogin, tokenPath, writeLogin } from "./login-store.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "hardshare-login-"));
});
afterEach(() => rm(home, { recursive: true }));

function contextWith(variables: Record<string, string> = {}): CliContext {
  return {
    args: [],
    environment: readEnvironment({ HARDSHARE_HOME: home, ...variables }, { uid: 1000, home: "/home/ada" }),
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    selfCommand: ["hardshare"],
    commandName: "hardshare",
    interrupted: new AbortController().signal,
    onHangUp: () => ({ [Symbol.dispose]() {} }),
    onCutAsked: () => ({ [Symbol.dispose]() {} }),
    clock: systemClock,
    random: systemRandom,
  };
}
const options = { format: "table" as const };

test("the login is readable by its user alone and says where to go and as whom", async () => {
  await writeLogin(home, { server: "http://a:1", user: "ada" }, "x.y.z");
  expect((await stat(tokenPath(home))).mode & 0o777).toBe(0o600);
  expect((await stat(join(home, "login.yaml"))).mode & 0o777).toBe(0o600);
  expect(await findCredentials(contextWith(), options)).toEqual({ url: "http://a:1", token: "x.y.z", tokenFile: tokenPath(home) });
  await removeLogin(home);
  expect(await readLogin(home)).toBeUndefined();
});

test("options win over variables, and these over the login", async () => {
  await writeLogin(home, { server: "http://a:1", user: "ada" }, "x.y.z");
  const file = join(home, "other");
  await writeFile(file, "o.t.h\n");
  const context = contextWith({ HARDSHARE_SERVER: "http://b:2/", HARDSHARE_TOKEN: "v.a.r" });
  expect(await findCredentials(context, options)).toEqual({ url: "http://b:2", token: "v.a.r", tokenFile: undefined });
  expect(await findCredentials(context, { ...options, server: "http://c:3", tokenFile: file })).toEqual({
    url: "http://c:3",
    token: "o.t.h",
    tokenFile: file,
  });
});

test("the login's token is never sent to another server", async () => {
  await writeLogin(home, { server: "http://a:1", user: "ada" }, "x.y.z");
  await expect(findCredentials(contextWith(), { ...options, server: "http://evil:1" })).rejects.toMatchObject({
    code: "not_configured",
    message: "nobody is signed in at http://evil:1: use `hardshare login --server http://evil:1 --token-file FILE`",
  });
});

test("what is no token or no address is refused before anything is sent", async () => {
  await expect(findCredentials(contextWith({ HARDSHARE_SERVER: "nonsense" }), options)).rejects.toMatchObject({ code: "bad_input" });
  const variables = { HARDSHARE_SERVER: "http://a:1", HARDSHARE_TOKEN: "no token" };
  await expect(findCredentials(contextWith(variables), options)).rejects.toThrow(/HARDSHARE_TOKEN holds no API token/);
  const missing = { ...options, server: "http://a:1", tokenFile: join(home, "none") };
  await expect(findCredentials(contextWith(), missing)).rejects.toThrow(/--token-file: can't read .*none \(ENOENT\)/);
});

test("children inherit neither the token nor the lifeline", () => {
  const environment = readEnvironment({ HARDSHARE_TOKEN: "x.y.z", HARDSHARE_LIFELINE: "1", PATH: "/bin" }, { uid: 0, home: "/root" });
  expect(environment).toMatchObject({ token: "x.y.z", hasLifeline: true, variables: { PATH: "/bin" }, dataRoot: "/var/lib/hardshare" });
  expect(Object.keys(environment.variables)).toEqual(["PATH"]);
});

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Person, World } from "./harness/world.ts";

const NO_ID = "00000000-0000-4000-8000-000000000000";

let world: World;
let admin: Person;
/** Signed in, with a right to nothing. */
let eve: Person;
/** A computer on which nothing is set up. */
let nobody: Person;

beforeAll(async () => {
  world = await World.create();
  admin = await world.admin();
  eve = await world.user("eve");
  nobody = new Person(world.folder, "nobody");
  await mkdir(nobody.home, { recursive: true });
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

async function file(name: string, text: string): Promise<string> {
  const path = join(world.folder, name);
  await writeFile(path, text);
  return path;
}

interface Expectation {
  args: readonly (string | (() => string | Promise<string>))[];
  by?: () => Person;
  code: number;
  says: RegExp;
}

/** What people get wrong, the exit code, and what they are told. */
const TABLE: Record<string, Expectation> = {
  "no login": { by: () => nobody, args: ["search"], code: 1, says: /no server is known: sign in with `npx hardshare login --server URL/ },
  "no configuration": { by: () => nobody, args: ["ad"], code: 1, says: /not set up as a host: .*config\.yaml.*`npx hardshare init`/ },
  "no daemon": { by: () => nobody, args: ["status"], code: 1, says: /no host daemon runs here; `npx hardshare ad` starts one/ },
  "an unknown type": { args: ["launch", "no_such"], code: 1, says: /"no_such" is neither a workspace type nor .* `npx hardshare search`/ },
  "an unknown id": { args: ["info", NO_ID], code: 1, says: /no deployment or instance has an id/ },
  "an unknown instance": { args: ["terminate", NO_ID], code: 1, says: /instance not found/ },
  "no instance": { args: ["terminate"], code: 1, says: /there is no instance to choose/ },
  "no instance for ssh": { args: ["ssh", "--", "true"], code: 255, says: /there is no instance to choose: launch one with/ },
  "an id left out where there are two": { args: ["rules"], code: 2, says: /there are 2 deployments, so say which one/ },
  "a duration that is none": { args: ["launch", "sim_robot", "--for", "soon"], code: 2, says: /--for: "soon" is no duration; write/ },
  "no time at all": { args: ["launch", "sim_robot", "--for", "0s"], code: 2, says: /--for: .*more than 0/ },
  "more time than the owner allows": { args: ["launch", "sim_robot", "--for", "100d"], code: 2, says: /too large: expected at most/ },
  "a key file that is not there": { args: ["launch", "sim_robot", "--public-key", "/nope.pub"], code: 2, says: /can't read \/nope\.pub/ },
  "a key file without a key": {
    args: ["launch", "sim_robot", "--public-key", () => file("bad.pub", "no key\n")],
    code: 2,
    says: /bad\.pub: expected one line of an OpenSSH public key/,
  },
  "no right to launch": { by: () => eve, args: ["launch", "sim_robot_http"], code: 5, says: /hardshare: / },
  "another's deployment": {
    by: () => eve,
    args: ["lock", () => world.deployment("proxy")],
    code: 1,
    says: /no deployment has an id|there is no deployment/,
  },
  "administration by somebody else": { by: () => eve, args: ["admin", "user", "list"], code: 5, says: /hardshare: / },
  "a user's name with a space": { args: ["admin", "user", "add", "eve l"], code: 2, says: /name: expected 1–64 letters/ },
  "a user who is there": { args: ["admin", "user", "add", "eve"], code: 1, says: /a user named eve exists already/ },
  "a token for nobody": { args: ["admin", "token", "mallory"], code: 1, says: /no user is named mallory/ },
  "a token into no folder": { args: ["admin", "token", "eve", "--out", "/no/such/x"], code: 2, says: /--out: .*\/no\/such\/x/ },
  "a token file that is not there": {
    args: ["whoami", "--token-file", "/nope"],
    code: 2,
    says: /--token-file: can't read \/nope \(ENOENT\)/,
  },
  "a foreign token": {
    args: ["whoami", "--token-file", () => file("forged", `${admin.token.slice(0, -8)}AAAAAAAA\n`)],
    code: 5,
    says: /wrong authorization token; sign in with `npx hardshare login/,
  },
  "a port in use": { args: ["sim", "--port", () => new URL(world.ready.url).port], code: 1, says: /[Pp]ort \d+ .*in use/ },
  "a contract with a wrong field": {
    args: ["register", "--permit-more", "--contract", () => file("c1.yaml", "provider: podman\nlimits:\n  memory: lots\n")],
    code: 1,
    says: /\.yaml:3:11: limits\.memory: /,
  },
  "a contract that is no YAML": {
    args: ["register", "--permit-more", "--contract", () => file("c2.yaml", "provider: podman\n  env: [\n")],
    code: 1,
    says: /\.yaml:\d+:\d+: /,
  },
  "a contract that is not there": {
    args: ["register", "--contract", "/nope.yaml"],
    code: 2,
    says: /--contract: there is no file \/nope\.yaml/,
  },
  "a workspace type with a space": { args: ["register", "--type", "Bad Type"], code: 2, says: /type: expected/ },
  "rules that are none": {
    args: ["filter", "run", "http", "--target", "127.0.0.1:1", "--rules", () => file("r.yaml", "default: maybe\n")],
    code: 1,
    says: /r\.yaml:1:10: default: expected one of/,
  },
};

test.each(Object.entries(TABLE))(
  "%s: the exit code is right, and the message says what is wrong",
  async (_name, { args, by, code, says }) => {
    const words = await Promise.all(args.map(async (arg) => (typeof arg === "string" ? arg : arg())));
    const result = await (by ?? (() => admin))().run(["--format", "json", ...words]);
    const [text = "", json = "{}"] =
      result.stderr
        .trimEnd()
        .split("\nhardshare: ")
        .at(-1)
        ?.split(/\n(?=\{"error")/) ?? [];
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: "" });
    expect(text).toMatch(says);
    expect(text).not.toMatch(/^\s+at |undefined|\[object/m);
    expect(JSON.parse(json)).toMatchObject({ error: { code: expect.any(String) as string, message: expect.any(String) as string } });
  },
);

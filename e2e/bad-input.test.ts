import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningCommand } from "./harness/commands.ts";
import { describeWithContainers } from "./harness/containers.ts";
import { findFreePort } from "./harness/network.ts";
import { OwnHost } from "./harness/own-host.ts";
import { expectAnswer, Person, World } from "./harness/world.ts";

const NO_ID = "00000000-0000-4000-8000-000000000000";

let world: World;
let admin: Person;
/** Signed in, with a right to nothing. */
let eve: Person;
/** Holds an instance of the proxy deployment. */
let frida: Person;
/** Owns two deployments whose ids begin alike. */
let zoe: Person;
let prefix: string;
/** A computer on which nothing is set up. */
let nobody: Person;

beforeAll(async () => {
  world = await World.create();
  admin = await world.admin();
  eve = await world.user("eve");
  frida = await world.user("frida");
  await admin.prepare("rules", world.deployment("proxy"), "--permit", "frida");
  await expectAnswer(frida.run(["launch", world.deployment("proxy"), "--wait"]));
  zoe = await world.user("zoe");
  prefix = await registerUntilTwoBeginAlike(zoe);
  nobody = new Person(world.folder, "nobody");
  await mkdir(nobody.home, { recursive: true });
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** Registers deployments without a host. @returns the digit with which the ids of two of them begin */
async function registerUntilTwoBeginAlike(owner: Person): Promise<string> {
  const firsts = new Set<string>();
  for (;;) {
    const response = await fetch(`${world.ready.url}/hardshare/register`, {
      method: "POST",
      headers: { authorization: `Bearer ${owner.token}` },
    });
    const first = ((await response.json()) as { id: string }).id.slice(0, 1);
    if (firsts.has(first)) return first; // after 17 at the latest
    firsts.add(first);
  }
}

/** A token that has expired at the moment when it was made. */
async function expiredToken(): Promise<string> {
  const { token } = await admin.json<{ token: string }>("admin", "token", "eve", "--days", "0.0000000001");
  return file("expired", `${token}\n`);
}

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
  /** The code for programs. */
  error?: string;
}

const TAKEN = /(?:in use|used by another program|EADDRINUSE).*another/;
const taken = () => new URL(world.ready.url).port;

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
  "a port in use": { args: ["sim", "--port", taken], code: 1, says: TAKEN, error: "port_in_use" },
  "a port in use, for serve": {
    by: () => nobody,
    args: ["serve", "--data-dir", () => join(world.folder, "other-server"), "--port", taken],
    code: 1,
    says: TAKEN,
    error: "port_in_use",
  },
  "a port in use, for hub": {
    args: ["hub", "--data-dir", () => join(world.folder, "other-hub"), "--ssh-port", taken],
    code: 1,
    says: TAKEN,
    error: "port_in_use",
  },
  "a port in use, for forward": { by: () => frida, args: ["forward", "--local-port", taken], code: 1, says: TAKEN, error: "port_in_use" },
  "a port in use, for up": {
    by: () => nobody,
    args: ["up", "--no-container", "--data-dir", () => join(world.folder, "other-up"), "--port", taken],
    code: 1,
    says: /port \d+ is taken by another program: choose another one with --port/,
  },
  "a server that does not answer": {
    args: ["search", "--server", async () => `http://127.0.0.1:${await findFreePort()}`, "--token-file", () => file("any", admin.token)],
    code: 1,
    says: /can't reach the server at http:\/\/127\.0\.0\.1:\d+ \(ECONNREFUSED\); check the address/,
  },
  "an expired token": { args: ["whoami", "--token-file", expiredToken], code: 5, says: /token.*sign in with `npx hardshare login/ },
  "an ambiguous beginning of an id": {
    by: () => zoe,
    args: ["lock", () => prefix],
    code: 2,
    says: /"[\da-f]" means more than one deployment: write more of the id of [\da-f-]{36}, [\da-f-]{36}/,
  },
  "a verb that is none": {
    args: ["lunch"],
    code: 2,
    says: /unknown command 'lunch'\n\(Did you mean launch\?\)\n\(npx hardshare --help lists the verbs/,
  },
  "no verb at all": { args: [], code: 2, says: /Usage: / },
  "an argument left out": { args: ["launch"], code: 2, says: /missing required argument 'id\|type'/ },
  "an argument too many": { args: ["search", "a", "b"], code: 2, says: /too many arguments/ },
  "an option that is none": { args: ["search", "--fast"], code: 2, says: /unknown option '--fast'/ },
  "an option without its value": { args: ["launch", "sim_robot", "--for"], code: 2, says: /argument missing/ },
  "a port that is none": { args: ["forward", "--local-port", "99999"], code: 2, says: /99999/ },
  "a range of ports that is none": {
    args: ["hub", "--ports", "9-1"],
    code: 2,
    says: /--ports: "9-1" is no range of ports; write one such as/,
  },
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
  async (_name, { args, by, code, says, error }) => {
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
    expect(JSON.parse(json)).toMatchObject({
      error: { code: error ?? (expect.any(String) as string), message: expect.any(String) as string },
    });
  },
);

describeWithContainers("a host that cannot keep its contract", () => {
  test.each([
    {
      lacks: "the image",
      owner: "ivy",
      contract: "provider: podman\nimage: localhost/no/such\n",
      start: (person: Person) => person.start("ad"),
      says: /the image localhost\/no\/such is not on this computer; build or pull it, then run `(?:npx )?hardshare reload`/,
      code: "image_missing",
    },
    {
      lacks: "the container engine",
      owner: "hank",
      contract: "provider: podman\n",
      start: (person: Person) => person.startWithoutPodman("ad"),
      says: /podman is not installed\. Install it with: sudo apt-get install podman/,
      code: "engine_missing",
    },
  ])("because $lacks is missing: `ad` and `status` say so and what to do, and nothing can be launched", async (row) => {
    const owner = await world.user(row.owner);
    await owner.prepare("init", "--server", world.ready.url);
    const id = await new OwnHost(owner).share(row.contract);
    await using daemon: RunningCommand<unknown> = row.start(owner);
    await daemon.ready;
    expect(daemon.log).toMatch(row.says);

    expect((await expectAnswer(owner.run(["status"]))).stdout).toMatch(row.says);
    const again = await owner.run(["--format", "json", "ad", id]);
    expect({ code: again.code, stdout: again.stdout }).toEqual({ code: 1, stdout: "" });
    expect(again.stderr).toMatch(row.says);
    expect(JSON.parse(again.stderr.trimEnd().split("\n").at(-1) ?? "")).toMatchObject({ error: { code: row.code } });

    const launch = await owner.run(["launch", id]);
    expect(launch.code).toBe(6);
    expect(await owner.json<unknown[]>("instances", "--all")).toEqual([]);
  });
});

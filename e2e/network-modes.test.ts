import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureImage } from "@hardshare/host";
import { silentLogger } from "@hardshare/runtime";
import { borrowDocker } from "@hardshare/testkit/lending";
import { readyForLinks } from "@hardshare/testkit/link-needs";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { expectSuccess, run } from "./harness/commands.ts";
import { followEvents } from "./harness/events.ts";
import { FarInternet } from "./harness/far-internet.ts";
import { processesWith } from "./harness/leftovers.ts";
import { type Launched, Site } from "./harness/site.ts";

const ATTACK = await readFile(new URL("./harness/attack.py", import.meta.url), "utf8");
/** Gateway, neighbours and groups of the link, and what is reserved. */
const NOBODYS = ["100.64.0.1", "fe80::1%eth0", "224.0.0.251", "ff02::1%eth0", "255.255.255.255", "240.0.0.1", "0.0.0.1"];
/** Types of questions for names (RFC 1035, 3596, 9460). */
const [A, TXT, AAAA, HTTPS] = [1, 16, 28, 65];

interface Orders {
  tcp?: string[];
  udp?: string[];
  long?: string[];
  routed?: [first: string, last: string][];
  names?: [name: string, kind: number, by: "udp" | "tcp"][];
  rights?: boolean;
}
interface Named {
  id: number;
  code: number;
  answers: number;
  truncated: boolean;
  bytes: number;
  hex: string;
}

/** One instance of a host that is elsewhere. */
class Elsewhere implements AsyncDisposable {
  readonly internet: FarInternet;
  readonly site: Site;
  #sshConfig = "";
  #launched: Launched | undefined;

  private constructor(internet: FarInternet, site: Site) {
    this.internet = internet;
    this.site = site;
  }

  static async build(contract: string, { hasIpv6 = true, dockerHost = "" } = {}): Promise<Elsewhere> {
    const internet = await FarInternet.create({ hasIpv6 });
    const within = [...internet.within, ...(dockerHost === "" ? [] : ["env", `DOCKER_HOST=${dockerHost}`])];
    try {
      const address = internet.serverAddress;
      const site = await Site.build({ contract, address, prepare: async (site) => void (site.within.host = within) });
      return new Elsewhere(internet, site);
    } catch (error) {
      await internet[Symbol.asyncDispose]();
      throw error;
    }
  }

  get launched(): Launched {
    if (this.#launched === undefined) throw new Error("nothing is launched");
    return this.#launched;
  }

  async launch(): Promise<Launched> {
    const { id, ssh_config } = await this.site.owner.json<{ id: string; ssh_config: string }>("launch", this.site.deployment, "--wait");
    this.#sshConfig = ssh_config;
    return (this.#launched = await this.site.instance(id));
  }

  async end(): Promise<void> {
    await this.site.end(this.launched);
  }

  /** Changes what the next instance reaches. */
  async change(from: string, to: string): Promise<void> {
    const file = join(this.site.owner.home, "config", "deployments", `${this.site.deployment}.yaml`);
    await writeFile(file, (await readFile(file, "utf8")).replace(`network: ${from}`, `network: ${to}`));
    await this.site.owner.run(["reload"]);
  }

  /** Resolves when the timeline of the instance says this. */
  async untilTold(text: string): Promise<void> {
    const { url, owner } = this.site;
    const says = (data: Record<string, unknown>) => String(data["message"]).startsWith(text);
    const events = await followEvents(url, owner, this.launched.id, ({ data }) => says(data));
    if (!events.some(({ data }) => says(data))) throw new Error(`it never said ${text}: ${JSON.stringify(events.at(-1))}`);
  }

  inside(command: string): Promise<string> {
    return expectSuccess("ssh", ["-F", this.#sshConfig, this.site.deployment, command], { env: this.site.owner.env });
  }

  async attack<T = string>(orders: Orders): Promise<Record<string, T>> {
    const words = JSON.stringify({ port: this.internet.port, ...orders });
    const args = ["-F", this.#sshConfig, this.site.deployment, `python3 - '${words}'`];
    const { code, stdout, stderr } = await run("ssh", args, { env: this.site.owner.env, input: ATTACK });
    if (code !== 0) throw new Error(`the attack ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as Record<string, T>;
  }

  /** What lies near the host, by every address that it has, but for itself. */
  get nearby(): string[] {
    const { near, internet } = { near: this.internet.near, internet: this.internet };
    return [...Object.values(near), internet.serverAddress];
  }

  /** The host itself. */
  get host(): string[] {
    return [...Object.values(this.internet.host), this.internet.hostOnLine];
  }

  /** Tables of packet rules of the host's computer. */
  tables(): Promise<string> {
    return this.internet.atHost("nft", "list", "tables");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
    await this.internet[Symbol.asyncDispose]();
  }
}

const isLong = process.env["HARDSHARE_LONG"] !== undefined;
/** What no machine of its kind can have is left out on CI, too. */
const linkProblem = await readyForLinks();
const docker = await borrowDocker(inject("lender"));
const providers = [
  { provider: "podman", problem: inject("containerProblem"), prepare: ensurePodmanImage },
  { provider: "docker", problem: docker.problem, prepare: ensureDockerImage },
] as const;

async function ensurePodmanImage(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hs-image-"));
  await ensureImage({ provider: "podman", folder, environment: process.env, logger: silentLogger });
  await rm(folder, { recursive: true, force: true });
  return "";
}

async function ensureDockerImage(): Promise<string> {
  const answer = await borrowDocker(inject("lender"), "image");
  if (answer.host === undefined) throw new Error(answer.problem);
  return answer.host;
}

for (const { provider, problem, prepare } of providers) {
  const leftOut = linkProblem ?? (process.env["CI"] === undefined ? problem : undefined);
  // Links and packet rules know nothing of engines: what the container may do inside is what differs.
  const isWhole = isLong || provider === "podman";
  const title = `an instance with internet in ${provider}${isWhole ? "" : " (the most telling attempts; `npm run test:long` makes all)"}`;
  describe.skipIf(leftOut !== undefined)(leftOut === undefined ? title : `${title} (left out: ${leftOut})`, () => {
    /** A test that CI has no time for with this engine: there it is not part of the suite, rather than skipped. */
    const testWhole = (name: string, body: () => Promise<void>): void => {
      if (isWhole) test(name, body);
    };
    let at: Elsewhere;

    beforeAll(async () => {
      at = await Elsewhere.build(`provider: ${provider}\nnetwork: internet\n`, { dockerHost: await prepare() });
      await at.launch();
    });
    afterAll(() => at?.[Symbol.asyncDispose]());

    test("reaches the internet, and neither its host, nor what is near, nor any private or special address", async () => {
      const { far, forms, arrivedAtHost, arrivedOutside } = at.internet;
      const special = ["::ffff:10.77.0.9", "::ffff:45.33.7.2", "::10.77.0.9", ...Object.values(forms), ...NOBODYS];
      const refused = [...at.host, ...at.nearby, ...special];
      const open = Object.values(far);
      const all = [...open, ...refused];
      const found = await at.attack({
        tcp: all,
        udp: all,
        long: all,
        routed: refused.filter((each) => /^[\d.]+$/.test(each)).map((last) => [far.ipv4, last]),
      });
      for (const address of open) {
        for (const by of ["tcp", "udp"]) expect([by, address, found[`${by} ${address}`]]).toEqual([by, address, "hello"]);
      }
      for (const address of refused) {
        for (const by of ["tcp", "udp", "long"]) expect([by, address, found[`${by} ${address}`]]).not.toEqual([by, address, "hello"]);
      }
      expect(arrivedAtHost).toEqual([]);
      expect(new Set(arrivedOutside.map(({ to }) => to.trim()))).toEqual(new Set(open));
    });

    testWhole("finds names by the host's resolver, and no private address in any answer", async () => {
      const names: NonNullable<Orders["names"]> = [
        ...(["udp", "tcp"] as const).flatMap((by) =>
          ["public", "mixed", "private", "chain"].map((name): [string, number, "udp" | "tcp"] => [`${name}.example`, A, by]),
        ),
        ...["public", "private", "mapped", "translated"].map((name): [string, number, "udp"] => [`${name}.example`, AAAA, "udp"]),
        ["hinted.example", HTTPS, "udp"],
        ["long.example", TXT, "udp"],
        ["long.example", TXT, "tcp"],
        ["9.0.77.10.in-addr.arpa", 12, "udp"],
      ];
      const found = await at.attack<Named>({ names });
      for (const by of ["udp", "tcp"]) {
        expect(found[`${by} public.example ${A}`]).toMatchObject({
          id: 4242,
          code: 0,
          answers: 1,
          hex: expect.stringContaining("08080808"),
        });
        expect(found[`${by} mixed.example ${A}`]).toMatchObject({ code: 0, answers: 1, hex: expect.stringContaining("08080808") });
        expect(found[`${by} private.example ${A}`]).toMatchObject({ code: 0, answers: 0 });
        expect(found[`${by} chain.example ${A}`]).toMatchObject({ code: 0, answers: 1 }); // where it leads, without an address
      }
      expect(found[`udp public.example ${AAAA}`]).toMatchObject({ answers: 1, hex: expect.stringContaining("26064700") });
      for (const name of ["private", "mapped", "translated"]) expect(found[`udp ${name}.example ${AAAA}`]).toMatchObject({ answers: 0 });
      expect(found[`udp hinted.example ${HTTPS}`]).toMatchObject({ code: 0, answers: 0 });
      expect(found[`udp long.example ${TXT}`]).toMatchObject({ truncated: true, answers: 0 });
      expect(found[`tcp long.example ${TXT}`]).toMatchObject({ truncated: false, answers: 20 });
      expect(found["udp 9.0.77.10.in-addr.arpa 12"]).toMatchObject({ code: 3, answers: 0 });
      expect(Object.values(found).filter(({ hex }) => /0a4d0009|c0a84d09|fd770000/.test(hex))).toEqual([]);
      expect(at.internet.asked.filter(({ to }) => /hinted|in-addr/.test(to))).toEqual([]);
      const { port } = at.internet;
      expect(await at.inside(`curl -s --http0.9 --max-time 20 http://public.example:${port}/ || true`)).toBe("hello\n");
    });

    testWhole("whose name is bound again to a private address stays away from it", async () => {
      const names: NonNullable<Orders["names"]> = [["rebind.example", A, "udp"]];
      const first = Object.values(await at.attack<Named>({ names }))[0];
      const second = Object.values(await at.attack<Named>({ names }))[0];
      expect([first?.answers, second?.answers]).toEqual([1, 0]);
    });

    test("can send nothing but what the kernel makes, and change none of its settings", async () => {
      const found = await at.attack({ rights: true });
      expect(found).toEqual({
        "packet socket": "PermissionError Operation not permitted",
        "raw socket": "PermissionError Operation not permitted",
        "raw socket 6": "PermissionError Operation not permitted",
        "device down": "PermissionError Operation not permitted",
        "other address": "PermissionError Operation not permitted",
        "accept advertisements": expect.stringMatching(/^(OSError Read-only file system|PermissionError .*)$/),
        "own resolver": "OSError Read-only file system",
        namespaces: expect.stringMatching(/^(Operation not permitted|No space left on device|entered lo)$/),
      });
    });

    testWhole("is told, and stays behind the rules, when another program empties all packet rules of its host", async () => {
      const before = await at.internet.atHost("nft", "list", "ruleset");
      const told = at.site.host.now.untilLog(/packet rules of instances had been changed/);
      await at.internet.atHost("nft", "flush", "ruleset");
      await told;
      expect(await at.internet.atHost("nft", "list", "ruleset")).toBe(before);
      await at.untilTold("the packet rules of this computer had been changed by another program");
      const found = await at.attack({ tcp: [at.internet.far.ipv4, ...at.host, ...at.nearby] });
      expect(Object.entries(found).filter(([, what]) => what === "hello")).toEqual([[`tcp ${at.internet.far.ipv4}`, "hello"]]);
    });

    testWhole("stays behind the rules with another link and another daemon, and leaves nothing", async () => {
      const { id } = at.launched;
      const linkOf = async () => (await processesWith(id)).find((line) => line.includes("--ns-ifname"))?.split(" ")[0];
      const judge = async () => {
        const found = await at.attack({ tcp: [...Object.values(at.internet.far), ...at.host, ...at.nearby] });
        return Object.entries(found)
          .filter(([, what]) => what === "hello")
          .map(([name]) => name)
          .toSorted();
      };
      const open = Object.values(at.internet.far)
        .map((address) => `tcp ${address}`)
        .toSorted();
      const link = await linkOf();
      process.kill(Number(link), "SIGKILL");
      await at.untilTold("the instance has internet again");
      expect(await judge()).toEqual(open);
      expect(await linkOf()).not.toBe(link);
      await at.site.host.kill();
      await at.site.host.start().ready;
      await at.untilTold("adopted");
      expect(await judge()).toEqual(open);
      await at.end();
      expect(await processesWith(id)).toEqual([]);
      expect(at.internet.arrivedAtHost).toEqual([]);
    });

    testWhole("has no IPv6 when its host has no way for it", async () => {
      await at.internet.atHost("ip", "-6", "route", "del", "default");
      await at.launch();
      expect(await at.inside("grep -v ' lo$' /proc/net/if_inet6 || true")).toBe("");
      const { ipv4, ipv6 } = at.internet.far;
      const found = await at.attack({ tcp: [ipv4, ipv6, ...at.host, ...at.nearby] });
      expect(Object.entries(found).filter(([, what]) => what === "hello")).toEqual([[`tcp ${ipv4}`, "hello"]]);
      await at.end();
      await at.internet.atHost("ip", "-6", "route", "add", "default", "via", at.internet.near.router6);
    });

    testWhole("is not launched when packet rules cannot be loaded, and not offered when the program for them is missing", async () => {
      const { within } = at.site;
      const usual = within.host;
      const instead = (program: string) => `mount --bind ${program} "$(command -v nft)" && exec "$@"`;
      const restart = async (host: readonly string[]) => {
        await at.site.host[Symbol.asyncDispose]();
        within.host = host;
        return at.site.host.start();
      };
      await (
        await restart([...usual, "unshare", "--mount", "sh", "-c", instead("/bin/false"), "sh"])
      ).ready;
      const { id } = await at.site.launch();
      const events = await at.site.untilState(id, "INIT_FAIL");
      expect(JSON.stringify(events)).toContain("the packet rules for `network: internet` cannot be loaded");
      expect(await at.site.instance(id)).toMatchObject({ failed_step: "network" });
      const daemon = await restart([...usual, "unshare", "--mount", "sh", "-c", instead("/dev/null"), "sh"]);
      expect(await daemon.untilLog(/cannot be offered/)).toMatch(/`nft` is not on this computer.*apt-get install nftables/);
      await (
        await restart(usual)
      ).ready;
    });

    testWhole("has, when its contract says `open`, all that its host reaches, and when it says `isolated`, nothing", async () => {
      await at.change("internet", "open");
      await at.launch();
      const all = [...Object.values(at.internet.far), ...at.host, ...Object.values(at.internet.near)];
      const found = await at.attack({ tcp: all });
      for (const address of all) expect([address, found[`tcp ${address}`]]).toEqual([address, "hello"]);
      const named = await at.attack<Named>({ names: [["private.example", A, "udp"]] });
      expect(Object.values(named)[0]).toMatchObject({ answers: 1, hex: expect.stringContaining("0a4d0009") });
      await at.end();
      await at.change("open", "isolated");
      await at.launch();
      expect(await at.inside("ls /sys/class/net")).toBe("lo\n");
      const none = await at.attack({ tcp: all, names: [["public.example", A, "udp"]] });
      expect(Object.values(none).filter((what) => what === "hello" || typeof what === "object")).toEqual([]);
      await at.end();
      await at.site.host[Symbol.asyncDispose]();
      expect(await at.tables()).toBe("");
    });
  });
}

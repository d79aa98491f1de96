/** E-stop and dead-man's switch, with real processes: from the host, from a user's computer and by the API, whatever is dead. */
import { writeFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { testFailure } from "./harness/failure.ts";
import { type Launched, Site } from "./harness/site.ts";
import { expectAnswer, Person } from "./harness/world.ts";

interface Stopped {
  deployment: string;
  instance: string | null;
  by: "daemon" | "here" | "server";
  host?: string;
}

let site: Site;
/** The owner at another computer, which is no host. */
let elsewhere: Person;
let bob: Person;
beforeAll(async () => {
  site = await Site.build({ contract: "provider: proxy\npublic_port: true\ndead_man: 2s\n" });
  elsewhere = await signIn("elsewhere", site.owner.token);
  await expectAnswer(elsewhere.run(["admin", "user", "add", "bob"]));
  bob = await signIn("bob", (await elsewhere.json<{ token: string }>("admin", "token", "bob")).token);
  await expectAnswer(elsewhere.run(["rules", site.deployment, "--permit", "bob"]));
});
afterAll(() => site[Symbol.asyncDispose]());
afterEach(async () => {
  for (const program of Object.values(site.programs)) await program.holdNoMore();
  await expectAnswer(elsewhere.run(["unlock", site.deployment]));
});

async function signIn(name: string, token: string): Promise<Person> {
  const person = new Person(site.folder, name, token);
  const file = join(site.folder, `${name}.token`);
  await writeFile(file, token, { mode: 0o600 });
  await expectAnswer(person.run(["login", "--server", site.url, "--token-file", file]));
  return person;
}

const ranFor = async (id: string) => [await site.programs.safe_state.runsFor(id), await site.programs.terminate.runsFor(id)];

async function expectStopped({ id }: Pick<Launched, "id">): Promise<void> {
  await site.untilState(id, "TERMINATED");
  expect(await site.instance(id)).toMatchObject({ end_reason: "estop" });
  expect(await ranFor(id)).toEqual([1, 1]);
}

/** Keeps the tunnel full until nothing more comes back. @returns when the last answer of the robot came */
function saturate({ fwd }: Launched): { isFull: Promise<void>; over: Promise<number> } {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let lastMs = 0;
  let answers = 0;
  let filled: () => void = () => {};
  const isFull = new Promise<void>((resolve) => (filled = resolve));
  const ask = () =>
    new Promise<boolean>((resolve) => {
      const request = get({ agent, host: fwd?.ipv4, port: fwd?.port, path: "/api/cameras/rgb" }, (response) => {
        response.resume();
        response.once("end", () => {
          lastMs = performance.now();
          if ((answers += 1) === 50) filled();
          resolve(true);
        });
        response.once("error", () => resolve(false));
      });
      request.once("error", () => resolve(false));
    });
  const flood = async () => {
    while (await ask());
  };
  const over = Promise.all(Array.from({ length: 8 }, flood)).then(() => lastMs);
  return { isFull, over };
}

test("the owner stops it from another computer while the tunnel is full: nothing comes back after the answer", async () => {
  const launched = await site.launchReady();
  const { isFull, over } = saturate(launched);
  await isFull;
  const stopped = await elsewhere.json<Stopped>("estop", site.deployment.slice(0, 8));
  const answeredAtMs = performance.now();
  expect(stopped).toMatchObject({ deployment: site.deployment, instance: launched.id, by: "server", host: "stopped", recorded: true });
  expect(await over).toBeLessThan(answeredAtMs);
  await expectStopped(launched);
  expect(await site.shared()).toMatchObject({ lockout: true, lockout_info: { reason: expect.stringContaining("E-stop") } });
});

test("its user stops it during INIT, which locks the deployment out as its contract says", async () => {
  await site.programs.init.hold();
  const launching = bob.start<{ id: string }>("launch", site.deployment, "--wait");
  const id = await site.programs.init.untilHeld();
  expect(await bob.json<Stopped>("estop")).toMatchObject({ instance: id, host: "stopped" });
  await launching.ended;
  await expectStopped({ id });
  expect((await site.shared()).lockout_info?.reason).toBe("E-stop by bob");
});

test("pressed during the programs for the end, twice at the same time, it runs them again when the robot is safe", async () => {
  const { id } = await site.launchReady();
  await site.programs.terminate.hold();
  await site.ask("POST", `/terminate/${id}`);
  await site.programs.terminate.untilHeld();
  await site.programs.terminate.holdNoMore();
  await Promise.all([site.ask("POST", `/instance/${id}/estop`), site.ask("POST", `/deployment/${site.deployment}/estop`)]);
  await site.untilState(id, "TERMINATED");
  const [safe, ended] = await ranFor(id);
  expect(safe).toBeGreaterThanOrEqual(1);
  expect(ended).toBe(2);
});

test("a host that is away is told when it comes back, and the command says that it was not reached", async () => {
  const launched = await site.launchReady();
  await site.host.kill();
  const pressed = await elsewhere.run(["estop", site.deployment, "--format", "json"]);
  expect(pressed.code).toBe(6);
  expect(JSON.parse(pressed.stdout)).toMatchObject({ instance: launched.id, host: expect.stringMatching(/offline|no_answer/) });
  await site.host.start().ready;
  await site.untilState(launched.id, "TERMINATED");
  expect((await ranFor(launched.id))[0]).toBeGreaterThanOrEqual(1);
});

testFailure(
  {
    component: "host",
    failure: "daemon hung (SIGSTOP) when somebody at the host presses E-stop",
    userSees: "`hardshare estop` kills the daemon, makes the robot safe and ends the instance itself; the deployment is locked out",
    survives: "the E-stop; the next daemon tells the server of it",
    promise: "G6",
    recovery: "from the press until the robot is safe and the instance has ended",
    withinMs: 6000,
  },
  async (recovery) => {
    const launched = await site.launchReady();
    site.host.now.signal("SIGSTOP");
    recovery.begin();
    expect(await site.owner.json<Stopped>("estop")).toEqual({ deployment: site.deployment, instance: launched.id, by: "here" });
    recovery.end();
    expect(await ranFor(launched.id)).toEqual([1, 1]);
    await site.host.now.ended;
    await site.host.start().ready;
    await expectStopped(launched);
    expect((await site.shared()).lockout_info?.reason).toMatch(/^E-stop by .* at the host$/);
  },
);

testFailure(
  {
    component: "hub",
    failure: "hung (SIGSTOP) when somebody presses E-stop",
    userSees: "the instance ends as TERMINATED (`estop`)",
    survives: "the E-stop: host and hub do not wait for each other",
    promise: "G6",
    recovery: "from the press until the host said that nothing passes",
    withinMs: 1000,
  },
  async (recovery) => {
    const launched = await site.launchReady();
    site.hub.now.signal("SIGSTOP");
    recovery.begin();
    expect(await site.ask<Stopped>("POST", `/instance/${launched.id}/estop`)).toMatchObject({ host: "stopped" });
    recovery.end();
    await expectStopped(launched);
    await site.hub.kill();
    await site.hub.start().ready;
  },
);

testFailure(
  {
    component: "server",
    failure: "dead when somebody at the host presses E-stop",
    userSees: "the robot is safe at once; the server says so when it is back",
    survives: "the E-stop, without any server",
    promise: "G6",
    recovery: "from the press until the daemon said that nothing passes",
    withinMs: 3000,
  },
  async (recovery) => {
    const launched = await site.launchReady();
    await site.server.kill();
    recovery.begin();
    expect(await site.owner.json<Stopped>("estop", site.deployment)).toEqual({
      deployment: site.deployment,
      instance: launched.id,
      by: "daemon",
    });
    recovery.end();
    const back = site.untilPeersBack();
    await site.server.start().ready;
    await back;
    await expectStopped(launched);
  },
);

test("after the first message a user who falls silent lets the robot be made safe, one who uses `forward` does not", async () => {
  const launched = await bob.json<Launched>("launch", site.deployment, "--wait");
  const { id } = launched;
  const forward = bob.start<{ port: number }>("forward");
  const { port } = await forward.ready;
  const ask = async () => (await fetch(`http://127.0.0.1:${port}/api/battery`)).status;
  expect(await ask()).toBe(200);
  const events = await elsewhere.json<unknown>("info", id);
  expect(JSON.stringify(events)).toContain("READY");
  // Longer than the window, without a message: there is no event for what does not happen.
  await new Promise((resolve) => setTimeout(resolve, 5000));
  expect(await site.programs.safe_state.runsFor(id)).toBe(0);
  await site.programs.safe_state.hold();
  await forward.stop("SIGKILL");
  expect(await site.programs.safe_state.untilHeld()).toBe(id);
  await site.programs.safe_state.letGo();
  expect((await site.instance(id)).status).toBe("READY");
  await site.end(launched);
  expect((await site.shared()).lockout).toBeUndefined();
});

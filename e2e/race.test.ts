import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithContainers } from "./harness/containers.ts";
import { OwnHost } from "./harness/own-host.ts";
import { USER_KEY } from "./harness/user-key.ts";
import { type Person, World } from "./harness/world.ts";

let world: World;
let host: OwnHost;
let users: Person[];
/** A deployment whose service starts at once, so that what takes time is the race. */
let quick: string;

beforeAll(async () => {
  world = await World.create();
  host = new OwnHost(await world.admin());
  await host.owner.prepare("init", "--server", world.ready.url);
  const service = join(world.folder, "service.sh");
  await writeFile(service, `#!/bin/sh\necho ${new URL(world.ready.robot.url).host}\nexec sleep infinity\n`, { mode: 0o755 });
  quick = await host.share(`provider: proxy\nservices: [{ name: ROBOT, command: ${service} }]\n`);
  await host.advertise();
  users = [await world.user("bob"), await world.user("carol")];
  for (const id of [quick, ...world.ready.deployments.map((deployment) => deployment.id)]) {
    for (const name of ["bob", "carol"]) await host.owner.prepare("rules", id, "--permit", name);
  }
});

afterAll(async () => {
  await host?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

/** Both users launch at the same time, by HTTP as the command does; the winner's instance is ended again. */
async function race(deployment: string): Promise<{ winners: number; busy: number }> {
  const answers = await Promise.all(
    users.map(async ({ token }) => {
      const response = await fetch(`${world.ready.url}/new/${deployment}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ sshkey: USER_KEY }),
      });
      return { token, status: response.status, body: (await response.json()) as { id?: string; result_message?: string } };
    }),
  );
  const winners = answers.filter((answer) => answer.status === 200);
  const busy = answers.filter(
    (answer) => answer.status === 503 && answer.body.result_message?.startsWith("All matching workspace deployments are busy"),
  );
  for (const winner of winners) await endInstance(winner.body.id ?? "", winner.token);
  return { winners: winners.length, busy: busy.length };
}

/** Terminates and follows the events until the deployment is free again. */
async function endInstance(id: string, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const events = await fetch(`${world.ready.url}/instance/${id}/events`, { headers });
  const ended = await fetch(`${world.ready.url}/terminate/${id}`, { method: "POST", headers });
  expect(ended.status).toBe(200);
  const text = await events.text(); // the stream ends with the final state
  expect(text).toMatch(/TERMINATED/);
}

test(
  "two users race a hundred times for a `proxy` deployment: exactly one wins, the other is told busy",
  { timeout: 900_000 },
  async () => {
    for (let round = 0; round < 100; round += 1) expect(await race(quick)).toEqual({ winners: 1, busy: 1 });
  },
);

describeWithContainers("a race for a container", () => {
  test("two users race five times for the container deployment: exactly one wins, the other is told busy", async () => {
    for (let round = 0; round < 5; round += 1) expect(await race(world.deployment("podman"))).toEqual({ winners: 1, busy: 1 });
  });
});

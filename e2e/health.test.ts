/** Monitors, alerts and rest of a deployment, with real processes: what its owner is told, and what those see who want to launch. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HARDSHARE, run } from "./harness/commands.ts";
import { Site } from "./harness/site.ts";
import { expectAnswer } from "./harness/world.ts";

const GUIDE = fileURLToPath(new URL("../docs/guides/health.md", import.meta.url));

interface Post {
  headers: IncomingMessage["headers"];
  body: string;
}

let folder: string;
let site: Site;
const posts: Post[] = [];
let onPost: () => void = () => {};
const receiver = createServer((request, response) => {
  void text(request).then((body) => {
    posts.push({ headers: request.headers, body });
    response.end();
    onPost();
  });
});
const hookUrl = () => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/alerts`;

beforeAll(async () => {
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  folder = await mkdtemp(join(tmpdir(), "hardshare-health-"));
  await writeFile(join(folder, "well"), "");
  await writeFile(join(folder, "look.sh"), `#!/bin/sh\ntest -f ${folder}/well && exit 0\necho the battery is low\nexit 3\n`, {
    mode: 0o755,
  });
  const contract = `provider: proxy\npublic_port: true\nmonitors: [{ run: ${folder}/look.sh, every: 1s }]\ncooldown: 2h\n`;
  site = await Site.build({ contract, serve: ["--hooks-may-reach", "127.0.0.1"] });
});
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
  receiver.closeAllConnections();
  receiver.close();
  await rm(folder, { recursive: true, force: true });
});

/** Waits for a post to the webhook. */
async function untilPost(words: string): Promise<Post> {
  for (;;) {
    const found = posts.find(({ body }) => body.includes(words));
    if (found !== undefined) return found;
    await new Promise<void>((resolve) => (onPost = resolve));
  }
}

test("after an instance the deployment rests: that is told everywhere, over a restart of the daemon, and nobody launches", async () => {
  const launched = await site.launchReady();
  expect((await site.shared()).resting).toBeUndefined();
  await site.end(launched);
  const said = /resting until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC \(cooldown after an instance\)/;
  await site.host.now.stop();
  await site.host.start().ready;
  const refused = await site.owner.run(["launch", site.deployment]);
  expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(said)]);
  for (const verb of [["search"], ["list"], ["info", site.deployment]]) {
    expect((await expectAnswer(site.owner.run(verb))).stdout, verb.join(" ")).toMatch(/resting:? +until 20/);
  }
  expect((await expectAnswer(site.owner.run(["status"]))).stdout).toMatch(/rests: +until 20/);
});

test("a monitor that fails locks the deployment, and its owner's webhook gets a signed alert", async () => {
  const { secret } = await site.owner.json<{ secret: string }>("hooks", "--webhook", hookUrl());
  expect((await expectAnswer(site.owner.run(["monitor"]))).stdout).toContain("the monitor passes");
  await rm(join(folder, "well"));
  const { headers, body } = await untilPost("locked out: monitor failed");
  const expected = createHmac("sha256", secret)
    .update(`${String(headers["x-hardshare-timestamp"])}.${body}`)
    .digest("hex");
  expect(headers["x-hardshare-signature"]).toBe(`v1=${expected}`);
  expect(JSON.parse(body)).toMatchObject({ kind: "alert", deployment: site.deployment, instance: null });
  expect(await site.shared()).toMatchObject({
    lockout: true,
    lockout_info: { reason: expect.stringContaining("look.sh ended with exit code 3") },
  });

  const failed = await site.owner.run(["monitor", site.deployment.slice(0, 6)]);
  expect([failed.code, failed.stdout]).toEqual([1, expect.stringContaining("the battery is low")]);
  await untilPost("hardshare monitor detected an error. The deployment has been locked to prevent new instances.");
  await writeFile(join(folder, "well"), "");
  await expectAnswer(site.owner.run(["unlock"]));
  expect((await site.shared()).lockout).toBeUndefined();
});

test("every example of «Is the robot well?» works as it is written", async () => {
  const guide = await readFile(GUIDE, "utf8");
  const examples = [...guide.matchAll(/^```sh\n([^]*?)^```$/gm)].map((match) => match[1] ?? "").join("\n");
  expect(examples).toContain("hardshare hooks");
  const script = `set -eu\nhardshare() { ${process.execPath} ${HARDSHARE} "$@"; }\n${examples}`;
  const result = await run("bash", ["-c", script], { env: site.owner.env });
  expect(result.code, `${result.stdout}\n${result.stderr}`).toBe(0);
  expect(result.stdout).toMatch(/secret of the webhook, shown only now: whsec_/);
  expect(result.stdout).toMatch(/warning: this server sends no mail/);
});

/** A host and a server whose versions of the channel have nothing in common: the host's owner is told which one to upgrade. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CHANNEL_VERSION, OLDEST_CHANNEL_VERSION } from "@hardshare/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ChannelRelay, type Disguise } from "./harness/channel-relay.ts";
import { FarWorld } from "./harness/far-world.ts";

let world: FarWorld;
let relay: ChannelRelay;

beforeAll(async () => {
  world = await FarWorld.create("127.0.0.1");
  relay = await ChannelRelay.open(world.url);
  const config = join(world.owner.env["HARDSHARE_HOME"] ?? "", "config.yaml");
  const text = await readFile(config, "utf8");
  await writeFile(config, text.replace(world.url, relay.url));
});
afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const newer = CHANNEL_VERSION + 2;
const older = OLDEST_CHANNEL_VERSION - 2;
const ours = `${OLDEST_CHANNEL_VERSION}–${CHANNEL_VERSION}`;
const anyVersion = { oldestVersion: older, newestVersion: newer };
const CASES: { disguise: Disguise; says: string }[] = [
  {
    disguise: { challenge: { oldestVersion: newer, newestVersion: newer } },
    says: `the server speaks channel versions ${newer}–${newer}, this host ${ours}: upgrade the host`,
  },
  {
    disguise: { challenge: { oldestVersion: older, newestVersion: older } },
    says: `the server speaks channel versions ${older}–${older}, this host ${ours}: upgrade the server`,
  },
  // A peer that says hello all the same is told by the server.
  {
    disguise: { challenge: anyVersion, hello: { version: older } },
    says: `this host speaks channel version ${older}, the server ${ours}: upgrade the host`,
  },
  {
    disguise: { challenge: anyVersion, hello: { version: newer } },
    says: `this host speaks channel version ${newer}, the server ${ours}: upgrade the server`,
  },
];

test("a host two versions of the channel from its server is told what to upgrade, asks again, and works after the upgrade", async () => {
  const [first] = CASES;
  if (first === undefined) throw new Error("no cases");
  relay.disguise = first.disguise;
  await using daemon = world.startHost({});
  const atTheTerminal = daemon.untilLog(new RegExp(`waiting for the server.*${first.says}`));
  for (const { disguise, says } of CASES) {
    const told = daemon.untilLog(new RegExp(`version_mismatch.*${says}`));
    relay.disguise = disguise;
    await told;
    expect((await world.owner.run(["status"])).stdout).toContain(says);
    if (disguise === first.disguise) await atTheTerminal;
  }
  expect(await world.isOnline()).toBe(false);
  relay.disguise = {};
  await daemon.ready;
  expect(await world.isOnline()).toBe(true);
});

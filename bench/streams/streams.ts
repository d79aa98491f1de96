/** P6, P7, P8: one tunnel beside `ssh -R` and beside no tunnel, to the same program. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { HardshareClient } from "@hardshare/client";
import { makeKeyPair } from "@hardshare/client/node";
import { OwnHost } from "../../e2e/harness/own-host.ts";
import { expectAnswer } from "../../e2e/harness/world.ts";
import { type Figures, figuresOf, type Race, type RaceContext, type Row } from "../race.ts";
import { measureConnections, measureRoundTrips, measureRoundTripsUnderLoad, measureThroughput, type Way } from "./measure.ts";
import { OpensshServer } from "./openssh.ts";

const STREAM_SERVER = fileURLToPath(new URL("stream-server.mjs", import.meta.url));
const AES = "aes128-gcm@openssh.com";

type Ways = Record<"ours" | "openssh" | "opensshAes" | "direct", Way>;

export const streams: Race = {
  ids: ["P6", "P7", "P8"],
  async run(context: RaceContext): Promise<Row[]> {
    const { world, isShort, tell } = context;
    const direct = await startStreamServer();
    await using sshd = await OpensshServer.start();
    const owner = await world.user("bench");
    await using host = new OwnHost(owner);
    await expectAnswer(owner.run(["init", "--server", world.ready.url]));
    await mkdir(owner.home, { recursive: true });
    const id = await host.share(
      `provider: proxy\npublic_port: true\nservices: [{ name: STREAM, command: ${JSON.stringify(`${process.execPath} ${STREAM_SERVER}`)} }]\n`,
    );
    await host.advertise(id);
    const client = new HardshareClient({ url: world.ready.url, token: owner.token });
    const launched = await client.launch(id, { sshkey: (await makeKeyPair("bench")).publicKey });
    for await (const event of client.instanceEvents(launched.id)) if (event.kind === "state" && event.data["state"] !== "INIT") break;
    const { fwd } = await client.instance(launched.id);
    const ways: Ways = {
      ours: { host: fwd?.ipv4 ?? "", port: fwd?.port ?? 0 },
      openssh: await sshd.forward(direct.way),
      opensshAes: await sshd.forward(direct.way, AES),
      direct: direct.way,
    };
    try {
      return [
        ...(await raceThroughput(ways, isShort)),
        ...(await raceRoundTrips(ways, isShort, tell)),
        ...(await raceConnections(ways, isShort)),
      ];
    } finally {
      await client.terminate(launched.id);
      direct.end();
    }
  },
};

/** Measures all ways in turn, several times: what else the machine does hits all alike. */
async function inTurn(ways: Ways, rounds: number, measure: (way: Way) => Promise<number[]>): Promise<Record<keyof Ways, Figures>> {
  const values: Record<keyof Ways, number[]> = { ours: [], openssh: [], opensshAes: [], direct: [] };
  const names = Object.keys(ways) as (keyof Ways)[];
  for (let round = 0; round < rounds; round += 1) for (const name of names) values[name].push(...(await measure(ways[name])));
  return Object.fromEntries(names.map((name) => [name, figuresOf(values[name])])) as Record<keyof Ways, Figures>;
}

async function raceThroughput(ways: Ways, isShort: boolean): Promise<Row[]> {
  const sizeBytes = (isShort ? 32 : 512) * 1e6;
  const found = await inTurn(ways, isShort ? 2 : 7, async (way) => [await measureThroughput(way, sizeBytes)]);
  const row = (peer: string, figures: Figures, target: string, isReached: boolean | null): Row => ({
    race: "P6",
    what: "one TCP stream",
    unit: "MB/s",
    ours: found.ours,
    peer: { name: peer, figures },
    target,
    isReached,
  });
  return [
    row("ssh -R", found.openssh, ">= 1.0 x", found.ours.p50 >= found.openssh.p50),
    row("ssh -R aes128-gcm", found.opensshAes, ">= 1.0 x", found.ours.p50 >= found.opensshAes.p50),
    row("direct", found.direct, "", null),
  ];
}

async function raceRoundTrips(ways: Ways, isShort: boolean, tell: (line: string) => void): Promise<Row[]> {
  tell("P7 …");
  const idle = await inTurn(ways, isShort ? 1 : 5, (way) => measureRoundTrips(way, isShort ? 50 : 1000));
  const busy = await inTurn(ways, isShort ? 1 : 5, (way) => measureRoundTripsUnderLoad(way, isShort ? 20 : 300));
  const row = (what: string, found: typeof idle, peer: keyof Ways, name: string, target: string, isReached: boolean | null): Row => ({
    race: "P7",
    what,
    unit: "ms",
    ours: found.ours,
    peer: { name, figures: found[peer] },
    target,
    isReached,
  });
  return [
    row("64 bytes and back, idle", idle, "openssh", "ssh -R", "<= 1.0 x", idle.ours.p50 <= idle.openssh.p50),
    row("64 bytes and back, idle", idle, "opensshAes", "ssh -R aes128-gcm", "", null),
    row("64 bytes and back, idle", idle, "direct", "direct", "", null),
    row("64 bytes and back, under bulk", busy, "openssh", "ssh -R", "p99 <= 0.5 x, then <= 0.2 x", busy.ours.p99 <= 0.2 * busy.openssh.p99),
    row("64 bytes and back, under bulk", busy, "opensshAes", "ssh -R aes128-gcm", "", null),
  ];
}

async function raceConnections(ways: Ways, isShort: boolean): Promise<Row[]> {
  const found = await inTurn(ways, isShort ? 1 : 5, async (way) => [await measureConnections(way, isShort ? 100 : 2000)]);
  const row = (peer: keyof Ways, name: string, target: string, isReached: boolean | null): Row => ({
    race: "P8",
    what: "new connections",
    unit: "1/s",
    ours: found.ours,
    peer: { name, figures: found[peer] },
    target,
    isReached,
  });
  return [row("openssh", "ssh -R", ">= 3 x", found.ours.p50 >= 3 * found.openssh.p50), row("direct", "direct", "", null)];
}

async function startStreamServer(): Promise<{ way: Way; end: () => void }> {
  const child = spawn(process.execPath, [STREAM_SERVER], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const [host = "", port = ""] = line.toString().trim().split(":");
  return { way: { host, port: Number(port) }, end: () => child.kill("SIGKILL") };
}

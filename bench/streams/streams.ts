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
import { descendantsOf, type Program, processorMs } from "../profile/processor-time.ts";
import { OpensshServer } from "./openssh.ts";

const STREAM_SERVER = fileURLToPath(new URL("stream-server.mjs", import.meta.url));
const AES = "aes128-gcm@openssh.com";

type Ways = Record<"ours" | "openssh" | "opensshAes" | "direct", Way>;

export const streams: Race = {
  ids: ["P6", "P7", "P8"],
  async run(context: RaceContext): Promise<Row[]> {
    const { world, tell } = context;
    const direct = await startStreamServer();
    await using sshd = await OpensshServer.start();
    const owner = await world.user("bench");
    Object.assign(owner.env, context.profiler?.variables);
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
    const programs = [...programsOf(world.up.pid), { name: "host", pid: host.daemon.pid }];
    const bench = { ways, programs, isShort: context.isShort };
    try {
      const rows: Row[] = [];
      for (const [id, race] of Object.entries({ P6: raceThroughput, P7: raceRoundTrips, P8: raceConnections })) {
        if (!context.isWanted(id)) continue;
        tell(`${id} …`);
        const work = async () => void rows.push(...(await race(bench)));
        if (context.profiler === undefined) await work();
        else for (const line of await context.profiler.during(id, programs, work)) tell(line);
      }
      return rows;
    } finally {
      await client.terminate(launched.id);
      direct.end();
    }
  },
};

interface Bench {
  ways: Ways;
  /** Of ours, on the way or beside it. */
  programs: readonly Program[];
  isShort: boolean;
}

/** Server and hub among the programs of `up`. */
function programsOf(upPid: number): Program[] {
  return descendantsOf(upPid).flatMap(({ pid, args }) => {
    if (args.includes("hub")) return [{ name: "hub", pid }];
    return args.includes("serve") ? [{ name: "server", pid }] : [];
  });
}

interface Found {
  figures: Record<keyof Ways, Figures>;
  /** Processor time of each unit of work, by program: what bounds the speed where there are fewer processors than programs. */
  costs: string;
}

/** Measures all ways in turn, several times: what else the machine does hits all alike. @param unit what `units` counts: `MB` */
async function inTurn(
  { ways, programs }: Bench,
  { rounds, units, unit }: { rounds: number; units: number; unit: string },
  measure: (way: Way) => Promise<number[]>,
): Promise<Found> {
  const values: Record<keyof Ways, number[]> = { ours: [], openssh: [], opensshAes: [], direct: [] };
  const names = Object.keys(ways) as (keyof Ways)[];
  const spent = new Map<string, number>();
  for (let round = 0; round < rounds; round += 1) {
    for (const name of names) {
      const paid = programsOn(name, programs);
      const before = paid.map(({ pid }) => processorMs(pid));
      values[name].push(...(await measure(ways[name])));
      for (const [index, program] of paid.entries()) {
        const ms = processorMs(program.pid) - (before[index] ?? 0);
        spent.set(program.name, (spent.get(program.name) ?? 0) + ms);
      }
    }
  }
  const costs = [...spent].map(([name, ms]) => `${name} ${(ms / (rounds * units)).toFixed(2)}`).join(", ");
  return {
    figures: Object.fromEntries(names.map((name) => [name, figuresOf(values[name])])) as Record<keyof Ways, Figures>,
    costs: `processor time in ms for each ${unit}: ${costs}`,
  };
}

function programsOn(way: keyof Ways, ours: readonly Program[]): readonly Program[] {
  if (way === "direct") return [];
  if (way === "ours") return ours.filter(({ name }) => name !== "server");
  const isOpenssh = ({ args: [program = ""] }: { args: string[] }) => program === "ssh" || program.startsWith("sshd");
  const name = way === "openssh" ? "ssh -R and sshd" : "the same with aes128-gcm";
  return descendantsOf(process.pid)
    .filter(isOpenssh)
    .map(({ pid }) => ({ name, pid }));
}

async function raceThroughput(bench: Bench): Promise<Row[]> {
  const megabytes = bench.isShort ? 32 : 512;
  const { figures: found, costs } = await inTurn(bench, { rounds: bench.isShort ? 2 : 7, units: megabytes, unit: "MB" }, async (way) => [
    await measureThroughput(way, megabytes * 1e6),
  ]);
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
    { ...row("direct", found.direct, "", null), note: costs },
  ];
}

async function raceRoundTrips(bench: Bench): Promise<Row[]> {
  const rounds = bench.isShort ? 1 : 5;
  const [trips, busyTrips] = bench.isShort ? [50, 20] : [1000, 300];
  const unit = "round trip";
  const { figures: idle, costs } = await inTurn(bench, { rounds, units: trips, unit }, (way) => measureRoundTrips(way, trips));
  const { figures: busy } = await inTurn(bench, { rounds, units: busyTrips, unit }, (way) => measureRoundTripsUnderLoad(way, busyTrips));
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
    { ...row("64 bytes and back, idle", idle, "direct", "direct", "", null), note: costs },
    row("64 bytes and back, under bulk", busy, "openssh", "ssh -R", "p99 <= 0.5 x, then <= 0.2 x", busy.ours.p99 <= 0.2 * busy.openssh.p99),
    row("64 bytes and back, under bulk", busy, "opensshAes", "ssh -R aes128-gcm", "", null),
  ];
}

async function raceConnections(bench: Bench): Promise<Row[]> {
  const count = bench.isShort ? 100 : 2000;
  const { figures: found, costs } = await inTurn(
    bench,
    { rounds: bench.isShort ? 1 : 5, units: count, unit: "connection" },
    async (way) => [await measureConnections(way, count)],
  );
  const row = (peer: keyof Ways, name: string, target: string, isReached: boolean | null): Row => ({
    race: "P8",
    what: "new connections",
    unit: "1/s",
    ours: found.ours,
    peer: { name, figures: found[peer] },
    target,
    isReached,
  });
  return [
    row("openssh", "ssh -R", ">= 3 x", found.ours.p50 >= 3 * found.openssh.p50),
    { ...row("direct", "direct", "", null), note: costs },
  ];
}

async function startStreamServer(): Promise<{ way: Way; end: () => void }> {
  const child = spawn(process.execPath, [STREAM_SERVER], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const [host = "", port = ""] = line.toString().trim().split(":");
  return { way: { host, port: Number(port) }, end: () => child.kill("SIGKILL") };
}

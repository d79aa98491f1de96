/** P10: the `http` filter with a schema for each body, beside nginx's `proxy_pass` without checks, a bare relay in Node, and no filter. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expectSuccess, HARDSHARE } from "../e2e/harness/commands.ts";
import { findFreePort } from "../e2e/harness/network.ts";
import { figuresOf, type Race, type RaceContext, type Row } from "./race.ts";

const RULES = `
rules:
  - allow: POST /api/drive/time
    body:
      type: object
      additionalProperties: false
      required: [LinearVelocity, TimeMS]
      properties:
        LinearVelocity: { type: number, minimum: -12, maximum: 12 }
        TimeMS: { type: integer, minimum: 100, maximum: 5000 }
        joints: { type: object, additionalProperties: { type: number, minimum: -180, maximum: 180 } }
        note: { type: string, maxLength: 500 }
  - allow: POST /upload
`;

/** 1 kB of JSON, as a client with forty joints would send it. */
function makeBody(): string {
  const joints = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`joint${index + 10}`, index * 1.25]));
  const body = { LinearVelocity: 5, TimeMS: 1000, joints, note: "" };
  body.note = "x".repeat(1024 - JSON.stringify(body).length);
  return JSON.stringify(body);
}

const UPLOAD_BYTES = 100 * 1000 ** 2;
/** Sent before, so that what any body takes is there already. */
const FIRST_UPLOAD_BYTES = 10 * 1000 ** 2;
/** One processor for whoever stands between, the others for client and device. */
const BETWEEN = ["taskset", "-c", "0"] as const;
/** A program of Node that hands bytes on and looks at none: what no filter in Node is below. */
const RELAY = fileURLToPath(new URL("stop/pump.mjs", import.meta.url));
const AROUND = ["taskset", "-c", "1-64"] as const;

export const httpFilter: Race = {
  ids: ["P10"],
  async run({ world, isShort, profiler, tell }: RaceContext): Promise<Row[]> {
    const folder = join(world.folder, "http-race");
    await mkdir(folder, { recursive: true });
    const script = join(folder, "post.lua");
    await writeFile(script, `wrk.method = "POST"\nwrk.body = [==[${makeBody()}]==]\nwrk.headers["Content-Type"] = "application/json"\n`);
    const ports = { device: await findFreePort(), kept: await findFreePort(), plain: await findFreePort() };
    const device = await startNginx(
      folder,
      AROUND,
      `server { listen 127.0.0.1:${ports.device}; location / { return 200 '{"result":"driving"}'; } }`,
    );
    const nginx = await startNginx(folder, BETWEEN, describeProxies(ports));
    const rules = join(folder, "robot.rules.yaml");
    await writeFile(rules, RULES);
    const upload = await startUploadServer();
    const programs: ChildProcess[] = [];
    const start = async (args: readonly string[]) => {
      const child = spawn(BETWEEN[0], [...BETWEEN.slice(1), process.execPath, ...args], {
        stdio: ["ignore", "pipe", "ignore"],
        env: { ...process.env, ...profiler?.variables },
      });
      programs.push(child);
      const [line] = (await once(child.stdout, "data")) as [Buffer];
      return { child, port: Number(line.toString().trim().split(":")[1]) };
    };
    const filter = (target: number) => start([HARDSHARE, "filter", "run", "http", "--target", `127.0.0.1:${target}`, "--rules", rules]);
    try {
      const { port, child } = await filter(ports.device);
      const relay = await start([RELAY, `127.0.0.1:${ports.device}`]);
      const seconds = isShort ? 1 : 5;
      const ask = (at: number, connections: number) => runWrk(at, { script, connections, seconds });
      for (const at of [port, relay.port]) await ask(at, 16); // compiled once, as in a filter that has been in use
      const latency: Record<"direct" | "kept" | "plain" | "relay" | "ours", number[]> = {
        direct: [],
        kept: [],
        plain: [],
        relay: [],
        ours: [],
      };
      const rate: Record<"kept" | "relay" | "ours", number[]> = { kept: [], relay: [], ours: [] };
      const processor: typeof rate = { kept: [], relay: [], ours: [] };
      const measureRate = async (side: keyof typeof rate, at: number, pid: number | undefined) => {
        const before = await readProcessorMs(pid);
        const { perSecond, count } = await ask(at, 16);
        rate[side].push(perSecond);
        processor[side].push(((await readProcessorMs(pid)) - before) / count);
      };
      const race = async () => {
        for (let round = 0; round < (isShort ? 1 : 5); round += 1) {
          tell(`P10 round ${round + 1} …`);
          latency.direct.push((await ask(ports.device, 1)).p50Ms);
          latency.kept.push((await ask(ports.kept, 1)).p50Ms);
          latency.plain.push((await ask(ports.plain, 1)).p50Ms);
          latency.relay.push((await ask(relay.port, 1)).p50Ms);
          latency.ours.push((await ask(port, 1)).p50Ms);
          await measureRate("kept", ports.kept, nginx.pid);
          await measureRate("relay", relay.port, relay.child.pid);
          await measureRate("ours", port, child.pid);
        }
      };
      if (profiler === undefined) await race();
      else for (const line of await profiler.during("P10", [{ name: "filter", pid: child.pid ?? 0 }], race)) tell(line);
      const added = (of: keyof typeof latency) => figuresOf(latency[of].map((ms, round) => ms - (latency.direct[round] ?? 0)));
      const through = await filter(upload.port);
      await sendUpload(through.port, folder, FIRST_UPLOAD_BYTES);
      const before = await readPeakMb(through.child.pid);
      await sendUpload(through.port, folder, UPLOAD_BYTES);
      const grown = (await readPeakMb(through.child.pid)) - before;
      const perSecond = figuresOf(rate.ours);
      return [
        latencyRow("a request of 1 kB JSON with a schema, added latency", added("ours"), {
          name: "nginx proxy_pass, kept connections",
          figures: added("kept"),
        }),
        {
          ...latencyRow("the same", added("ours"), { name: "a relay in Node that looks at nothing", figures: added("relay") }),
          target: "",
          isReached: null,
          note: `so much of it is Node's own: ${(added("relay").p50 / added("kept").p50).toFixed(1)} x nginx`,
        },
        {
          ...latencyRow("the same", added("ours"), { name: "nginx proxy_pass as it comes", figures: added("plain") }),
          target: "",
          isReached: null,
        },
        {
          race: "P10",
          what: "requests on one processor",
          unit: "1/s",
          ours: perSecond,
          peer: { name: "nginx proxy_pass, kept connections", figures: figuresOf(rate.kept) },
          target: ">= 8000",
          isReached: perSecond.p50 >= 8000,
        },
        {
          race: "P10",
          what: "processor time of a request",
          unit: "ms",
          ours: figuresOf(processor.ours),
          peer: { name: "nginx proxy_pass, kept connections", figures: figuresOf(processor.kept) },
          target: "<= 0.125",
          isReached: figuresOf(processor.ours).p50 <= 0.125,
          note: `nearly the same on a machine that others use too; a relay in Node that looks at nothing: ${figuresOf(processor.relay).p50.toFixed(3)} ms`,
        },
        {
          race: "P10",
          what: "memory for a body of 100 MB, beside that for 10 MB",
          unit: "MB",
          ours: figuresOf([grown]),
          peer: null,
          target: "< 32 more",
          isReached: grown < 32,
        },
      ];
    } finally {
      for (const child of [...programs, device, nginx]) child.kill("SIGKILL");
      upload[Symbol.dispose]();
    }
  },
};

function latencyRow(what: string, ours: Row["ours"], peer: NonNullable<Row["peer"]>): Row {
  const isReached = ours.p50 <= 2 * (peer.figures?.p50 ?? 0);
  return { race: "P10", what, unit: "ms", ours, peer, target: "<= 2 x", isReached };
}

/** nginx with connections to the device that are kept, and as `proxy_pass` comes: a new one for each request. */
function describeProxies({ device, kept, plain }: { device: number; kept: number; plain: number }): string {
  return `
upstream device { server 127.0.0.1:${device}; keepalive 64; keepalive_requests 1000000000; }
server { listen 127.0.0.1:${kept}; location / { proxy_pass http://device; proxy_http_version 1.1; proxy_set_header Connection ""; } }
server { listen 127.0.0.1:${plain}; location / { proxy_pass http://127.0.0.1:${device}; } }`;
}

/** An nginx of its own, in the foreground; Debian's is not used. */
async function startNginx(folder: string, within: readonly string[], servers: string): Promise<ChildProcess> {
  const name = join(folder, `nginx-${within.join("-")}`);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${name}-${kind};`).join(" ");
  await writeFile(
    `${name}.conf`,
    `daemon off; master_process off; pid ${name}.pid; error_log ${name}.log notice;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; ${paths}
${servers} }`,
  );
  const [command = "", ...args] = within;
  const child = spawn(command, [...args, "nginx", "-c", `${name}.conf`], { stdio: "ignore" });
  const port = Number(/listen 127\.0\.0\.1:(\d+)/.exec(servers)?.[1]);
  await expectSuccess("curl", [
    "--silent",
    "--retry",
    "50",
    "--retry-delay",
    "0",
    "--retry-max-time",
    "20",
    "--retry-connrefused",
    "--output",
    "/dev/null",
    `http://127.0.0.1:${port}/`,
  ]);
  return child;
}

async function runWrk(port: number, { script, connections, seconds }: { script: string; connections: number; seconds: number }) {
  const args = [
    ...AROUND.slice(1),
    "wrk",
    "-t1",
    `-c${connections}`,
    `-d${seconds}s`,
    "--latency",
    "-s",
    script,
    `http://127.0.0.1:${port}/api/drive/time`,
  ];
  const text = await expectSuccess(AROUND[0], args);
  if (/Non-2xx/.test(text)) throw new Error(`wrk was refused:\n${text}`);
  const [, value = "", unit = ""] = /50%\s+([\d.]+)(us|ms|s)/.exec(text) ?? [];
  return {
    p50Ms: Number(value) * { us: 0.001, ms: 1, s: 1000 }[unit as "us" | "ms" | "s"],
    count: Number(/(\d+) requests in/.exec(text)?.[1]),
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]),
  };
}

/** A device that takes what comes, and counts it. */
async function startUploadServer() {
  const server = createServer((request, response) => {
    let size = 0;
    request.on("data", (chunk: Buffer) => (size += chunk.length));
    request.on("end", () => response.end(String(size)));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => void server.close() };
}

async function sendUpload(port: number, folder: string, sizeBytes: number): Promise<void> {
  const file = join(folder, "upload");
  await writeFile(file, Buffer.alloc(sizeBytes));
  const taken = await expectSuccess("curl", ["--silent", "--data-binary", `@${file}`, `http://127.0.0.1:${port}/upload`]);
  if (Number(taken) !== sizeBytes) throw new Error(`the device got ${taken} bytes`);
}

async function readPeakMb(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** What a process has used of processors. */
async function readProcessorMs(pid: number | undefined): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10; // of 100 in a second, as Linux tells everybody
}

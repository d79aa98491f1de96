import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BackOff, type Clock, Deferred, ManualClock, silentLogger } from "@hardshare/runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ApiConnection } from "./api-connection.ts";
import type { ContainerExit, ListedContainer } from "./engine.ts";
import { ExitWatch } from "./exit-watch.ts";

let folder: string;
let server: Server;
let api: ApiConnection;
let stop: AbortController;
/** What runs, as the engine says. */
let running: ListedContainer[];
let exits: ContainerExit[];
let told: Deferred;
/** Subscriptions that came: where they begin, and the stream that answers them. */
let subscriptions: { since: number; stream: ServerResponse }[];
let subscribed: Deferred;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hs-watch-"));
  const socketPath = join(folder, "s");
  stop = new AbortController();
  running = [];
  exits = [];
  told = new Deferred();
  subscriptions = [];
  subscribed = new Deferred();
  server = createServer((request, stream) => {
    subscriptions.push({ since: Number(new URL(request.url ?? "", "http://x").searchParams.get("since")), stream });
    subscribed.resolve();
  });
  server.listen(socketPath);
  await once(server, "listening");
  api = new ApiConnection({ socketPath, ready: async () => {}, [Symbol.asyncDispose]: async () => {} });
});
afterEach(async () => {
  stop.abort();
  await api[Symbol.asyncDispose]();
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

async function watch(clock: Clock): Promise<void> {
  const backOff = new BackOff({ firstMs: 100, maxMs: 60_000, random: { fraction: () => 1 } as never });
  const onExit = (exit: ContainerExit) => {
    exits.push(exit);
    told.resolve();
  };
  const engine = { listContainers: async () => running, inspectContainer: () => Promise.reject(new Error("removed")) };
  const options = {
    api,
    clock,
    backOff,
    logger: silentLogger,
    labels: { robot: "a" },
    onExit,
    engine,
    signals: [stop.signal],
  };
  await new ExitWatch(options).start();
  await nextSubscription();
}

async function nextSubscription(): Promise<void> {
  await subscribed.promise;
  subscribed = new Deferred();
}

function die(id: string, atMs: number): void {
  const event = { Action: "die", timeNano: atMs * 1e6, Actor: { ID: id, Attributes: { robot: "a", containerExitCode: "1" } } };
  subscriptions.at(-1)?.stream.write(`${JSON.stringify(event)}\n`);
}

test("an exit is told although the clock was set back since the watch began", async () => {
  const clock = new ManualClock();
  const began = clock.now();
  let setBackMs = 0;
  await watch({ now: () => clock.now() - setBackMs, monotonicMs: () => clock.monotonicMs(), after: (ms, run) => clock.after(ms, run) });
  setBackMs = 3_600_000;
  die("after", began - 3_600_000 - 5);
  await told.promise;
  expect(exits).toMatchObject([{ id: "after", exitCode: 1 }]);
});

test("after the clock was set back a lost subscription asks for everything, since what it missed seems to be earlier", async () => {
  const clock = new ManualClock();
  let setBackMs = 0;
  const retried = new Deferred<() => void>();
  const after = (_ms: number, run: () => void) => {
    retried.resolve(run);
    return { [Symbol.dispose]: () => {} };
  };
  await watch({ now: () => clock.now() - setBackMs, monotonicMs: () => clock.monotonicMs(), after });
  setBackMs = 3_600_000;
  subscriptions[0]?.stream.destroy();
  (await retried.promise)();
  await nextSubscription();
  expect(subscriptions[1]?.since).toBe(0);
});

test("an engine that accepts every subscription and ends it is asked ever more rarely", async () => {
  const delays: number[] = [];
  const done = new Deferred();
  const after = (ms: number, run: () => void) => {
    delays.push(ms);
    if (delays.length === 4) done.resolve();
    else queueMicrotask(run);
    return { [Symbol.dispose]: () => {} };
  };
  server.prependListener("request", (_request, stream) => void (stream as ServerResponse).destroy());
  await watch({ now: () => 0, monotonicMs: () => 0, after });
  await done.promise;
  expect(delays).toEqual([100, 200, 400, 800]);
});

test("what ended while an engine was down that forgot its events is told once it is back", async () => {
  running = ["stays", "ends"].map((id) => ({ id, name: id, labels: { robot: "a", id }, isRunning: true }));
  await watch({ now: () => 0, monotonicMs: () => 0, after });
  subscriptions[0]?.stream.destroy();
  running = running.filter(({ id }) => id === "stays");
  await told.promise;
  expect(exits).toEqual([{ id: "ends", labels: { robot: "a", id: "ends" }, exitCode: undefined }]);

  function after(_ms: number, run: () => void): Disposable {
    queueMicrotask(run);
    return { [Symbol.dispose]: () => {} };
  }
});

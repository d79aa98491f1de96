import { ManualClock } from "@hardshare/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Moments } from "../../testing/moments.ts";
import { startTestGround, type TestGround, type TestUser, TestWorld, USER_KEY } from "../../testing/test-world.fixture.ts";
import { tokenSha256 } from "../tokens/token-codec.ts";

let ground: TestGround;
let world: TestWorld;
let owner: TestUser;
beforeAll(async () => {
  ground = await startTestGround();
  world = await TestWorld.start(ground);
  await world.addHub();
  owner = await world.addUser("owner");
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

interface Event {
  id: number;
  kind: string;
  data: Record<string, unknown>;
}

/** The events of a stream, as they come, until it says that it is over; `onComment` is told of each comment. */
async function* follow(
  id: string,
  token: string,
  headers: Record<string, string> = {},
  onComment: () => void = () => {},
  url = world.url,
): AsyncGenerator<Event> {
  const response = await fetch(`${url}/instance/${id}/events`, { headers: { authorization: `Bearer ${token}`, ...headers } });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  let text = "";
  if (response.body === null) throw new Error("no body");
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const frame = text.slice(0, end);
      text = text.slice(end + 2);
      if (frame.startsWith(":")) onComment();
      if (frame.startsWith("event: end\n")) return;
      const data = /^data: (.*)$/m.exec(frame)?.[1];
      if (data !== undefined) yield JSON.parse(data) as Event;
    }
  }
  throw new Error("the stream ended without saying so");
}

async function launch() {
  const { host, deploymentId } = await world.addHost(owner);
  const { body } = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  const wanted = await host.until((desired) => {
    const instance = desired.get(deploymentId)?.instance;
    return instance?.tunnel != null && instance;
  });
  return { id: body.id as string, host, deploymentId, wanted };
}

test("the stream tells state and steps as they happen and ends with the final state; a later reader gets the same, or the rest", async () => {
  const { id, host, deploymentId, wanted } = await launch();
  const stream = follow(id, owner.token);
  const next = async () => (await stream.next()).value as Event;
  expect(await next()).toMatchObject({ kind: "state", data: { state: "INIT" } });
  await host.report(deploymentId, wanted, { kind: "step", step: "container", phase: "started" });
  expect(await next()).toMatchObject({ kind: "step", data: { step: "container", phase: "started" } });
  await host.report(deploymentId, wanted, { kind: "log", step: "container", text: "pulling" });
  const log = await next();
  expect(log).toMatchObject({ kind: "log", data: { text: "pulling" } });
  await host.report(deploymentId, wanted, { kind: "up", hostKeys: [] });
  expect(await next()).toMatchObject({ kind: "state", data: { state: "READY" } });
  await owner.call("POST", `/terminate/${id}`);
  expect(await next()).toMatchObject({ kind: "state", data: { state: "TERMINATING", reason: "user" } });
  await host.report(deploymentId, wanted, { kind: "ended", reason: "user", clean: true, residue: [] });
  expect(await next()).toMatchObject({ kind: "state", data: { state: "TERMINATED" } });
  expect(await stream.next()).toMatchObject({ done: true });

  const again: string[] = [];
  for await (const event of follow(id, owner.token)) again.push(event.kind);
  expect(again).toEqual(["state", "step", "log", "state", "state", "state"]);
  const rest: unknown[] = [];
  for await (const event of follow(id, owner.token, { "last-event-id": String(log.id) })) rest.push(event.data["state"]);
  expect(rest).toEqual(["READY", "TERMINATING", "TERMINATED"]);
});

test("a launch that asks for keep-alive goes on, and its timeline says that nothing enforces it", async () => {
  const { deploymentId } = await world.addHost(owner);
  const { body } = await owner.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY, keepalive: true, allow_noop: true });
  const stream = follow(body.id, owner.token);
  expect((await stream.next()).value).toMatchObject({ kind: "state", data: { state: "INIT" } });
  expect((await stream.next()).value).toMatchObject({ kind: "notice", data: { message: expect.stringContaining("keep-alive") } });
  await stream.return(undefined);
});

test("a stream of more events than are read at once comes whole and in order", async () => {
  const { id, host, deploymentId, wanted } = await launch();
  for (let index = 1; index <= 130; index += 1) await host.report(deploymentId, wanted, { kind: "log", step: "init", text: String(index) });
  await host.report(deploymentId, wanted, { kind: "ended", reason: "init_failed", failedStep: "init", clean: true, residue: [] });
  const texts: unknown[] = [];
  let last: Event | undefined;
  for await (const event of follow(id, owner.token)) {
    if (event.kind === "log") texts.push(event.data["text"]);
    last = event;
  }
  expect(texts).toEqual(Array.from({ length: 130 }, (_, index) => String(index + 1)));
  expect(last).toMatchObject({ kind: "state", data: { state: "INIT_FAIL", step: "init" } });
});

test("with one token 32 streams are open at a time; one that ends makes room", async () => {
  const { id } = await launch();
  const streams: AsyncGenerator<Event>[] = [];
  for (let count = 0; count < 32; count += 1) {
    const stream = follow(id, owner.token);
    await stream.next();
    streams.push(stream);
  }
  expect(await owner.call("GET", `/instance/${id}/events`)).toMatchObject({ status: 503, body: { code: "busy" } });
  const another = follow(id, (await world.admin()).token);
  await another.next();
  await owner.call("POST", `/terminate/${id}`);
  for (const stream of [...streams, another]) await stream.return(undefined);
});

test("after 15 s of silence a stream says that it lives, however coarse the clock", async () => {
  const moments = new Moments();
  let timers = 0;
  const clock = new (class extends ManualClock {
    override monotonicMs() {
      return 0;
    }
    override after(delayMs: number, run: () => void) {
      if (delayMs === 15_000) timers += 1;
      moments.pass();
      return super.after(delayMs, run);
    }
  })(Date.now());
  await using quiet = await TestWorld.start(ground, { clock });
  await quiet.addHub();
  const admin = await quiet.admin();
  const { deploymentId } = await quiet.addHost(admin);
  const { body } = await admin.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY });
  const told = { isAlive: false };
  const onComment = () => {
    told.isAlive = true;
    moments.pass();
  };
  const stream = follow(body.id, admin.token, {}, onComment, quiet.url);
  await stream.next();
  const next = stream.next();
  // News may come in between, after which silence is waited for anew.
  for (let seen = 0; !told.isAlive;) {
    await moments.until(() => told.isAlive || timers > seen);
    seen = timers;
    clock.advance(15_000);
  }
  await admin.call("POST", `/terminate/${body.id}`);
  await next;
  await stream.return(undefined);
});

test("a stream is cut when its token is revoked", async () => {
  const { id } = await launch();
  const { token } = (await (await world.admin()).call("POST", "/admin/tokens", { user: "owner" })).body as { token: string };
  const stream = follow(id, token);
  await stream.next();
  await owner.call("POST", `/revoke/${tokenSha256(token)}`);
  const end = await stream.next().catch(() => ({ done: true }));
  expect(end.done).toBe(true);
});

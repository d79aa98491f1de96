import { beforeAll, expect, test } from "vitest";
import { startTestGround, type TestGround, TestWorld, USER_KEY } from "../../testing/test-world.fixture.ts";
import { readSource } from "./sources.ts";

let ground: TestGround;
beforeAll(async () => (ground = await startTestGround()));

test("a source is an address or subnet of either family, nothing else", () => {
  for (const [given, read] of [
    ["203.0.113.7", "203.0.113.7"],
    [" 203.0.113.0/24 ", "203.0.113.0/24"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8::/32", "2001:db8::/32"],
    ["::1", "::1"],
  ] as const) {
    expect(readSource(given)).toBe(read);
  }
  for (const bad of [
    "",
    "example.org",
    "203.0.113.7/33",
    "203.0.113.7/",
    "1.2.3",
    "2001:db8::/129",
    "fe80::1%eth0",
    "1.2.3.4/24/8",
    "1.2.3.4/-1",
  ]) {
    expect(() => readSource(bad), bad).toThrow("value for option `src` must be an IPv4 or IPv6 address or subnet");
  }
});

test("IPv4 written as IPv6 is IPv4", () => {
  expect(readSource("::ffff:192.0.2.7")).toBe("192.0.2.7");
  expect(readSource("0:0:0:0:0:FFFF:c000:0207")).toBe("192.0.2.7");
  expect(readSource("::ffff:192.0.2.0/120")).toBe("192.0.2.0/24");
  expect(readSource("::ffff:0:0/96")).toBe("0.0.0.0/0");
  expect(() => readSource("::ffff:192.0.2.0/95")).toThrow("at least 96");
  expect(readSource("::/0")).toBe("::/0");
});

test("the instance's user and the owner configure its firewall, and the hub hears each change", async () => {
  await using world = await TestWorld.start(ground);
  const hub = await world.addHub();
  const [owner, user, stranger] = [await world.addUser("owner"), await world.addUser("user"), await world.addUser("stranger")];
  const { host, deploymentId } = await world.addHost(owner);
  await owner.call("POST", `/deployment/${deploymentId}/rule`, { cap: "CAP_INSTANTIATE", user: "user" });
  const { id } = (await user.call("POST", `/new/${deploymentId}`, { sshkey: USER_KEY })).body as { id: string };
  const path = `/firewall/${id}`;
  expect((await user.call("GET", path)).body).toEqual({ rules: null });

  expect(await user.call("POST", path, '{"action": "ACCEPT"}')).toMatchObject({ status: 200, text: "" });
  expect((await user.call("GET", path)).body).toEqual({ rules: [{ source: "127.0.0.1", src: "127.0.0.1", action: "ACCEPT" }] });
  await hub.until((endpoints) => endpoints.get(id)?.firewall?.length === 1);
  expect((await owner.call("POST", path, { src: "2001:db8::/32", action: "REJECT" })).status).toBe(200);
  expect((await hub.until((endpoints) => endpoints.get(id)?.firewall?.[1])).action).toBe("REJECT");
  expect((await user.call("DELETE", path)).status).toBe(200);
  expect((await user.call("GET", path)).body).toEqual({ rules: [] });
  await hub.until((endpoints) => endpoints.get(id)?.firewall?.length === 0);

  for (const [body, text] of [
    [{ src: 5 }, "value for option `src` has wrong type"],
    [{ src: "nowhere" }, "value for option `src` must be an IPv4 or IPv6 address or subnet in CIDR notation"],
    [{ action: "WELCOME" }, "value for option `action` not recognized"],
  ] as const) {
    expect((await user.call("POST", path, body)).body.error_message).toContain(text);
  }
  for (const method of ["GET", "POST", "DELETE"]) expect((await stranger.call(method, path)).status).toBe(404);

  await user.call("POST", `/terminate/${id}`);
  expect(await user.call("GET", path)).toMatchObject({ status: 400, body: { error_message: "instance not active" } });
  await host.report(deploymentId, { instanceId: id, epoch: 1 }, { kind: "ended", reason: "user", clean: true, residue: [] });
});

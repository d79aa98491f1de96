import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DesiredEndpoint, forwarderUsername } from "@hardshare/protocol";
import { runProgram } from "@hardshare/runtime";
import { generateIdentity, generateRsaKeyPair, type KeyPair } from "@hardshare/wire/ssh";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectTo, echo, exchange, findFreePort, HubWorld } from "./testing/hub-world.fixture.ts";

/** A real SSH server takes root, and Debian's openssh-server; on CI nothing is left out. */
const hasSshd = process.env["CI"] !== undefined || (process.geteuid?.() === 0 && existsSync("/usr/sbin/sshd"));
const withSshd = (name: string) => (hasSshd ? name : `${name} (left out: needs root and openssh-server)`);

let world: HubWorld;
let folder: string;
let children: ChildProcess[];
beforeEach(async () => {
  world = await HubWorld.start();
  folder = await mkdtemp(join(tmpdir(), "hub-openssh-"));
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  await world[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function writeKey(name: string, pair: KeyPair): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, pair.privateKey, { mode: 0o600 });
  return path;
}

/** Options of every ssh: this key, this known_hosts file, nothing of the user's own. */
async function sshOptions(identityFile: string): Promise<string[]> {
  const knownHosts = join(folder, "known_hosts");
  await writeFile(knownHosts, `[127.0.0.1]:${world.sshPort} ${world.sshHost.publicKey}\n`);
  const options = [
    `UserKnownHostsFile=${knownHosts}`,
    "StrictHostKeyChecking=yes",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "BatchMode=yes",
  ];
  return ["-F", "none", "-i", identityFile, ...options.flatMap((option) => ["-o", option])];
}

/** Logs in at the hub with the system's ssh. */
async function sshToHub(username: string, pair: KeyPair, ...args: string[]): Promise<{ exitCode: number | null; output: string }> {
  const options = await sshOptions(await writeKey("key", pair));
  const result = await runProgram("ssh", [...options, "-p", String(world.sshPort), `${username}@127.0.0.1`, ...args]);
  return { exitCode: result.exitCode, output: result.stdout + result.stderr };
}

/** OpenSSH as the host of an instance, as existing clients start it. */
async function startOpensshHost(desired: DesiredEndpoint, port: number): Promise<ChildProcess> {
  const options = await sshOptions(await writeKey("host-key", world.host));
  const place = ["-p", String(world.sshPort), `${forwarderUsername(desired.instanceId)}@127.0.0.1`];
  const forward = ["-N", "-o", "ExitOnForwardFailure=yes", "-R", `:2210:127.0.0.1:${port}`];
  const child = spawn("ssh", [...options, ...forward, ...place], { stdio: "ignore" });
  children.push(child);
  return child;
}

/** A real SSH server, as in an instance's container. */
async function startSshd(): Promise<{ port: number; hostKey: KeyPair }> {
  const port = await findFreePort();
  const hostKey = generateIdentity("container");
  await mkdir("/run/sshd", { recursive: true });
  await writeFile(join(folder, "authorized_keys"), `${world.user.publicKey}\n`, { mode: 0o600 });
  await chmod(folder, 0o755);
  const config = [
    ["ListenAddress", `127.0.0.1:${port}`],
    ["HostKey", await writeKey("container-key", hostKey)],
    ["AuthorizedKeysFile", join(folder, "authorized_keys")],
    ["PidFile", "none"],
    ["UsePAM", "no"],
    ["StrictModes", "no"],
    ["PermitRootLogin", "prohibit-password"],
  ];
  await writeFile(join(folder, "sshd_config"), config.map((line) => line.join(" ")).join("\n"));
  const child = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", join(folder, "sshd_config")], { stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  await once(child.stderr, "data"); // "Server listening on …"
  return { port, hostKey };
}

test.skipIf(!hasSshd)(
  withSshd("OpenSSH can be the host, and its instance is reached by port, as a jump host and through the server"),
  async () => {
    const { port, hostKey } = await startSshd();
    const desired = await world.open({ probe: "banner" });
    await startOpensshHost(desired, port);
    await world.reported("probed", desired);

    const banner = await connectTo(desired.publicPort ?? 0);
    expect(String((await once(banner, "data"))[0])).toMatch(/^SSH-2\.0-OpenSSH/);
    banner.destroy();

    const identity = await writeKey("user-key", world.user);
    await sshOptions(identity);
    const config = [
      `Host *\n  IdentityFile ${identity}\n  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes`,
      `  UserKnownHostsFile ${join(folder, "known_hosts")}\n  StrictHostKeyChecking yes`,
      `Host hub\n  HostName 127.0.0.1\n  Port ${world.sshPort}\n  User ${desired.instanceId}`,
      `Host robot\n  HostName ${desired.instanceId}\n  User root\n  ProxyJump hub`,
      "",
    ].join("\n");
    await writeFile(join(folder, "ssh_config"), config);
    await writeFile(
      join(folder, "known_hosts"),
      `[127.0.0.1]:${world.sshPort} ${world.sshHost.publicKey}\n${desired.instanceId} ${hostKey.publicKey}\n`,
    );
    const result = await runProgram("ssh", ["-F", join(folder, "ssh_config"), "robot", "head -c 3000000 /dev/zero | wc -c; exit 7"]);
    expect({ exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr }).toEqual({
      exitCode: 7,
      stdout: "3000000\n",
      stderr: "",
    });

    const throughServer = await world.openAsServer(desired);
    expect(String((await once(throughServer, "data"))[0])).toMatch(/^SSH-2\.0-OpenSSH/);
    throughServer.destroy();
  },
);

test("OpenSSH as the host passes a half-closed stream and notices a closed endpoint", async () => {
  const desired = await world.open();
  const host = await startOpensshHost(desired, await world.listen(echo));
  await world.reported("probed", desired);
  const text = "x".repeat(2_000_000);
  expect(await exchange(await connectTo(desired.publicPort ?? 0), text)).toBe(text);
  const ended = once(host, "exit");
  world.close(desired);
  await ended;
});

test("a jump user reaches their own instance, by its id or as localhost, with Ed25519 and RSA keys", async () => {
  const rsa = generateRsaKeyPair();
  const desired = await world.makeDesired({ publicPort: null, userKeys: [world.user.publicKey, rsa.publicKey] });
  world.apply(desired);
  world.startHost(desired, await world.listen((socket) => socket.end("hello from the robot\n")));
  await world.reported("probed", desired);
  for (const pair of [world.user, rsa]) {
    for (const place of [`${desired.instanceId}:22`, "localhost:8080"]) {
      expect(await sshToHub(desired.instanceId, pair, "-W", place)).toEqual({ exitCode: 0, output: "hello from the robot\n" });
    }
  }
});

test("a jump user gets no shell, no command, no files, no forward, no other destination and no other instance", async () => {
  const own = await world.makeDesired();
  const other = await world.makeDesired({ userKeys: [generateIdentity("").publicKey] });
  world.apply(own, other);
  await Promise.all([world.reported("open", own), world.reported("open", other)]);
  const nothingElse = /forwarded streams and nothing else/;
  expect((await sshToHub(own.instanceId, world.user, "id")).output).toMatch(nothingElse);
  expect((await sshToHub(own.instanceId, world.user, "-tt")).output).toMatch(nothingElse);
  expect((await sshToHub(own.instanceId, world.user, "-s", "sftp")).output).toMatch(nothingElse);
  expect((await sshToHub(own.instanceId, world.user, "-N", "-o", "ExitOnForwardFailure=yes", "-R", ":2210:127.0.0.1:9")).output).toMatch(
    /remote port forwarding failed/,
  );
  expect((await sshToHub(own.instanceId, world.user, "-W", "169.254.169.254:80")).output).toMatch(/only .* can be reached/);
  expect((await sshToHub(own.instanceId, world.user, "-W", `${other.instanceId}:22`)).output).toMatch(/only .* can be reached/);
  expect((await sshToHub(other.instanceId, world.user, "-W", "localhost:22")).output).toMatch(/Permission denied/);
});

test("nobody logs in with a key that is not theirs, and a host does nothing but forward", async () => {
  const desired = await world.open();
  const forwarder = forwarderUsername(desired.instanceId);
  for (const [username, pair] of [
    [forwarder, world.user],
    [desired.instanceId, world.host],
    ["server", world.user],
    ["server", world.host],
    ["root", world.user],
  ] as const) {
    expect((await sshToHub(username, pair, "-W", "localhost:22")).output).toMatch(/Permission denied/);
  }
  expect((await sshToHub(forwarder, world.host, "-W", "localhost:22")).output).toMatch(/a host forwards its instance and opens no streams/);
  for (const forward of [":2211:127.0.0.1:9", "127.0.0.1:2210:127.0.0.1:9"]) {
    const refused = await sshToHub(forwarder, world.host, "-N", "-o", "ExitOnForwardFailure=yes", "-R", forward);
    expect(refused.output).toMatch(/remote port forwarding failed/);
  }
});

test("a key that is taken away ends its owner's sessions", async () => {
  const desired = await world.makeDesired({ publicPort: null });
  world.apply(desired);
  world.startHost(desired, await world.listen((socket) => socket.write("open\n")));
  await world.reported("probed", desired);
  const options = await sshOptions(await writeKey("user-key", world.user));
  const place = ["-p", String(world.sshPort), `${desired.instanceId}@127.0.0.1`, "-W", "localhost:22"];
  const child = spawn("ssh", [...options, ...place], { stdio: ["pipe", "pipe", "ignore"] });
  children.push(child);
  await once(child.stdout, "data");
  const ended = once(child, "exit");
  world.apply({ ...desired, userKeys: [] });
  expect((await ended)[0]).not.toBe(0);
});

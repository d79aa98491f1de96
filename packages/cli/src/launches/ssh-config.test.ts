import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { formatKnownHosts, formatSshConfig, type SshConfigFacts } from "./ssh-config.ts";

const run = promisify(execFile);
const deploymentId = "d0000000-0000-4000-8000-000000000001";
const instanceId = "a0000000-0000-4000-8000-000000000002";
const facts: SshConfigFacts = {
  instanceId,
  deploymentId,
  hasSshServer: true,
  address: { host: "203.0.113.7", port: 22_001 },
  hub: { host: "hub.example.org", sshPort: 8422 },
  configFile: "/state/launches/x/ssh_config",
  knownHostsFile: "/state/launches/x/known_hosts",
  identityFile: "/state/launches/x/key",
  tunnelCommand: ["/usr/bin/node", "/opt/hardshare.js", "tunnel", instanceId, "--server", "http://127.0.0.1:8484"],
};

const JUMP_COMMAND = `ssh -F /state/launches/x/ssh_config -W '[%h]:%p' ${deploymentId}-hub`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hardshare-ssh-config-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** What OpenSSH makes of a configuration for one host: its options by name. */
async function readByOpenssh(config: string, host: string): Promise<Record<string, string>> {
  const file = join(folder, "config");
  await writeFile(file, config);
  const { stdout } = await run("ssh", ["-G", "-F", file, host]);
  return Object.fromEntries(stdout.split("\n").map((line) => [line.split(" ", 1)[0], line.slice(line.indexOf(" ") + 1)]));
}

test("the configuration names the ways to an instance", () => {
  expect(formatSshConfig(facts)).toMatchInlineSnapshot(`
    "# ssh configuration of hardshare instance a0000000-0000-4000-8000-000000000002: use it with ssh -F

    Host d0000000-0000-4000-8000-000000000001 a0000000-0000-4000-8000-000000000002
      HostName 203.0.113.7
      Port 22001
      User root
      HostKeyAlias a0000000-0000-4000-8000-000000000002

    Host d0000000-0000-4000-8000-000000000001-jump
      HostName a0000000-0000-4000-8000-000000000002
      ProxyCommand ssh -F /state/launches/x/ssh_config -W '[%h]:%p' d0000000-0000-4000-8000-000000000001-hub
      User root
      HostKeyAlias a0000000-0000-4000-8000-000000000002

    Host d0000000-0000-4000-8000-000000000001-ws
      HostName a0000000-0000-4000-8000-000000000002
      ProxyCommand /usr/bin/node /opt/hardshare.js tunnel a0000000-0000-4000-8000-000000000002 --server http://127.0.0.1:8484
      User root
      HostKeyAlias a0000000-0000-4000-8000-000000000002

    Host d0000000-0000-4000-8000-000000000001-hub
      HostName hub.example.org
      Port 8422
      User a0000000-0000-4000-8000-000000000002
      HostKeyAlias hardshare-hub

    Host *
      IdentityFile /state/launches/x/key
      IdentitiesOnly yes
      StrictHostKeyChecking yes
      UserKnownHostsFile /state/launches/x/known_hosts
      GlobalKnownHostsFile /dev/null
      UpdateHostKeys no
      PasswordAuthentication no
      KbdInteractiveAuthentication no
    "
  `);
});

test("OpenSSH reads the public port, our key alone, and strict checking of the host key", async () => {
  expect(await readByOpenssh(formatSshConfig(facts), deploymentId)).toMatchObject({
    hostname: "203.0.113.7",
    port: "22001",
    user: "root",
    hostkeyalias: instanceId,
    identityfile: "/state/launches/x/key",
    identitiesonly: "yes",
    stricthostkeychecking: "true",
    userknownhostsfile: "/state/launches/x/known_hosts",
    globalknownhostsfile: "/dev/null",
  });
});

test("OpenSSH reads the jump host, with the instance as its user and a host key of its own", async () => {
  const config = formatSshConfig(facts);
  expect(await readByOpenssh(config, `${deploymentId}-jump`)).toMatchObject({ hostname: instanceId, proxycommand: JUMP_COMMAND });
  expect(await readByOpenssh(config, `${deploymentId}-hub`)).toMatchObject({
    hostname: "hub.example.org",
    port: "8422",
    user: instanceId,
    hostkeyalias: "hardshare-hub",
    stricthostkeychecking: "true",
    identityfile: "/state/launches/x/key",
  });
});

test("paths and commands with blanks, quotes and percent signs stay what they are", async () => {
  const config = formatSshConfig({
    ...facts,
    identityFile: "/home/a da/100% key",
    knownHostsFile: '/home/a da/100% "known"',
    configFile: "/home/a da/it's 100%",
    tunnelCommand: ["/opt/my node", "it's 100%"],
  });
  expect(await readByOpenssh(config, `${deploymentId}-ws`)).toMatchObject({
    // `ssh -G` shows this one before it replaces %%.
    identityfile: "/home/a da/100%% key",
    userknownhostsfile: '/home/a da/100% "known"',
    proxycommand: String.raw`'/opt/my node' 'it'\''s 100%%'`,
  });
  const jump = await readByOpenssh(config, `${deploymentId}-jump`);
  expect(jump["proxycommand"]).toBe(String.raw`ssh -F '/home/a da/it'\''s 100%%' -W '[%h]:%p' ${deploymentId}-hub`);
});

test("without a public port an instance is reached by the jump host", async () => {
  const config = formatSshConfig({ ...facts, address: undefined });
  expect(await readByOpenssh(config, deploymentId)).toMatchObject({ hostname: instanceId, proxycommand: JUMP_COMMAND });
});

test("for a proxy deployment there is the hub alone", () => {
  const config = formatSshConfig({ ...facts, hasSshServer: false });
  expect(config.match(/^Host .*$/gm)).toEqual([`Host ${deploymentId}-hub`, "Host *"]);
});

test("with no known key, the choice is left to OpenSSH", () => {
  expect(formatSshConfig({ ...facts, identityFile: undefined })).not.toContain("Identit");
});

test("known hosts are kept under names of ours, whatever the address", () => {
  const text = formatKnownHosts({
    instanceId,
    instanceKeys: ["ssh-ed25519 AAAA root@box", "ecdsa-sha2-nistp256 BBBB"],
    hubKey: "ssh-ed25519 CCCC\n",
  });
  expect(text).toBe(`${instanceId} ssh-ed25519 AAAA\n${instanceId} ecdsa-sha2-nistp256 BBBB\nhardshare-hub ssh-ed25519 CCCC\n`);
});

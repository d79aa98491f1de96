import { quoteForShell } from "../output/shell-quote.ts";

/** What an ssh configuration file of one instance is made from. */
export interface SshConfigFacts {
  instanceId: string;
  deploymentId: string;
  /** Whether an SSH server is inside: a `proxy` deployment has none, and only the hub is described. */
  hasSshServer: boolean;
  /** Public port of the instance, if known. */
  address: { host: string; port: number } | undefined;
  hub: { host: string; sshPort: number } | undefined;
  /** Where this configuration itself will lie. */
  configFile: string;
  knownHostsFile: string;
  /** Private key, or the public one of a key that an agent holds; undefined: OpenSSH's own choice. */
  identityFile: string | undefined;
  /** The command that carries a connection over the server's port: standard input and output. */
  tunnelCommand: readonly string[];
}

/** Name under which the hub's SSH host key stands in the known-hosts file. */
const HUB_ALIAS = "hardshare-hub";

/** Extra names of an instance's hosts: through the jump host, through the server's port; and the hub itself. */
export const JUMP_SUFFIX = "-jump";
export const WEB_SUFFIX = "-ws";
export const HUB_SUFFIX = "-hub";

/**
 * An OpenSSH client configuration (ssh_config(5)) by which `ssh -F FILE <deployment>` reaches the instance, with both
 * SSH host keys checked against `knownHostsFile` and nothing else. To a `-J` host OpenSSH passes neither `-i` nor `-o`,
 * and a `-F` that breaks at a blank: that is why this is a file, and its way through the jump host a command of ours.
 */
export function formatSshConfig(facts: SshConfigFacts): string {
  const { deploymentId, instanceId, hub, address } = facts;
  const jump = ["ssh", "-F", facts.configFile, "-W"].map(quoteForProxy);
  const viaJump = hub === undefined ? [] : [`ProxyCommand ${jump.join(" ")} '[%h]:%p' ${deploymentId}${HUB_SUFFIX}`];
  const inside = ["User root", `HostKeyAlias ${instanceId}`];
  const blocks: string[][] = [];
  if (facts.hasSshServer) {
    const direct = address === undefined ? [`HostName ${instanceId}`, ...viaJump] : [`HostName ${address.host}`, `Port ${address.port}`];
    blocks.push([`Host ${deploymentId} ${instanceId}`, ...direct, ...inside]);
    if (hub !== undefined) blocks.push([`Host ${deploymentId}${JUMP_SUFFIX}`, `HostName ${instanceId}`, ...viaJump, ...inside]);
    const command = facts.tunnelCommand.map(quoteForProxy).join(" ");
    blocks.push([`Host ${deploymentId}${WEB_SUFFIX}`, `HostName ${instanceId}`, `ProxyCommand ${command}`, ...inside]);
  }
  if (hub !== undefined) {
    blocks.push([
      `Host ${deploymentId}${HUB_SUFFIX}`,
      `HostName ${hub.host}`,
      `Port ${hub.sshPort}`,
      `User ${instanceId}`,
      `HostKeyAlias ${HUB_ALIAS}`,
    ]);
  }
  blocks.push([
    "Host *",
    ...(facts.identityFile === undefined ? [] : [`IdentityFile ${quoteForConfig(facts.identityFile)}`, "IdentitiesOnly yes"]),
    "StrictHostKeyChecking yes",
    `UserKnownHostsFile ${quoteForConfig(facts.knownHostsFile)}`,
    "GlobalKnownHostsFile /dev/null",
    "UpdateHostKeys no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
  ]);
  const head = `# ssh configuration of hardshare instance ${instanceId}: use it with ssh -F`;
  return [head, ...blocks.map(([host = "", ...lines]) => [host, ...lines.map((line) => `  ${line}`)].join("\n"))].join("\n\n") + "\n";
}

/** Lines of a known-hosts file (sshd(8)): the instance's SSH host keys and the hub's. */
export function formatKnownHosts(keys: { instanceId: string; instanceKeys: readonly string[]; hubKey: string | undefined }): string {
  const lines = keys.instanceKeys.map((key) => `${keys.instanceId} ${withoutComment(key)}`);
  if (keys.hubKey !== undefined) lines.push(`${HUB_ALIAS} ${withoutComment(keys.hubKey)}`);
  return lines.map((line) => `${line}\n`).join("");
}

function withoutComment(publicKey: string): string {
  return publicKey.trim().split(/\s+/, 2).join(" ");
}

/** One argument of ssh_config(5): quoted, with the percent sign of its tokens doubled. */
function quoteForConfig(path: string): string {
  const doubled = path.replaceAll("%", "%%");
  return /^[\w./%@+:=,-]+$/.test(doubled) ? doubled : `"${doubled.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** One word of a ProxyCommand: for the shell, with the percent sign of ssh_config's tokens doubled. */
function quoteForProxy(word: string): string {
  return quoteForShell(word).replaceAll("%", "%%");
}

import { AppError, type InstanceView } from "@hardshare/protocol";
import { makePrivateFolder, writeFileDurably } from "@hardshare/runtime";
import type { Access } from "../login/credentials.ts";
import { latestEndMs, type LaunchFolders } from "./launch-folder.ts";
import { formatKnownHosts, formatSshConfig } from "./ssh-config.ts";

/** The files by which OpenSSH reaches one instance. */
export interface ConnectionFiles {
  /** For `ssh -F`. */
  configFile: string;
  /** Whether the SSH host keys are known, so that the file is complete. */
  isComplete: boolean;
}

/** Whether an SSH server is inside. */
export function hasSshServer(view: InstanceView): boolean {
  return view.provider !== "proxy";
}

/**
 * Writes (again) the ssh configuration and known hosts of an instance, with what the server tells about it now.
 * @param selfCommand how to start this program, for the way over the server's port
 */
export async function writeConnectionFiles(
  view: InstanceView,
  options: { access: Access; folders: LaunchFolders; selfCommand: readonly string[] },
): Promise<ConnectionFiles> {
  const { access, folders, selfCommand } = options;
  await makePrivateFolder(folders.path(view.id));
  const record = (await folders.readRecord(view.id)) ?? { identityFile: await fetchKey(view, access, folders), endsAt: null };
  await folders.writeRecord(view.id, { ...record, endsAt: latestEndMs(view) });
  const configFile = folders.path(view.id, "ssh_config");
  const knownHostsFile = folders.path(view.id, "known_hosts");
  const instanceKeys = view.hostkeys ?? [];
  await writeFileDurably(knownHostsFile, formatKnownHosts({ instanceId: view.id, instanceKeys, hubKey: view.hub?.host_key }));
  await writeFileDurably(
    configFile,
    formatSshConfig({
      instanceId: view.id,
      deploymentId: view.deployment,
      hasSshServer: hasSshServer(view),
      address: view.fwd?.ipv4 === undefined || view.fwd.port === undefined ? undefined : { host: view.fwd.ipv4, port: view.fwd.port },
      hub: view.hub === undefined ? undefined : { host: view.hub.host, sshPort: view.hub.ssh_port },
      configFile,
      knownHostsFile,
      identityFile: record.identityFile ?? undefined,
      tunnelCommand: [
        ...selfCommand,
        "tunnel",
        view.id,
        "--server",
        access.url,
        ...(access.tokenFile === undefined ? [] : ["--token-file", access.tokenFile]),
      ],
    }),
  );
  return { configFile, isComplete: hasSshServer(view) ? instanceKeys.length > 0 : view.hub !== undefined };
}

/** The key that the server made, for an instance that was launched by another program without a key. */
async function fetchKey(view: InstanceView, access: Access, folders: LaunchFolders): Promise<string | null> {
  try {
    const key = await access.client.instanceKey(view.id);
    const file = folders.path(view.id, "key");
    await writeFileDurably(file, key);
    return file;
  } catch (error) {
    if (error instanceof AppError && ["not_found", "wrong_state", "bad_input"].includes(error.code)) return null;
    throw error;
  }
}

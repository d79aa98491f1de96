/** The peer: OpenSSH's `ssh -R` to OpenSSH's sshd, both on this machine. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateIdentity } from "@hardshare/wire/ssh";
import type { Way } from "./measure.ts";

/** sshd on 127.0.0.1 with keys of its own; needs root and Debian's openssh-server. */
export class OpensshServer implements AsyncDisposable {
  readonly #folder: string;
  readonly #port: number;
  readonly #sshd: ChildProcess;
  readonly #clients: ChildProcess[] = [];

  private constructor(folder: string, port: number, sshd: ChildProcess) {
    this.#folder = folder;
    this.#port = port;
    this.#sshd = sshd;
  }

  static async start(): Promise<OpensshServer> {
    const folder = await mkdtemp(join(tmpdir(), "hs-bench-sshd-"));
    const [host, user] = [generateIdentity("host"), generateIdentity("user")];
    await writeFile(join(folder, "host"), host.privateKey, { mode: 0o600 });
    await writeFile(join(folder, "user"), user.privateKey, { mode: 0o600 });
    await writeFile(join(folder, "authorized_keys"), `${user.publicKey}\n`, { mode: 0o600 });
    const port = await freePort();
    await writeFile(join(folder, "known_hosts"), `[127.0.0.1]:${port} ${host.publicKey}\n`);
    const config = [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${join(folder, "host")}`,
      `AuthorizedKeysFile ${join(folder, "authorized_keys")}`,
      "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password",
    ];
    await writeFile(join(folder, "sshd_config"), `${config.join("\n")}\n`);
    await mkdir("/run/sshd", { recursive: true });
    const sshd = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", join(folder, "sshd_config")], { stdio: ["ignore", "ignore", "pipe"] });
    const missing = once(sshd, "error").then(([error]) => {
      throw new Error(`sshd can't be started (${(error as Error).message}): apt install openssh-server`);
    });
    await Promise.race([once(sshd.stderr, "data"), missing]); // "Server listening on …"
    return new OpensshServer(folder, port, sshd);
  }

  /** `ssh -R` to a target on this machine. @param cipher its default unless named */
  async forward(target: Way, cipher?: string): Promise<Way> {
    const port = await freePort();
    const options = [
      "UserKnownHostsFile=" + join(this.#folder, "known_hosts"),
      "IdentitiesOnly=yes",
      "IdentityAgent=none",
      "ExitOnForwardFailure=yes",
    ];
    const settings = [...options.flatMap((option) => ["-o", option]), ...(cipher === undefined ? [] : ["-c", cipher])];
    const reverse = `127.0.0.1:${port}:${target.host}:${target.port}`;
    const login = ["-F", "none", "-v", "-N", "-i", join(this.#folder, "user"), "-p", String(this.#port)];
    const client = spawn("ssh", [...login, ...settings, "-R", reverse, "root@127.0.0.1"], { stdio: ["ignore", "ignore", "pipe"] });
    this.#clients.push(client);
    let said = "";
    for await (const chunk of client.stderr) {
      said += String(chunk);
      if (said.includes("remote forward success")) break;
    }
    if (!said.includes("remote forward success")) throw new Error(`ssh -R failed:\n${said}`);
    return { host: "127.0.0.1", port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [...this.#clients, this.#sshd]) child.kill("SIGKILL");
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

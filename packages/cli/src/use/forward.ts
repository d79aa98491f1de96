import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { createInterface } from "node:readline";
import type { openTunnel as OpenTunnel } from "@hardshare/client/node";
import { AppError, type InstanceView } from "@hardshare/protocol";
import { endProcessGroup } from "@hardshare/runtime";
import type { Invocation } from "../context.ts";
import { chooseInstance } from "../ids/instances.ts";
import { hasSshServer } from "../launches/connection-files.ts";
import { WEB_SUFFIX } from "../launches/ssh-config.ts";
import { type Access, openAccess } from "../login/credentials.ts";
import { type AddVerb, examples, runs } from "../verb.ts";
import { readPort } from "../read-port.ts";
import { beHeard } from "./heartbeats.ts";
import { followUntilEnded, followUntilReady } from "./follow.ts";
import { reachReady, sshMissing, variablesForSsh } from "./ssh.ts";

const SSH_END_GRACE_MS = 2_000;

export const addForward: AddVerb = (program, shell) => {
  program
    .command("forward")
    .summary("reach a port of an instance on this computer")
    .description(
      "Listens on 127.0.0.1 and carries every connection to an instance through the server's port, until Ctrl-C:\n" +
        "to the filter of a proxy deployment, or to PORT inside a container.",
    )
    .argument("[id]", "id of an instance or its deployment, or its beginning; may be left out when you have one instance")
    .argument("[port]", "port inside the container; a single argument of digits is taken for the port")
    .option("--local-port <port>", "port to listen on; otherwise a free one", readPort)
    .action(
      runs(shell, async (invocation, flags: { localPort?: number }, first?: string, second?: string) => {
        const isPortAlone = second === undefined && first !== undefined && /^\d{1,5}$/.test(first);
        const [id, portText] = isPortAlone ? [undefined, first] : [first, second];
        const port = portText === undefined ? undefined : readPort(portText);
        const access = await openAccess(invocation.context, invocation.options);
        const chosen = await chooseInstance(access.client, id);
        const { openTunnel, serveTunnel } = await import("@hardshare/client/node");
        await using way = await openWay(invocation, { access, chosen, port, openTunnel });
        await using local = await serveTunnel({ port: flags.localPort ?? 0, open: way.open, onProblem: (error) => invocation.tell(error) });
        await using _heard = beHeard(invocation, access, chosen);
        const address = `127.0.0.1:${local.port}`;
        invocation.output.result(
          { instance: chosen.id, host: "127.0.0.1", port: local.port },
          () => `listening on ${address}, Ctrl-C ends it`,
        );
        await untilOver(invocation, access, chosen.id, way.broken);
      }),
    )
    .addHelpText(
      "after",
      examples(
        ["hardshare forward --local-port 8080", "the robot of your only proxy instance on http://127.0.0.1:8080"],
        ["hardshare forward 3f2a 8888", "port 8888 inside the container of 3f2a"],
      ),
    );
};

interface Way extends AsyncDisposable {
  open: (signal: AbortSignal) => Promise<Duplex>;
  /** Rejects when the way is gone for good. */
  broken: Promise<never>;
}

interface WayOptions {
  access: Access;
  chosen: InstanceView;
  port: number | undefined;
  openTunnel: typeof OpenTunnel;
}

async function openWay(invocation: Invocation, { access, chosen, port, openTunnel }: WayOptions): Promise<Way> {
  const { context, output } = invocation;
  if (hasSshServer(chosen)) {
    if (port === undefined) {
      throw new AppError("bad_input", `say which port inside the container: \`hardshare forward ${chosen.id} PORT\``, {
        details: { field: "port" },
      });
    }
    const { view, configFile } = await reachReady(invocation, access, chosen.id);
    return openSshWay(invocation, { access, options: ["-F", configFile], host: `${view.deployment}${WEB_SUFFIX}`, port });
  }
  if (port !== undefined) {
    throw new AppError("bad_input", "a proxy deployment has no ports inside: leave PORT out (--local-port says where to listen)", {
      details: { field: "port" },
    });
  }
  if (chosen.status === "INIT") await followUntilReady(access.client, chosen.id, { output, signal: context.interrupted });
  return {
    open: (signal) => openTunnel({ url: access.url, token: access.token, instanceId: chosen.id, signal }),
    broken: new Promise<never>(() => {}),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** `ssh -N -L` to a Unix socket of ours, so that no local port has to be guessed; it says when it is connected. */
async function openSshWay(
  { context }: Invocation,
  { access, options, host, port }: { access: Access; options: readonly string[]; host: string; port: number },
): Promise<Way> {
  const folder = await mkdtemp(join(tmpdir(), "hardshare-forward-"));
  const socketPath = join(folder, "s");
  const settings = ["-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo connected", "-o", "ExitOnForwardFailure=yes"];
  const child = spawn("ssh", [...options, ...settings, "-N", "-L", `${socketPath}:127.0.0.1:${port}`, host], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: variablesForSsh(context, access),
  });
  const end = async () => {
    await endProcessGroup(child, SSH_END_GRACE_MS);
    await rm(folder, { recursive: true, force: true });
  };
  const broken = new Promise<never>((_resolve, reject) => {
    child.once("error", (error) => reject(sshMissing(error)));
    child.once("exit", (code) => {
      reject(new AppError("connection_lost", `ssh to the instance ended (exit code ${code}); look at it with \`hardshare info\``));
    });
  });
  broken.catch(() => {}); // also told by whoever waits for it
  try {
    await Promise.race([once(createInterface(child.stdout), "line", { signal: context.interrupted }), broken]);
  } catch (error) {
    await end();
    throw context.interrupted.aborted ? new AppError("cancelled", "interrupted while connecting") : error;
  }
  return {
    broken,
    open: async (signal) => {
      const stream = connect({ path: socketPath, allowHalfOpen: true });
      await once(stream, "connect", { signal });
      return stream;
    },
    [Symbol.asyncDispose]: end,
  };
}

/** Until Ctrl-C, the end of the instance, or the end of the way. */
async function untilOver(invocation: Invocation, access: Access, instanceId: string, broken: Promise<never>): Promise<void> {
  const { context, output } = invocation;
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, context.interrupted]);
  try {
    await Promise.race([followUntilEnded(access.client, instanceId, { output, signal, from: "TERMINATING" }), broken]);
  } catch (error) {
    if (!context.interrupted.aborted) throw error;
  } finally {
    over.abort();
  }
}

import { AppError, type InstanceView } from "@hardshare/protocol";
import { readTextIfThere } from "@hardshare/runtime";
import type { Invocation } from "../context.ts";
import { LaunchFolders } from "../launches/launch-folder.ts";
import type { Access } from "../login/credentials.ts";

/**
 * Says that the user is there, for as long as a command works with an instance: some deployments have a dead-man's
 * switch. Where that is not possible, people are told if there is such a switch.
 */
export function beHeard(invocation: Invocation, access: Access, view: InstanceView): AsyncDisposable {
  const leaving = new AbortController();
  const { interrupted, environment } = invocation.context;
  const signal = AbortSignal.any([leaving.signal, interrupted]);
  const run = async () => {
    const { sendHeartbeats } = await import("@hardshare/client/node");
    const record = await new LaunchFolders(environment.state).readRecord(view.id);
    const identityFile = record?.identityFile ?? null;
    const privateKey = identityFile === null || identityFile.endsWith(".pub") ? undefined : await readTextIfThere(identityFile);
    if (privateKey === undefined) return; // its key is elsewhere, such as in an agent
    await sendHeartbeats({ url: access.url, token: access.token, instanceId: view.id, epoch: view.epoch, privateKey, signal });
  };
  const running = run().catch((error: unknown) => {
    // A key with a passphrase, or the end of the instance: the command itself goes on, or says so.
    const isExpected = error instanceof AppError && ["bad_input", "wrong_state", "not_found", "unrecognized_command"].includes(error.code);
    if (!isExpected && !signal.aborted) invocation.tell(error);
  });
  return {
    async [Symbol.asyncDispose]() {
      leaving.abort();
      await running;
    },
  };
}

import type { Delivery } from "@hardshare/db";
import { AppError, type HookMessage } from "@hardshare/protocol";
import { unseal } from "../../secrets/sealing.ts";
import type { SendMail } from "./mail.ts";
import { sendWebhook, type WebhookDeps } from "./send-webhook.ts";

interface DeliverDeps extends WebhookDeps {
  sealingKey: Buffer;
  /** Undefined where the operator named no mail server. */
  sendMail: SendMail | undefined;
}

/** Makes one attempt to deliver an alert. @throws Error why it did not arrive */
export async function deliver(delivery: Delivery, deps: DeliverDeps, signal: AbortSignal): Promise<void> {
  const { id: deliveryId, hook, body } = delivery;
  if (hook.kind === "email") {
    if (deps.sendMail === undefined) throw new AppError("not_configured", NO_MAIL);
    await deps.sendMail({ to: hook.target, message: JSON.parse(body) as HookMessage, deliveryId });
    return;
  }
  const secret = unseal(deps.sealingKey, hook.secretEncrypted ?? new Uint8Array(), hook.id);
  await sendWebhook({ url: hook.target, body, secret, deliveryId }, deps, signal);
}

/** What is said of letters where the operator named no mail server. */
export const NO_MAIL = "this server sends no mail, because its operator named no mail server (hardshare serve --mail-file)";

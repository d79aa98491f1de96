import type { Database, Hook } from "@hardshare/db";
import {
  type AlertAnswer,
  type DeploymentId,
  type EmailHooksAnswer,
  formatNaiveUtc,
  type HooksView,
  type Parsed,
  type WebhookAnswer,
} from "@hardshare/protocol";
import type { Clock, Random } from "@hardshare/runtime";
import { type Caller, requireUnconstrained, requireWriter } from "../../http/caller.ts";
import { seal } from "../../secrets/sealing.ts";
import { getDeployment } from "../deployments/lookup.ts";
import { requireOwner } from "../deployments/ownership.ts";
import { NO_MAIL } from "./deliver.ts";
import { raiseAlert } from "./tell-hooks.ts";

/** Bytes of the secret with which a webhook is signed: as many as its hash has. */
const SECRET_BYTES = 32;

interface HookServiceDeps {
  database: Database;
  clock: Clock;
  random: Random;
  sealingKey: Buffer;
  /** Whether there is a mail server. */
  hasMail: boolean;
}

/** Owners say where alerts of their deployments go, and raise some. */
export class HookService {
  readonly #deps: HookServiceDeps;

  constructor(deps: HookServiceDeps) {
    this.#deps = deps;
  }

  /** @throws AppError `not_found`, `access_denied`, `token_scope` */
  async list(caller: Caller, id: DeploymentId): Promise<Parsed<typeof HooksView>> {
    requireUnconstrained(caller); // one that is handed into an instance shows nobody's addresses
    const { database } = this.#deps;
    const hooks = await database.transaction(async (tx) => {
      requireOwner(caller, await getDeployment(database, tx, id));
      return database.hooks.list(tx, id);
    });
    const webhook = hooks.find(({ kind }) => kind === "webhook");
    const emails = hooks.filter(({ kind }) => kind === "email");
    return { webhook: webhook === undefined ? null : viewOf(webhook), emails: emails.map(viewOf), ...this.#mailWarning(emails.length) };
  }

  /** Puts these addresses in place of those before. @throws AppError `not_found`, `access_denied`, `token_scope` */
  async setEmails(caller: Caller, id: DeploymentId, emails: readonly string[]): Promise<Parsed<typeof EmailHooksAnswer>> {
    const hooks = [...new Set(emails)].map((target) => ({ id: this.#deps.random.uuid(), target, secretEncrypted: null }));
    await this.#replace(caller, id, "email", hooks);
    return this.#mailWarning(hooks.length);
  }

  /**
   * Puts this URL in place of the one before; null: none. A URL that stays keeps its secret.
   * @returns the secret of a new one: it is told at no other time
   * @throws AppError `not_found`, `access_denied`, `token_scope`
   */
  async setWebhook(caller: Caller, id: DeploymentId, url: string | null): Promise<Parsed<typeof WebhookAnswer>> {
    const { random, sealingKey } = this.#deps;
    const secret = `whsec_${Buffer.from(random.bytes(SECRET_BYTES)).toString("base64url")}`;
    const hookId = random.uuid();
    const hooks = url === null ? [] : [{ id: hookId, target: url, secretEncrypted: seal(sealingKey, secret, hookId, random) }];
    const kept = await this.#replace(caller, id, "webhook", hooks);
    return { secret: kept.some((hook) => hook.id === hookId) ? secret : null };
  }

  /** An alert in the owner's own words. @throws AppError `not_found`, `access_denied`, `token_scope` */
  async alert(caller: Caller, id: DeploymentId, message: string): Promise<Parsed<typeof AlertAnswer>> {
    requireWriter(caller);
    const { database, clock } = this.#deps;
    const told = await database.transaction(async (tx) => {
      const deployment = await getDeployment(database, tx, id);
      requireOwner(caller, deployment);
      const at = new Date(clock.now());
      return raiseAlert(this.#deps, tx, {
        deploymentId: id,
        instanceId: deployment.holder?.instanceId ?? null,
        message,
        at,
        actor: caller.user,
      });
    });
    const { hasMail } = this.#deps;
    return { webhooks: told.webhook, emails: hasMail ? told.email : 0, ...this.#mailWarning(told.email) };
  }

  async #replace(
    caller: Caller,
    deploymentId: DeploymentId,
    kind: Hook["kind"],
    hooks: readonly { id: string; target: string; secretEncrypted: Uint8Array | null }[],
  ): Promise<Hook[]> {
    requireWriter(caller);
    const { database, clock } = this.#deps;
    return database.transaction(async (tx) => {
      requireOwner(caller, await getDeployment(database, tx, deploymentId));
      const at = new Date(clock.now());
      await database.hooks.replace(tx, { deploymentId, kind, hooks, at });
      const data = { hook: kind, count: hooks.length };
      await database.events.append(tx, { at, deploymentId, instanceId: null, kind: "hooks", actor: caller.user, data });
      return database.hooks.list(tx, deploymentId);
    });
  }

  #mailWarning(emails: number): { warning?: string } {
    return emails > 0 && !this.#deps.hasMail ? { warning: NO_MAIL } : {};
  }
}

function viewOf({ target, deliveredAt, problem }: Hook) {
  return { target, delivered: deliveredAt === null ? null : formatNaiveUtc(deliveredAt), problem };
}
